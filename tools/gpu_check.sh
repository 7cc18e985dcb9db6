#!/usr/bin/env bash
# Checks kernels and placements on the GPU of this machine and measures them against their predictions, from a bundle that
# tools/gpu_pack.sh made: nothing is built or downloaded. Ends within nine minutes.
# usage: tools/gpu_check.sh --out DIR [--bundle FILE] [--scratch DIR] [--model GGUF]...
exec python3 -B "$(dirname "${BASH_SOURCE[0]}")/gpu_check.py" "$@"
