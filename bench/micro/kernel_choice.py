#!/usr/bin/env python3
"""Measures which kernel serves how many tokens, and writes the rows of cpu_kernels/kernel_choice.h.

  cmake --preset release -DWINDLASS_BENCH=ON && cmake --build --preset release
  bench/micro/kernel_choice.py            rows of the layers that this CPU has; the others stay as they are

On an otherwise idle machine. Rebuild, and run the tests, before the header is committed.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "cpu_kernels" / "kernel_choice.h"
BUILD = ROOT / "build" / "release"
LAYERS = {"Scalar": "scalar", "Avx2": "avx2", "AvxVnni": "avxvnni", "Avx512": "avx512", "Avx512Vnni": "avx512vnni"}


def present(isa):
    """As the program itself says: it refuses what this CPU cannot do."""
    result = subprocess.run([BUILD / "windlass", "doctor"], env={"WINDLASS_ISA": isa, "HOME": "/nonexistent"},
                            capture_output=True, text=True, check=False)
    return "this machine lacks" not in result.stdout + result.stderr


def main():
    text = HEADER.read_text()
    for layer, isa in LAYERS.items():
        if not present(isa):
            print(f"skipped: {isa}: this CPU lacks it")
            continue
        row = subprocess.run([BUILD / "bench" / "micro" / f"kernel_choice_{isa}"], stdout=subprocess.PIPE, text=True,
                             check=True).stdout.strip()
        print(f"{isa}: {row}")
        text = re.sub(rf"(k{layer}Choice = )\{{.*\}};", rf"\g<1>{row};", text)
    HEADER.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
