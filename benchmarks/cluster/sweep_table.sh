#!/bin/bash
#SBATCH --job-name=sweep-table
#SBATCH --cpus-per-task=2
#SBATCH --mem=16G
#SBATCH --time=00:30:00
#SBATCH --output=sweep-table-%j.txt
# Behind the array: nothing is trained, the records of all points become the tables and pictures of the sweep.
set -euo pipefail
exec python -m junlearn.main sweep "$@"
