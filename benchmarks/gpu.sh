#!/usr/bin/env bash
# Fills every row that a GPU has: benchmarks/gpu.py says how. PYTHON names another Python than python3.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" "$root/benchmarks/gpu.py" "$@"
