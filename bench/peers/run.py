#!/usr/bin/env python3
"""Windlass and llama.cpp side by side on this machine: prompts, decode, decode of 16 sequences, decode after 8192 tokens.

Installs llama.cpp when it is missing (setup.sh: ten minutes), writes the synthetic models that are wanted, measures both in
turns, and prints the table. Each cell (model, type, phase) is written to a JSON file when it is finished, the table to a .md
file beside it; cells that are there already are kept, so that a run which was stopped goes on. bench/peers/table.py puts the
committed results into the README. An otherwise idle machine, 7 GB of disk in --work-dir for the largest model.

  bench/peers/run.py                               all cells: some hours on two cores
  bench/peers/run.py --only 1b-q4_0                the cells whose names begin so; '*' stands for anything
  bench/peers/run.py --only '*-pp512' --again      measure again what is there
"""

import argparse
import contextlib
import datetime
import fnmatch
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import table  # noqa: E402
from harness import (ROOT, BenchError, LlamaCpp, Windlass, default_peer, default_work_dir,  # noqa: E402
                     fetch_smollm2, load_results, machine, machine_slug, summary_of)

# Llama 3.2's shapes with SmolLM2's vocabulary, and an output matrix of the matrices' type.
SHAPES = {
    "1b": {"layers": 16, "embd": 2048, "ffn": 8192, "heads": 32, "kv-heads": 8, "head-dim": 64, "vocab": 49152},
    "3b": {"layers": 28, "embd": 3072, "ffn": 8192, "heads": 24, "kv-heads": 8, "head-dim": 128, "vocab": 49152},
}
TYPES = ["q4_0", "q4_k", "q8_0", "q6_k", "f16"]
SMOLLM2_CONTEXT = 8192
DEPTH = 8192
GENERATED = {"tg32": 32, "tg16x16": 16, "tg16@d8192": 16}
PHASES = ["pp512", *GENERATED]


def all_cells():
    """(name, model, type, phase), those of one model file together."""
    files = [("smollm2", "q4_1"), *((model, weight_type) for model in SHAPES for weight_type in TYPES)]
    return [(f"{model}-{weight_type}-{phase}", model, weight_type, phase)
            for model, weight_type in files for phase in PHASES
            # What a long cache costs does not depend on the weights' type: one of them shows it.
            if phase != "tg16@d8192" or weight_type.startswith("q4_") and weight_type != "q4_k"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="cells whose names begin so; may be repeated")
    parser.add_argument("--again", action="store_true", help="measure cells again that are finished")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program")
    parser.add_argument("--repetitions", type=int, default=2, help="of a test in each turn, after a warm-up")
    parser.add_argument("--windlass", type=pathlib.Path, default=ROOT / "build" / "release" / "windlass")
    parser.add_argument("--peer", type=pathlib.Path, default=default_peer(), help="a Python that has llama_cpp")
    parser.add_argument("--work-dir", type=pathlib.Path, default=default_work_dir(), help="synthetic models, profile")
    parser.add_argument("--keep-models", action="store_true", help="leave the synthetic models there")
    parser.add_argument("--results", type=pathlib.Path,
                        default=ROOT / "docs" / "measurements" / f"peers-{machine_slug()}.json")
    parser.add_argument("--list", action="store_true", help="print the names of the cells, and end")
    return parser.parse_args()


def chosen_cells(only):
    cells = [cell for cell in all_cells()
             if not only or any(fnmatch.fnmatch(cell[0], part + "*") for part in only)]
    if not cells:
        raise BenchError(f"no cell begins with {' or '.join(only)}; --list names them")
    return cells


class Models:
    """The model files; synthetic ones live as long as cells of theirs are measured."""

    def __init__(self, args, windlass):
        self.args, self.windlass, self.made = args, windlass, None

    def path(self, model, weight_type):
        if model == "smollm2":
            return fetch_smollm2()
        path = self.args.work_dir / f"peers-{model}-{weight_type}.gguf"
        if self.made and self.made != path:
            self.remove()
        self.made = path
        if not path.exists():
            shape = [word for name, value in SHAPES[model].items() for word in (f"--{name}", value)]
            self.windlass.synth(path, *shape, "--type", weight_type, "--embd-type", "q8_0", "--output-type", weight_type,
                                "--tokenizer", fetch_smollm2())
        return path

    def remove(self):
        if self.made and not self.args.keep_models:
            self.made.unlink(missing_ok=True)
        self.made = None


