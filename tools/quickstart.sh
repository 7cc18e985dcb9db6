#!/usr/bin/env bash
# From a fresh Debian 12 machine to text: installs what is missing, builds, fetches a small real model and generates from it
# under a budget smaller than the model's file. The receipt at the end says what moved.
# usage: tools/quickstart.sh [PROMPT...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prompt=${*:-What is a windlass, and what would a ship do without one?}
tools/build.sh release windlass
model=$(tools/fetch_smollm2.sh)

command=(build/release/windlass run -m "$model" --ram 64MiB -n 96 -p "$prompt")
printf '$'; printf ' %q' "${command[@]}"; echo
exec "${command[@]}"
