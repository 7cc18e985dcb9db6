#!/usr/bin/env python3
"""Makes the README's table from the committed results of run.py: nobody types a number.

  bench/offload/table.py            puts the table between the README's markers
  bench/offload/table.py --check    fails if the README has another table (a test runs this)
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import readme  # noqa: E402
from readme import percent, spread  # noqa: E402

MIB = 1 << 20


def settings_text(settings):
    parts = [settings["model"]]
    if "ram" in settings:
        parts.append(f"`--ram {settings['ram']}`" + (f" in {settings['cgroup']}" if "cgroup" in settings else ""))
    return ", ".join(parts)


def rows_of(results, prefix):
    return [(name, case) for name, case in results["cases"].items() if name.startswith(prefix)]


def speed_table(results):
    lines = []
    for name, case in rows_of(results, "offload") + rows_of(results, "memory"):
        s = case["summary"]
        lines.append(f"| {settings_text(case['settings'])} | {spread(s, 'tok_s')} | {spread(s, 'peer_tok_s')} | "
                     f"{spread(s, 'ratio', 1)} | {percent(s, 'of_bound')} | {percent(s, 'prediction_error')} |")
    if not lines:
        return []
    return ["| model, memory | Windlass tok/s | llama.cpp tok/s | times llama.cpp | of the disk's bound | prediction's error |",
            "|---|---|---|---|---|---|", *lines]


def memory_table(results):
    lines = []
    for name, case in rows_of(results, "smollm2"):
        s = case["summary"]
        ok = all(check["ok"] for check in case["checks"])
        lines.append(f"| {settings_text(case['settings'])}, {case['settings']['context']} tokens | "
                     f"{spread(s, 'peak_bytes', 0, 1 / MIB)} MiB | {spread(s, 'tok_s')} | {'yes' if ok else 'no'} |")
    if not lines:
        return []
    return ["| model, budget in cgroup, context | peak of the cgroup | tok/s | survives |", "|---|---|---|---|", *lines]


def plan_text(results):
    case = results["cases"].get("plan-40gb")
    if not case:
        return []
    s = case["summary"]
    return [f"`windlass plan` on a {case['settings']['file_bytes'] / 1e9:.0f} GB file: {spread(s, 'wall_s')} s, "
            f"{spread(s, 'resident_bytes', 0, 1e-6)} MB resident."]


def short_text(results):
    """What the README shows."""
    if not results["cases"]:
        return "Nothing measured yet.\n"
    return readme.paragraphs([speed_table(results), memory_table(results), plan_text(results),
                              readme.origin_text(results["cases"].values())])


def check_table(results):
    lines = ["| case | check | measured | wanted | |", "|---|---|---|---|---|"]
    for name, case in results["cases"].items():
        for check in case["checks"]:
            value = "not measured" if check["value"] is None else f"{check['value']:.3g}"
            lines.append(f"| {name} | {check['what']} | {value} | {check['relation']} {check['target']:.3g} | "
                         f"{'ok' if check['ok'] else '**missed**'} |")
    return lines


def whole_text(results):
    """What run.py prints and keeps beside the JSON."""
    return short_text(results) + "\n" + "\n".join(check_table(results)) + "\n"


if __name__ == "__main__":
    sys.exit(readme.update("offload", "bench/offload/table.py", short_text, __doc__))
