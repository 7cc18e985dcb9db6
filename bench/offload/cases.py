"""The cases of the offload benchmark. Each returns its rounds, their summary and its checks (figure, relation, target)."""

import json
import random

from harness import MIB, BenchError, disk_bytes, run, run_json, run_limited, summarise, summary_of

PROMPT_TOKENS = 16
# llama.cpp's rates in these cgroups depend on its buffers for the prompt: both run its benchmark's default prompt.
OFFLOAD_PROMPT_TOKENS = 512
OFFLOAD_TOKENS = 24
# llama.cpp reads the whole file for each token in these cgroups: a few tokens are minutes, and they hardly differ.
PEER_TOKENS = 6

# A 3B-class model: 1.83 GB on disk, of which a step touches all but the embedding.
SHAPE = {"layers": 28, "embd": 3072, "ffn": 8192, "heads": 24, "kv-heads": 8, "head-dim": 128, "vocab": 49152}


def touched_bytes():
    """Weight bytes of a decode step of SHAPE, from the shape alone: Q4_0 is 18 bytes for 32 weights, norms are F32."""
    d, kv = SHAPE["embd"], SHAPE["kv-heads"] * SHAPE["head-dim"]
    q = SHAPE["heads"] * SHAPE["head-dim"]
    layer = d * q + 2 * d * kv + q * d + 3 * d * SHAPE["ffn"]
    matrices = SHAPE["layers"] * layer + SHAPE["vocab"] * d
    norms = (2 * SHAPE["layers"] + 1) * d
    embedding_row = d // 32 * 34  # Q8_0
    return matrices * 18 // 32 + norms * 4 + embedding_row


class Bench:
    """The programs, the models and the working folder that the cases share."""

    def __init__(self, windlass, peer, fio, work_dir, smollm2, rounds):
        self.windlass, self.peer, self.fio = windlass, peer, fio
        self.work_dir, self.smollm2, self.rounds = work_dir, smollm2, rounds

    def synthetic(self):
        """The model of SHAPE, written once."""
        path = self.work_dir / "synthetic-3b-q4_0.gguf"
        if not path.exists():
            shape = [word for name, value in SHAPE.items() for word in (f"--{name}", value)]
            self.synth(path, *shape, "--type", "q4_0", "--embd-type", "q8_0", "--output-type", "q4_0")
        return path

    def synth(self, path, *arguments):
        self.windlass.synth(path, "--tokenizer", self.smollm2, *arguments)

    def ids(self, n):
        """A file with n random token ids, the same ones each time."""
        path = self.work_dir / f"ids-{n}.json"
        source = random.Random(11)
        path.write_text(json.dumps([source.randrange(100, 49000) for _ in range(n)]))
        return path


def check(what, value, relation, target):
    ok = value is not None and (value >= target if relation == ">=" else value <= target)
    return {"what": what, "value": value, "relation": relation, "target": target, "ok": ok}


def median(summary, key):
    return summary[key]["median"] if summary.get(key) else None


def typical_error(rounds, key):
    """Median of a relative difference's size: signs must not cancel."""
    return summarise([abs(r[key]) for r in rounds])["median"]


def interleaved(n_rounds, measure_ours, measure_peer):
    """Rounds of both, in turns; who goes first alternates, so that neither always finds the machine as the other left it."""
    rounds = []
    for i in range(n_rounds):
        parts = [measure_ours, measure_peer] if i % 2 == 0 else [measure_peer, measure_ours]
        row = {}
        for part in parts:
            row.update(part())
        if row.get("peer_tok_s"):
            row["ratio"] = row["tok_s"] / row["peer_tok_s"]
        rounds.append(row)
    return rounds


def receipt_row(receipt):
    decode = receipt["decode"]
    return {"tok_s": decode["tok_s"], "s_per_step": decode["achieved_s_per_step"],
            "predicted_s_per_step": decode["predicted_s_per_step"],
            "prediction_error": decode["predicted_s_per_step"] / decode["achieved_s_per_step"] - 1,
            "receipt_of_bound": decode["of_bound"], "steps": decode["steps"],
            "disk_bytes_per_step": decode["links"]["disk_to_host"]["bytes"] / max(decode["steps"], 1),
            "isa": receipt["isa"], "io_engine": receipt["io_engine"], "direct_io": receipt["direct_io"]}


