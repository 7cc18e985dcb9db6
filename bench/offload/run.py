#!/usr/bin/env python3
"""The offload benchmark: Windlass against the disk's own rate and against llama.cpp, on this machine, in one run.

Prints a table of medians with their spread and the checks, and writes every round to a JSON file and the table to a .md file
beside it. A case that is run again replaces its old rows in that file. Needs root (memory cgroups, cold page cache), fio
(tools/install_deps.sh --bench) and llama.cpp (bench/peers/setup.sh), 2.5 GB of disk in --work-dir, an otherwise idle machine.

  bench/offload/run.py                          all cases, five rounds: about half an hour
  bench/offload/run.py --only offload-1100      one case
  bench/offload/run.py --only memory --rounds 3 the cases whose names begin so
"""

import argparse
import datetime
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import cases  # noqa: E402
import table  # noqa: E402
from harness import (ROOT, BenchError, Fio, LlamaCpp, Windlass, default_peer, default_work_dir,  # noqa: E402
                     fetch_smollm2, load_results, machine, machine_slug)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="cases whose names begin so; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windlass", type=pathlib.Path, default=ROOT / "build" / "release" / "windlass")
    parser.add_argument("--peer", type=pathlib.Path, default=default_peer(), help="a Python that has llama_cpp")
    parser.add_argument("--no-peer", action="store_true", help="leave llama.cpp out")
    parser.add_argument("--work-dir", type=pathlib.Path, default=default_work_dir(), help="synthetic models, profile")
    parser.add_argument("--results", type=pathlib.Path,
                        default=ROOT / "docs" / "measurements" / f"offload-{machine_slug()}.json")
    parser.add_argument("--clean", action="store_true", help="remove --work-dir's models and profile, and end")
    parser.add_argument("--list", action="store_true", help="print the names of the cases, and end")
    return parser.parse_args()


def chosen_cases(only):
    names = [name for name in cases.CASES if not only or any(name.startswith(part) for part in only)]
    if not names:
        raise BenchError(f"no case begins with {' or '.join(only)}; there are {', '.join(cases.CASES)}")
    return names


def clean(work_dir):
    for path in [*work_dir.glob("*.gguf"), *work_dir.glob("ids-*.json"), *work_dir.glob("profile/*")]:
        path.unlink()


def save(results, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    results["cases"] = {name: results["cases"][name] for name in cases.CASES if name in results["cases"]}
    path.write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".md").write_text(table.whole_text(results))


def make_bench(args, names):
    peer = None if args.no_peer or all(name.startswith(("smollm2", "plan")) for name in names) else LlamaCpp(args.peer)
    if peer:
        peer.require()
    fio = Fio()
    if any(name.startswith("offload") for name in names):
        fio.require()
    if os.geteuid() != 0 and any(name.startswith(("offload", "smollm2-")) for name in names):
        raise BenchError("memory cgroups need root: use sudo, or --only memory or plan")
    (args.work_dir / "profile").mkdir(parents=True, exist_ok=True)
    smollm2 = fetch_smollm2()
    windlass = Windlass(args.windlass, args.work_dir / "profile")
    return cases.Bench(windlass, peer, fio, args.work_dir, smollm2, args.rounds)


def main():
    args = parse_arguments()
    if args.list:
        print("\n".join(cases.CASES))
        return 0
    if args.clean:
        clean(args.work_dir)
        return 0
    names = chosen_cases(args.only)
    bench = make_bench(args, names)
    results = load_results(args.results, "cases")
    all_ok = True
    for name in names:
        print(f"{name}: {args.rounds} rounds", file=sys.stderr, flush=True)
        case = cases.CASES[name](bench)
        case["measured_utc"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
        case["windlass"] = bench.windlass.version()
        case["machine"] = machine()
        results["cases"][name] = case
        save(results, args.results)  # after each: a later failure loses nothing
        all_ok &= all(check["ok"] for check in case["checks"])
    print(table.whole_text({**results, "cases": {name: results["cases"][name] for name in names}}))
    print(f"written to {args.results}", file=sys.stderr)
    return 0 if all_ok else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        print(f"run.py: {error}", file=sys.stderr)
        sys.exit(2)
