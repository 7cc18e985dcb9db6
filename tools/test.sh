#!/usr/bin/env bash
# Installs what is missing, builds and runs the tests: the one command before a change is handed in.
# usage: tools/test.sh [PRESET] [CTEST_ARGUMENT...]
#   tools/test.sh                      release
#   tools/test.sh asan -R '^src:'       AddressSanitizer and UBSan, tests of src only
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release
if [[ $# -gt 0 && $1 != -* ]]; then
  preset=$1
  shift
fi
tools/build.sh "$preset"
exec ctest --preset "$preset" --parallel "$(nproc)" --progress "$@"
