#!/usr/bin/env bash
# Packs what tools/gpu_check.sh needs on an offline machine with a GPU: the built programs, and every library that they load but
# the driver's own. They start by the loader in the bundle, so the C library of that machine does not matter.
# usage: tools/gpu_pack.sh [FILE]        default: build/gpu_bundle.tar.gz
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bundle=${1:-build/gpu_bundle.tar.gz}
most_mib=60
tools/build.sh release windlass test_op_tables_card
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/bin" "$dir/lib"
for program in build/release/windlass build/release/tests/test_op_tables_card; do
  strip -o "$dir/bin/$(basename "$program")" "$program"
  # "name => path (address)", and the loader as "path (address)"
  ldd "$program" | sed -nE 's/^[[:space:]]*([^ ]+ => )?(\/[^ ]+) \(.*/\2/p' | while read -r library; do
    cp -nL "$library" "$dir/lib/"
  done
done
cp -L "$(ldd build/release/windlass | sed -nE 's/^[[:space:]]*(\/[^ ]*ld-linux[^ ]*) .*/\1/p')" "$dir/lib/loader"
git rev-parse --short HEAD >"$dir/commit"
mkdir -p "$(dirname "$bundle")"
tar -C "$dir" -czf "$bundle" .
size_mib=$(du -m "$bundle" | cut -f1)
if ((size_mib > most_mib)); then
  echo "gpu_pack.sh: $bundle has $size_mib MiB, more than the $most_mib that may be carried" >&2
  exit 1
fi
echo "$bundle: $size_mib MiB"
