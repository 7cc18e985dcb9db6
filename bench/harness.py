"""What the benchmarks against other programs share: running windlass, llama.cpp, fio, memory cgroups; keeping results."""

import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

MIB = 1 << 20
ROOT = pathlib.Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench" / "peers"


class BenchError(RuntimeError):
    """A program that the benchmark needs failed; the message names it and shows the end of what it said."""


def cpu_name():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown CPU"


def machine():
    """What a row of results must say about where it was measured."""
    cores = len(os.sched_getaffinity(0))
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu": cpu_name(), "cores": cores, "memory_gib": round(pages / (1 << 30), 1),
            "kernel": os.uname().release}


def machine_slug():
    here = machine()
    name = re.sub(r"\((r|tm)\)", "", here["cpu"], flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {here['cores']} cores".lower()).strip("-")


def user_cache():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))


def default_work_dir():
    """Where synthetic models and the benchmarks' machine profile are kept."""
    return user_cache() / "windlass" / "bench"


def default_peer():
    """The Python that setup.sh makes."""
    return pathlib.Path(os.environ.get("WINDLASS_PEERS") or user_cache() / "windlass-peers") / "bin" / "python"


def fetch_smollm2():
    status, path, err, _, _ = run([ROOT / "tools" / "fetch_smollm2.sh"])
    if status != 0:
        raise BenchError(f"fetch_smollm2.sh: {err.strip()}")
    return pathlib.Path(path.strip())


def load_results(path, part):
    """Results kept so far; `part` names what they consist of. Error for those of another machine."""
    if not path.exists():
        return {"machine": machine(), part: {}}
    results = json.loads(path.read_text())
    if results["machine"]["cpu"] != machine()["cpu"]:
        raise BenchError(f"{path} was measured on {results['machine']['cpu']}: give --results another name")
    return results


def summary_of(rounds):
    """The summary of each figure of the rounds."""
    keys = [key for key, value in rounds[0].items() if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return {key: summarise([r.get(key) for r in rounds]) for key in keys}


def summarise(values):
    """Median and spread of one figure over the rounds."""
    values = [v for v in values if v is not None]
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def run(command, cwd=None):
    """Runs a command to its end: (exit status, stdout, stderr, seconds, largest resident bytes)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=err, cwd=cwd)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return (process.returncode, out.read().decode(), err.read().decode(errors="replace"), wall_s,
                usage.ru_maxrss * 1024)


def run_json(command):
    """As run(), but the command must succeed, and its stdout is JSON."""
    status, out, err, _, _ = run(command)
    if status != 0:
        raise BenchError(f"{' '.join(str(c) for c in command)}\n  exit status {status}: {(err or out)[-600:].strip()}")
    return json.loads(out)


def run_limited(command, limit):
    """Runs a command in a memory cgroup: (its JSON or None, memrun's figures, stderr)."""
    status, out, err, _, _ = run([PEERS / "memrun.sh", limit, *command])
    line = re.search(r"^memrun: (.*)$", err, re.MULTILINE)
    if not line:
        raise BenchError(f"memrun.sh {limit}: exit status {status}: {err[-600:].strip()}")
    figures = {key: float(value) for key, value in (pair.split("=") for pair in line.group(1).split())}
    return (json.loads(out) if status == 0 and out.strip() else None), figures, err


class Windlass:
    """The program under test, with a machine profile of its own."""

    def __init__(self, binary, cache_dir):
        self.binary = pathlib.Path(binary)
        self.cache_dir = cache_dir
        if not self.binary.exists():
            raise BenchError(f"{binary} is not there: build it with tools/build.sh release windlass")

    def version(self):
        return run([self.binary, "--version"])[1].strip()

    def command(self, name, *arguments):
        return [self.binary, name, "--cache-dir", self.cache_dir, *arguments]

    def profile(self, model):
        """Measures the machine again and caches the result, so that a prediction is about now."""
        return run_json(self.command("profile", "-m", model, "--json"))

    def plan(self, model, *arguments):
        return run_json(self.command("plan", "-m", model, "--json", *arguments))

    def bench(self, model, *arguments):
        """The only row of a `windlass bench` of one test."""
        return run_json(self.command("bench", "-m", model, "-o", "json", "--progress", "off", *arguments))[0]

    def synth(self, path, *arguments):
        run_json([self.binary, "synth", path, "--json", *arguments])

    def generation(self, model, ids, n, *arguments):
        return self.command("run", "-m", model, "--json", "--progress", "off", "--ids", ids, "-n", n,
                            "--temp", 0, "--ignore-eos", *arguments)


class LlamaCpp:
    """The peer, at the setting that each case names."""

    def __init__(self, python):
        self.python = pathlib.Path(python)

    def require(self):
        if run([self.python, "-c", "import llama_cpp"])[0] != 0:
            raise BenchError(f"{self.python} has no llama.cpp: run bench/peers/setup.sh (ten minutes), or pass --no-peer")

    def install(self):
        """By setup.sh, where it is not there: ten minutes."""
        if run([self.python, "-c", "import llama_cpp"])[0] == 0:
            return
        status, _, err, _, _ = run([PEERS / "setup.sh", self.python.parents[1]])
        if status != 0:
            raise BenchError(f"bench/peers/setup.sh: exit status {status}: {err[-600:].strip()}")

    def command(self, model, prompt, n, repetitions, *arguments):
        threads = len(os.sched_getaffinity(0))
        return [self.python, PEERS / "llama_cpp_bench.py", model, "-p", prompt, "-n", n, "-r", repetitions,
                "-t", threads, *arguments]


class Fio:
    """The disk's own rate: direct sequential reads, 1 MiB, eight in flight."""

    def __init__(self):
        self.engine = None

    def require(self):
        if shutil.which("fio") is None:
            raise BenchError("fio is not installed: run tools/install_deps.sh --bench")

    def read_rate(self, path, offset, size):
        """Bytes a second over [offset, offset + size) of a file, read twice in a row."""
        engines = [self.engine] if self.engine else ["io_uring", "libaio"]
        for engine in engines:
            status, out, err, _, _ = run([
                "fio", "--name=read", f"--filename={path}", "--readonly", "--rw=read", "--direct=1", "--bs=1M",
                "--iodepth=8", f"--ioengine={engine}", f"--offset={offset // MIB * MIB}",
                f"--size={max(size // MIB, 1) * MIB}", "--loops=2", "--thread", "--output-format=json"])
            if status == 0:
                self.engine = engine
                return json.loads(out[out.index("{"):])["jobs"][0]["read"]["bw_bytes"]
        raise BenchError(f"fio cannot read {path}: {err[-300:].strip()}")


def disk_bytes(receipt):
    """Everything that a receipt says it read from disk."""
    return receipt["load_bytes"] + sum(
        receipt[phase]["links"]["disk_to_host"]["bytes"] for phase in ("prefill", "decode"))
