#!/usr/bin/env bash
# Runs a command in a fresh memory cgroup (v1 or v2; page cache counts, swap is off) from a cold page cache, passes its output
# and exit status through, and ends with one line on stderr:
#   memrun: rc=0 wall_s=12.34 peak_bytes=104857600 disk_read_bytes=1933574144 oom_kills=0
# disk_read_bytes is what the command and the children it waited for read from block devices (getrusage's ru_inblock, which
# counts direct reads too; the block cgroup's counters stay zero on some kernels).
# usage: memrun.sh LIMIT COMMAND [ARGUMENT...]      LIMIT as cgroups write it: 112M, 1150M. Needs root.
set -euo pipefail
if [[ $# -lt 2 ]]; then
  echo "usage: memrun.sh LIMIT COMMAND [ARGUMENT...]" >&2
  exit 2
fi
if [[ $(id -u) -ne 0 ]]; then
  echo "memrun.sh: making a cgroup needs root" >&2
  exit 2
fi
limit=$1
shift

top=/sys/fs/cgroup
if [[ -d $top/memory ]]; then # v1
  group=$top/memory/windlass-memrun-$$
  limit_file=memory.limit_in_bytes swap_file=memory.memsw.limit_in_bytes swap_limit=$limit
  peak_file=memory.max_usage_in_bytes oom_file=memory.oom_control
else # v2; memory.peak is there since Linux 5.19
  echo +memory >"$top/cgroup.subtree_control" || {
    echo "memrun.sh: $top does not hand its memory controller down (inside a container?)" >&2
    exit 2
  }
  group=$top/windlass-memrun-$$
  limit_file=memory.max swap_file=memory.swap.max swap_limit=0
  peak_file=memory.peak oom_file=memory.events
fi
cleanup() {
  local try
  for try in {1..10}; do # a killed process leaves its group a moment after it was waited for
    rmdir "$group" 2>/dev/null && return
    sleep 0.1
  done
  echo "memrun.sh: could not remove $group" >&2
}
mkdir "$group"
usage=$(mktemp)
trap 'rm -f "$usage"; cleanup' EXIT
echo "$limit" >"$group/$limit_file"
if [[ -w $group/$swap_file ]]; then echo "$swap_limit" >"$group/$swap_file"; fi

sync
echo 3 >/proc/sys/vm/drop_caches
rc=0
# The child enters the group before it becomes the command: nothing of the command runs outside.
python3 -c '
import os, signal, sys, time
group, usage, *command = sys.argv[1:]
begin = time.monotonic()
child = os.fork()
if child == 0:
    with open(group + "/cgroup.procs", "w") as procs:
        procs.write(str(os.getpid()))
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"memrun.sh: {command[0]}: {error.strerror}\n")
        os._exit(127)
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command ends in its own way, then we report
_, status, use = os.wait4(child, 0)
with open(usage, "w") as out:
    out.write(f"wall_s={time.monotonic() - begin:.2f} disk_read_bytes={use.ru_inblock * 512}")
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
' "$group" "$usage" "$@" || rc=$?
peak=-1
if [[ -r $group/$peak_file ]]; then peak=$(<"$group/$peak_file"); fi
read -r wall disk_read <"$usage" || true
echo "memrun: rc=$rc $wall peak_bytes=$peak $disk_read" \
  "oom_kills=$(awk '$1 == "oom_kill" {print $2}' "$group/$oom_file")" >&2
exit "$rc"
