#!/bin/bash
#SBATCH --job-name=shard
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --output=shard-%A_%a.txt
# A minute before its time is up the run is told to end: it saves where it is, and the same job goes on there.
#SBATCH --signal=B:TERM@60
# One job of an array: its share of a sweep or of an audit's networks. The arguments begin with `sweep` or `audit`.
set -euo pipefail
exec python -m junlearn.main "$@" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