def peer_row(bench, model, prompt, tokens, repetitions, arguments, limit=None):
    if bench.peer is None:
        return {"peer_tok_s": None}
    command = bench.peer.command(model, prompt, tokens, repetitions, *arguments)
    if limit is None:
        return {"peer_tok_s": run_json(command)["decode_tok_s"]}
    answer, figures, err = run_limited(command, limit)
    if answer is None:
        raise BenchError(f"llama.cpp in {limit}: exit status {figures['rc']:.0f}: {err[-400:].strip()}")
    return {"peer_tok_s": answer["decode_tok_s"], "peer_peak_bytes": figures["peak_bytes"]}


def offload(bench, ram, limit, least_ratio, least_of_bound=None):
    """Decode of a model that hardly fits or does not, against the disk's rate and against llama.cpp in the same cgroup."""
    model = bench.synthetic()
    size = model.stat().st_size
    # What no schedule can avoid to read in each step. Nothing where the budget holds all that a step touches: then the disk
    # sets no bound.
    must_read = max(touched_bytes() - int(ram.removesuffix("MiB")) * MIB, 0)
    context = (OFFLOAD_PROMPT_TOKENS + OFFLOAD_TOKENS + 63) // 64 * 64
    settings = ["--ram", ram, "-c", context]

    def disk_rate():
        """On a range as large as what must be read: hosts cache, so a larger one would not be comparable."""
        return bench.fio.read_rate(model, size - must_read, must_read) if must_read else None

    def ours():
        rate_before = disk_rate()
        bench.windlass.profile(model)
        plan = bench.windlass.plan(model, *settings, "-d", OFFLOAD_PROMPT_TOKENS + OFFLOAD_TOKENS // 2)
        command = bench.windlass.generation(model, bench.ids(OFFLOAD_PROMPT_TOKENS), OFFLOAD_TOKENS, *settings)
        answer, figures, err = run_limited(command, limit)
        if answer is None:
            raise BenchError(f"windlass --ram {ram} in {limit}: exit status {figures['rc']:.0f}: {err[-400:].strip()}")
        row = receipt_row(answer["receipt"])
        if must_read:
            row["fio_bytes_per_s"] = (rate_before + disk_rate()) / 2
            row["bound_s_per_step"] = must_read / row["fio_bytes_per_s"]
            row["of_bound"] = row["bound_s_per_step"] / row["s_per_step"]
        return {**row, "plan_s_per_step": plan["predicted_s_per_step"],
                "plan_differs": plan["predicted_s_per_step"] / row["predicted_s_per_step"] - 1,
                "touched_differs": plan["touched_bytes"] / touched_bytes() - 1,
                "peak_bytes": figures["peak_bytes"],
                "disk_read_differs": disk_bytes(answer["receipt"]) / figures["disk_read_bytes"] - 1}

    def theirs():
        return peer_row(bench, model, OFFLOAD_PROMPT_TOKENS, PEER_TOKENS, 1, ["--load-mode", "mmap", "--no-repack"], limit)

    rounds = interleaved(bench.rounds, ours, theirs)
    summary = summary_of(rounds)
    checks = [
        check("prediction's error", typical_error(rounds, "prediction_error"), "<=", 0.10),
        check("plan's prediction against the receipt's", typical_error(rounds, "plan_differs"), "<=", 0.01),
        check("receipt's bytes against the kernel's", typical_error(rounds, "disk_read_differs"), "<=", 0.05),
    ]
    if least_of_bound:
        checks.append(check("of the bound by fio", median(summary, "of_bound"), ">=", least_of_bound))
    if bench.peer:
        checks.append(check("times llama.cpp", median(summary, "ratio"), ">=", least_ratio))
    return {"rounds": rounds, "summary": summary, "checks": checks,
            "settings": {"model": "3B shape, Q4_0", "ram": ram, "cgroup": limit, "context": context,
                         "prompt_tokens": OFFLOAD_PROMPT_TOKENS, "generated_tokens": OFFLOAD_TOKENS,
                         "peer": "--load-mode mmap --no-repack", "peer_tokens": PEER_TOKENS,
                         "touched_bytes": touched_bytes(), "must_read_bytes": must_read, "file_bytes": size}}


def survives(bench, ram, limit):
    """SmolLM2 with a full context of 512 tokens, in a cgroup hardly larger than its budget."""
    prompt, n = 448, 64

    def ours():
        command = bench.windlass.generation(bench.smollm2, bench.ids(prompt), n, "--ram", ram, "-c", prompt + n)
        answer, figures, err = run_limited(command, limit)
        row = {"rc": figures["rc"], "peak_bytes": figures["peak_bytes"], "oom_kills": figures["oom_kills"]}
        if answer is None:
            return {**row, "tok_s": None, "error": err[-400:].strip()}
        receipt = answer["receipt"]
        return {**receipt_row(receipt), **row, "prefill_tok_s": receipt["prefill"]["tok_s"],
                "context": receipt["prompt_tokens"] + receipt["generated_tokens"],
                "budget_peak_bytes": receipt["tiers"]["host"]["peak_bytes"],
                "disk_read_differs": disk_bytes(receipt) / figures["disk_read_bytes"] - 1}

    bench.windlass.profile(bench.smollm2)
    rounds = [ours() for _ in range(bench.rounds)]
    return {"rounds": rounds, "summary": summary_of(rounds),
            "checks": [check("worst exit status", max(r["rc"] for r in rounds), "<=", 0),
                       check("kills for memory", max(r["oom_kills"] for r in rounds), "<=", 0),
                       check("peak MiB", max(r["peak_bytes"] for r in rounds) / MIB, "<=", int(limit[:-1]))],
            "settings": {"model": "SmolLM2-135M Q4_1", "ram": ram, "cgroup": limit, "context": prompt + n,
                         "prompt_tokens": prompt, "generated_tokens": n}}


def in_memory(bench, model, name, tokens):
    """Batch-1 decode with everything in memory, against llama.cpp with its weights repacked."""
    bench.windlass.profile(model)

    def ours():
        command = bench.windlass.generation(model, bench.ids(PROMPT_TOKENS), tokens, "--ram", "auto")
        return receipt_row(run_json(command)["receipt"])

    def theirs():
        return peer_row(bench, model, PROMPT_TOKENS, tokens, 3, ["--load-mode", "auto"])

    rounds = interleaved(bench.rounds, ours, theirs)
    summary = summary_of(rounds)
    checks = [check("bytes read a step", median(summary, "disk_bytes_per_step"), "<=", 64 * 1024)]
    if bench.peer:
        # "not slower by more than 15 %" is about time: 1 / 1.15 of the rate
        checks.append(check("times llama.cpp", median(summary, "ratio"), ">=", 1 / 1.15))
    return {"rounds": rounds, "summary": summary, "checks": checks,
            "settings": {"model": name, "ram": "auto", "prompt_tokens": PROMPT_TOKENS, "generated_tokens": tokens,
                         "peer": "--load-mode auto, repacked"}}


def plan_40gb(bench):
    """`windlass plan` on a 40 GB file that is a header and a hole."""
    model = bench.work_dir / "header-70b.gguf"
    bench.synth(model, "--preset", "70b", "--type", "q4_1", "--header-only")
    try:
        command = bench.windlass.command("plan", "-m", model, "--json", "--ram", "24GiB", "-c", 4096)
        run_json(command)  # the first one may measure the machine
        rounds = []
        for _ in range(bench.rounds):
            status, _, err, wall_s, resident = run(command)
            if status != 0:
                raise BenchError(f"windlass plan: exit status {status}: {err[-400:].strip()}")
            rounds.append({"wall_s": wall_s, "resident_bytes": resident})
        size, stored = model.stat().st_size, model.stat().st_blocks * 512
    finally:
        model.unlink()
    return {"rounds": rounds, "summary": summary_of(rounds),
            "checks": [check("slowest, s", max(r["wall_s"] for r in rounds), "<=", 1.0),
                       check("largest resident MB", max(r["resident_bytes"] for r in rounds) / 1e6, "<=", 100)],
            "settings": {"model": "70B shape, Q4_1, header only", "ram": "24GiB", "file_bytes": size,
                         "stored_bytes": stored}}


CASES = {
    "offload-1100": lambda bench: offload(bench, "1100MiB", "1150M", 2.5, least_of_bound=0.92),
    "offload-1450": lambda bench: offload(bench, "1450MiB", "1500M", 4.0),
    "offload-1700": lambda bench: offload(bench, "1700MiB", "1750M", 6.5),
    "smollm2-64": lambda bench: survives(bench, "64MiB", "112M"),
    "smollm2-40": lambda bench: survives(bench, "40MiB", "88M"),
    "memory-smollm2": lambda bench: in_memory(bench, bench.smollm2, "SmolLM2-135M Q4_1", 64),
    "memory-synthetic": lambda bench: in_memory(bench, bench.synthetic(), "3B shape, Q4_0", 32),
    "plan-40gb": plan_40gb,
}
