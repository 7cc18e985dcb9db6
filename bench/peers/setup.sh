#!/usr/bin/env bash
# Installs the peers that Windlass is measured against, built for this machine's CPU (ten minutes the first time on two cores).
# Prints the Python that has them. Already there: nothing to do.
# usage: setup.sh [VENV]      default $WINDLASS_PEERS, else ${XDG_CACHE_HOME:-~/.cache}/windlass-peers
set -euo pipefail
venv=${1:-${WINDLASS_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/windlass-peers}}
python=$venv/bin/python
if ! "$python" -c 'import llama_cpp' 2>/dev/null; then
  "$(dirname "${BASH_SOURCE[0]}")/../../tools/install_deps.sh" --bench
  [[ -x $python ]] || python3 -m venv "$venv"
  # From source: a wheel would be built for some common CPU and lose to one built for this one.
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-binary llama-cpp-python llama-cpp-python >&2
fi
echo "$python"
