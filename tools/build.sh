#!/usr/bin/env bash
# Installs what is missing, configures a preset and builds it. Silent when nothing changed; a failing step prints its log.
# usage: tools/build.sh [PRESET] [TARGET...]      PRESET: release (default), debug, asan, tsan, fuzz
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${1:-release}
targets=("${@:2}")
if [[ $preset == fuzz ]]; then tools/install_deps.sh --fuzz; else tools/install_deps.sh; fi

mkdir -p "build/$preset"
log=build/$preset/build.log
if ! cmake --preset "$preset" -D WINDLASS_TESTS=ON >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi

# A compiler here can take 1 GiB, so memory limits the jobs as well as cores do.
memory_gib=$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo)
jobs=$(nproc)
if ((memory_gib < jobs)); then jobs=$((memory_gib > 0 ? memory_gib : 1)); fi
build=(cmake --build --preset "$preset" --parallel "$jobs")
if [[ ${#targets[@]} -gt 0 ]]; then build+=(--target "${targets[@]}"); fi
if [[ -t 2 ]]; then
  "${build[@]}" >&2
elif ! "${build[@]}" >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
