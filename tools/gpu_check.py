#!/usr/bin/env python3
"""The checks and measurements of tools/gpu_check.sh; writes gpu-check.json and gpu-check.md to --out.

Exit code 0 if all that ran passed, 1 otherwise, 2 for a machine or bundle that cannot be used.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

TOTAL_S = 525  # of nine minutes
GIB = 1 << 30


class Checker:
    def __init__(self, options):
        self.scratch = pathlib.Path(options.scratch).resolve()
        self.bundle = pathlib.Path(tempfile.mkdtemp(prefix="gpu-check-", dir=self.scratch))
        with tarfile.open(options.bundle) as bundle:
            bundle.extractall(self.bundle)
        self.out = pathlib.Path(options.out).resolve()
        self.begin = time.monotonic()
        self.report = {"commit": (self.bundle / "commit").read_text().strip(), "steps": []}

    def left_s(self):
        return TOTAL_S - (time.monotonic() - self.begin)

    def program(self, name):
        """A command that starts a program of the bundle on whatever C library this machine has."""
        return [str(self.bundle / "lib/loader"), "--library-path", str(self.bundle / "lib"), str(self.bundle / "bin" / name)]

    def run(self, name, command, limit_s, env=None):
        """Runs a step; its record is in the report. A step that there is no time for is skipped."""
        limit_s = min(limit_s, self.left_s())
        if limit_s < 5:
            return self.note(name, "skipped", "no time is left")
        begin = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, env={**os.environ, **(env or {})},
                                  cwd=self.scratch)
            result, code, out, err = ("passed" if done.returncode == 0 else "failed"), done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:
            text = lambda part: part.decode(errors="replace") if isinstance(part, bytes) else (part or "")
            result, code, out, err = "too slow", None, text(late.stdout), text(late.stderr)
        except OSError as error:
            return self.note(name, "failed", str(error))
        step = {"name": name, "result": result, "exit_code": code, "wall_s": round(time.monotonic() - begin, 2),
                "stdout": out[-20000:], "stderr": err[-4000:]}
        self.report["steps"].append(step)
        print(f"{name}: {result}, {step['wall_s']} s", flush=True)
        if result != "passed":
            print((out[-1500:] + err[-1500:]).strip(), flush=True)
        return step

    def note(self, name, result, reason):
        step = {"name": name, "result": result, "reason": reason}
        self.report["steps"].append(step)
        print(f"{name}: {result}: {reason}", flush=True)
        return step

    # -- steps

    def machine(self):
        query = "name,driver_version,memory.total,memory.free,pcie.link.gen.current,pcie.link.width.current,mig.mode.current"
        self.run("nvidia-smi", ["nvidia-smi", f"--query-gpu={query}", "--format=csv"], 20)
        self.run("doctor", self.program("windlass") + ["doctor"], 30)

    def op_tables(self):
        card = {"WINDLASS_TEST_BACKEND": "cuda"}
        self.run("contract of ops on the card", self.program("test_op_tables_card"), 120, card)
        sanitizer = shutil.which("compute-sanitizer") or next(
            (str(path) for path in pathlib.Path("/usr/local").glob("cuda*/bin/compute-sanitizer")), None)
        if sanitizer is None:
            return self.note("compute-sanitizer", "skipped", "this machine has none")
        tests = "norms*,rope*,appended*,dequantised*"
        command = [sanitizer, "--tool", "memcheck", "--error-exitcode", "9"] + self.program("test_op_tables_card") + [tests]
        return self.run("compute-sanitizer memcheck", command, 60, card)

    def synth(self, name, *flags):
        path = self.scratch / name
        step = self.run(f"synth {name}", self.program("windlass") + ["synth", str(path), *flags, "--progress", "off"], 170)
        return path if step["result"] == "passed" else None

    def selftest(self, path, vram):
        self.run(f"selftest {path.name} --vram {vram}",
                 self.program("windlass") + ["selftest", "-m", str(path), "--vram", vram, "--progress", "off"], 60)

    def bench(self, name, path, *flags):
        command = self.program("windlass") + ["bench", "-m", str(path), "-o", "json", "--progress", "off", *flags]
        step = self.run(f"bench {name}", command, 110)
        if step["result"] != "passed":
            return
        try:
            step["rows"] = json.loads(step["stdout"])
            step["stdout"] = ""
        except ValueError:
            step["result"] = "failed"

    def torch(self):
        script = pathlib.Path(__file__).resolve().parent / "gpu_peers.py"
        step = self.run("PyTorch", [sys.executable, "-B", str(script)], 60)
        try:
            step["figures"] = json.loads(step.get("stdout", "").strip().splitlines()[-1])
        except (ValueError, IndexError):
            pass

    # -- results

    def markdown(self):
        lines = [f"# GPU check of {self.report['commit']}", ""]
        smi = next((s for s in self.report["steps"] if s["name"] == "nvidia-smi"), {})
        lines += ["    " + line for line in smi.get("stdout", "").strip().splitlines()] + [""]
        lines += ["| step | result | s |", "|---|---|---|"]
        for step in self.report["steps"]:
            lines.append(f"| {step['name']} | {step['result']} {step.get('reason', '')} | {step.get('wall_s', '')} |")
        rows = [(s["name"], row) for s in self.report["steps"] for row in s.get("rows", [])]
        if rows:
            lines += ["", "| bench | test | tok/s | predicted | of bound | host_to_vram |", "|---|---|---|---|---|---|"]
        for name, row in rows:
            test = f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}"
            link = row.get("host_to_vram_gib_per_s")
            lines.append(f"| {name} | {test} x{row.get('n_seq', 1)} | {row['avg_ts']:.2f} | {row.get('predicted_ts', 0):.2f} | "
                         f"{row.get('of_bound', 0):.2f} | {'' if link is None else f'{link:.1f} GiB/s'} |")
        for step in self.report["steps"]:
            if "figures" in step:
                lines += ["", "PyTorch: " + ", ".join(f"{key} {value}" for key, value in step["figures"].items())]
        return "\n".join(lines) + "\n"

    def write(self):
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "gpu-check.json").write_text(json.dumps(self.report, indent=1) + "\n")
        (self.out / "gpu-check.md").write_text(self.markdown())

    def passed(self):
        return all(step["result"] in ("passed", "skipped") for step in self.report["steps"])


def memory_gib():
    with open("/proc/meminfo") as file:
        fields = dict(line.split(":") for line in file)
    return int(fields["MemAvailable"].split()[0]) / 1048576


def main():
    root = pathlib.Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description="checks and measures on this machine's GPU")
    parser.add_argument("--out", required=True, help="folder for the report")
    parser.add_argument("--bundle", default=str(root / "build/gpu_bundle.tar.gz"), help="made by tools/gpu_pack.sh")
    parser.add_argument("--scratch", default=os.environ.get("TMPDIR", "/tmp"), help="folder with 45 GB of room for a model")
    parser.add_argument("--model", action="append", default=[], help="a GGUF to selftest beside the synthetic ones")
    parser.add_argument("--small", action="store_true", help="without the 70B-shape model")
    options = parser.parse_args()
    bundle = pathlib.Path(options.bundle)
    if not (bundle.exists() and tarfile.is_tarfile(bundle)):
        print(f"gpu_check: no bundle in {options.bundle}: run tools/gpu_pack.sh where Windlass is built", file=sys.stderr)
        return 2
    check = Checker(options)
    check.machine()
    if check.report["steps"][0]["result"] != "passed":
        print("gpu_check: nvidia-smi does not work: this machine has no GPU that programs can use", file=sys.stderr)
        check.write()
        shutil.rmtree(check.bundle)
        return 2
    check.op_tables()
    small = check.synth("gpu-check-small.gguf", "--layers", "8", "--embd", "1024", "--ffn", "2816", "--heads", "16", "--kv-heads", "4",
                        "--vocab", "32000", "--type", "q4_k")
    for path in [small] + [pathlib.Path(model).resolve() for model in options.model]:
        if path is not None:
            check.selftest(path, "512MiB")
    medium = None
    if small is not None and not options.small:
        medium = check.synth("gpu-check-8b.gguf", "--preset", "8b", "--type", "q4_k")
    if medium is not None:
        check.bench("8b in VRAM", medium, "--vram", "12GiB", "-p", "512", "-n", "64", "-r", "2")
        check.bench("8b, 2 GiB of VRAM", medium, "--vram", "2GiB", "-p", "512", "-n", "16", "-r", "1")
        medium.unlink()
    big = None
    room = shutil.disk_usage(check.scratch).free
    if not options.small and room > 45e9 and memory_gib() > 40:
        big = check.synth("gpu-check-70b.gguf", "--preset", "70b", "--type", "q4_k")
    elif not options.small:
        check.note("70b", "skipped", f"{room / 1e9:.0f} GB of disk and {memory_gib():.0f} GiB of memory are free; 45 GB, 40 GiB are needed")
    if big is not None:
        ram = f"{int(min(memory_gib() - 8, 64))}GiB"
        check.bench("70b", big, "--vram", "24GiB", "--ram", ram, "-p", "2048", "-ub", "2048", "-n", "8", "-r", "1", "--no-warmup")
        check.bench("70b x32", big, "--vram", "24GiB", "--ram", ram, "-p", "0", "-n", "4", "-np", "32", "-r", "1", "--no-warmup")
        big.unlink()
    if small is not None:
        small.unlink()
    check.torch()
    check.write()
    shutil.rmtree(check.bundle)
    return 0 if check.passed() else 1


if __name__ == "__main__":
    sys.exit(main())
