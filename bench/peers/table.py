#!/usr/bin/env python3
"""Makes the README's table of speed from the committed results of run.py: nobody types a number.

  bench/peers/table.py            puts the table between the README's markers
  bench/peers/table.py --check    fails if the README has another table (a test runs this)
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import readme  # noqa: E402
from readme import spread  # noqa: E402

MODELS = {"smollm2": "SmolLM2-135M", "1b": "1B shape", "3b": "3B shape"}


def phase_text(settings):
    """As `windlass bench` names the test."""
    text = f"pp{settings['n_prompt']}" if settings["n_prompt"] else f"tg{settings['n_gen']}"
    if settings["n_seq"] > 1:
        text += f" x{settings['n_seq']}"
    if settings["depth"]:
        text += f" @ d{settings['depth']}, {settings['kv']} KV"
    return text


def limit_text(summary):
    """Of the two, the limit that is nearer."""
    dram, peak = summary["dram_share"]["median"], summary["peak_share"]["median"]
    return f"{100 * dram:.0f} % of DRAM" if dram > peak else f"{100 * peak:.0f} % of peak"


def row_text(cell):
    settings, s = cell["settings"], cell["summary"]
    return (f"| {MODELS[settings['model']]} | {settings['type'].upper()} | {phase_text(settings)} | {spread(s, 'ours_ts')} | "
            f"{spread(s, 'theirs_ts')} | {spread(s, 'ratio')} | {limit_text(s)} | {cell['isa']} |")


def short_text(results):
    """What the README shows."""
    cells = results["cells"].values()
    if not cells:
        return "Nothing measured yet.\n"
    lines = ["| model | type | test | Windlass tok/s | llama.cpp tok/s | times llama.cpp | share of the machine's limit | ISA |",
             "|---|---|---|---|---|---|---|---|", *map(row_text, cells)]
    versions = sorted({cell["peer"]["version"] for cell in cells})
    peer = [f"llama.cpp of llama-cpp-python {', '.join(versions)}, built for this CPU, weights repacked, flash attention on, "
            f"{' or '.join(sorted({str(cell['peer']['threads']) for cell in cells}))} threads."]
    return readme.paragraphs([lines, [*readme.origin_text(cells), *peer]])


if __name__ == "__main__":
    sys.exit(readme.update("peers", "bench/peers/table.py", short_text, __doc__))
