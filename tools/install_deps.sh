#!/usr/bin/env bash
# The one list of Debian packages that Windlass needs (Debian 12 names). Installs what is missing; with everything there it
# neither calls apt nor needs to be root.
# usage: tools/install_deps.sh [--bench] [--fuzz]
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config binutils
  liburing-dev libtbb-dev libhwloc-dev libpcre2-dev libutf8proc-dev
  libcli11-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libtomlplusplus-dev
  coinor-libcbc-dev zlib1g-dev  # integer programs: what lies where; its pkg-config file names libz, its package does not
  catch2 libboost-context-dev  # the latter runs the GPU's kernels on the CPU, in tests
  python3 python3-venv ca-certificates  # fetching the example model, checking the README's tables
)
for option in "$@"; do
  case $option in
    --bench) packages+=(fio libbenchmark-dev) ;;         # bench/: the disk's own rate, micro-benchmarks
    --fuzz) packages+=(clang libclang-rt-14-dev) ;;      # libFuzzer and its runtime
    *) echo "install_deps.sh: unknown option $option (known: --bench, --fuzz)" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "install_deps.sh: this is no Debian; install what provides: ${packages[*]}" >&2
  exit 1
fi
# One dpkg-query for all: asking package by package would take a second. Unknown packages only cost a line on stderr.
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
  sed -n 's/^installed //p' || true)
missing=()
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

echo "installing: ${missing[*]}" >&2
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || {
    echo "install_deps.sh: not root and no sudo; run as root: apt-get install -y ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt_get() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y "$@" >"$log" 2>&1; }
# The package lists are renewed only when installing from the present ones fails: a fresh image has none.
apt_get install --no-install-recommends "${missing[@]}" ||
  { apt_get update && apt_get install --no-install-recommends "${missing[@]}"; } ||
  { cat "$log" >&2; exit 1; }