class PeerProcess:
    """llama.cpp with the model loaded and the depth filled, measuring when it is asked to."""

    def __init__(self, command):
        self.errors = open(os.devnull, "w", encoding="utf-8")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        self.settings = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"llama.cpp ended with status {self.process.wait()}: {' '.join(map(str, self.process.args))}")
        return json.loads(line)

    def measure(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def phase_settings(model, phase):
    """Prompt, generated tokens, sequences, depth, KV type."""
    depth = 0
    if phase == "tg16@d8192":
        depth = min(DEPTH, SMOLLM2_CONTEXT - GENERATED[phase]) if model == "smollm2" else DEPTH
    return {"n_prompt": 512 if phase == "pp512" else 0, "n_gen": GENERATED.get(phase, 0),
            "n_seq": 16 if phase == "tg16x16" else 1, "depth": depth, "kv": "q8_0" if depth else "f16"}


OUR_FIGURES = {"ours_ts": "avg_ts", "gb_s": "gb_s", "gop_s": "gop_s", "dram_share": "dram_share", "peak_share": "peak_share",
               "dram_gb_s": "dram_gb_s", "peak_gop_s": "peak_gop_s", "outside_kernels": "outside_kernels",
               "predicted_ts": "predicted_ts"}


def measure_cell(args, windlass, peer, path, settings):
    """Rounds of both in turns; who goes first alternates."""
    flags = ["-np", settings["n_seq"], "-d", settings["depth"], "-ctk", settings["kv"], "-ctv", settings["kv"]]
    windlass.profile(path)
    with contextlib.closing(PeerProcess(peer.command(path, settings["n_prompt"], settings["n_gen"], args.repetitions,
                                                     *flags, "--on-request"))) as theirs:
        rounds, row = [], None
        for i in range(args.rounds):
            answer = theirs.measure() if i % 2 == 1 else None
            row = windlass.bench(path, "-p", settings["n_prompt"], "-n", settings["n_gen"], "-r", args.repetitions, *flags)
            answer = answer or theirs.measure()
            figures = {name: row[field] for name, field in OUR_FIGURES.items()}
            figures["theirs_ts"] = answer["prefill_tok_s"] if settings["n_prompt"] else answer["decode_tok_s"]
            figures["ratio"] = figures["ours_ts"] / figures["theirs_ts"]
            rounds.append(figures)
    return {"rounds": rounds, "summary": summary_of(rounds), "isa": row["isa"], "threads": row["n_threads"],
            "build": row["build_commit"], "peer": theirs.settings}


def require_native(settings, cpu_flags):
    """A peer built for another CPU would be a weak one."""
    for flag, feature in [("avx2", "AVX2"), ("avx512_vnni", "AVX512_VNNI"), ("avx_vnni", "AVX_VNNI"), ("amx_int8", "AMX_INT8")]:
        if flag in cpu_flags and f" {feature} = 1" not in settings["system"]:
            raise BenchError(f"llama.cpp was not built for this CPU ({feature} is missing): remove it and run setup.sh")
    if "REPACK = 1" not in settings["system"]:
        raise BenchError("llama.cpp was built without its repacked kernels")


def cpu_flags():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("flags"):
            return set(line.split(":", 1)[1].split())
    return set()


def save(results, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    order = [cell[0] for cell in all_cells()]
    results["cells"] = {name: results["cells"][name] for name in order if name in results["cells"]}
    path.write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".md").write_text(table.short_text(results))


def run_cells(args, cells, results, windlass, peer):
    """Whether all of them could be measured."""
    models, all_ok = Models(args, windlass), True
    try:
        for name, model, weight_type, phase in cells:
            if name in results["cells"] and not args.again:
                continue
            print(f"{name}: {args.rounds} rounds", file=sys.stderr, flush=True)
            settings = phase_settings(model, phase)
            try:
                cell = measure_cell(args, windlass, peer, models.path(model, weight_type), settings)
                require_native(cell["peer"], cpu_flags())
            except BenchError as error:
                print(f"run.py: {name}: {error}", file=sys.stderr)
                all_ok = False
                continue
            results["cells"][name] = {
                "settings": {"model": model, "type": weight_type, "phase": phase, **settings}, **cell,
                "measured_utc": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M"),
                "windlass": windlass.version(), "machine": machine()}
            save(results, args.results)
    finally:
        models.remove()
    return all_ok


def main():
    args = parse_arguments()
    if args.list:
        print("\n".join(cell[0] for cell in all_cells()))
        return 0
    cells = chosen_cells(args.only)
    peer = LlamaCpp(args.peer)
    peer.install()
    (args.work_dir / "profile").mkdir(parents=True, exist_ok=True)
    windlass = Windlass(args.windlass, args.work_dir / "profile")
    results = load_results(args.results, "cells")
    all_ok = run_cells(args, cells, results, windlass, peer)
    names = {cell[0] for cell in cells}
    print(table.short_text({**results, "cells": {n: c for n, c in results["cells"].items() if n in names}}))
    print(f"kept in {args.results}", file=sys.stderr)
    return 0 if all_ok else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        print(f"run.py: {error}", file=sys.stderr)
        sys.exit(2)
