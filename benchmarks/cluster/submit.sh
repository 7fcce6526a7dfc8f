#!/bin/bash
# A sweep or an audit on a Slurm cluster: an array of N jobs, and one behind them that shows the results.
#     benchmarks/cluster/submit.sh N sweep --config FILE --workdir DIR --cache-dir DIR
# What sbatch is to know beside the lines in the scripts it reads from its variables, such as SBATCH_PARTITION.
set -euo pipefail
jobs=${1:?"how many jobs?"}
shift
here=$(cd "$(dirname "$0")" && pwd)
array=$(sbatch --parsable --array="0-$((jobs - 1))" "$here/shard.sh" "$@")
sbatch --dependency="afterok:${array%%;*}" "$here/last.sh" "$@"
