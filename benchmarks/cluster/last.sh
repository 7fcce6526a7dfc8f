#!/bin/bash
#SBATCH --job-name=last
#SBATCH --cpus-per-task=2
#SBATCH --mem=16G
#SBATCH --time=01:00:00
#SBATCH --output=last-%j.txt
# Behind the array: nothing is trained. Of a sweep the records of all points become tables, of an audit the networks are
# judged. The arguments are those of the array.
set -euo pipefail
exec python -m junlearn.main "$@"
