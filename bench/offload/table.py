#!/usr/bin/env python3
"""Makes the README's table from the committed results of run.py: nobody types a number.

  bench/offload/table.py            puts the table between the README's markers
  bench/offload/table.py --check    fails if the README has another table (a test runs this)
"""

import argparse
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BEGIN = "<!-- offload: made by bench/offload/table.py from docs/measurements -->"
END = "<!-- /offload -->"
MIB = 1 << 20


def spread(summary, key, digits=2, scale=1.0):
    """Median (lowest-highest), or a dash where it was not measured."""
    figures = summary.get(key)
    if not figures:
        return "-"
    middle, low, high = (figures[k] * scale for k in ("median", "min", "max"))
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def percent(summary, key):
    return spread(summary, key, 0, 100) + " %" if summary.get(key) else "-"


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


def origin_text(results):
    """Where and how the rows were measured; each distinct machine is named."""
    machines = sorted({f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB" for m in
                       (case["machine"] for case in results["cases"].values())})
    rounds = sorted({len(case["rounds"]) for case in results["cases"].values()})
    dates = sorted({case["measured_utc"][:10] for case in results["cases"].values()})
    return [f"Medians (lowest-highest) of {' or '.join(map(str, rounds))} interleaved rounds on {'; '.join(machines)}; "
            f"{' to '.join(sorted({dates[0], dates[-1]}))}."]


def short_text(results):
    """What the README shows."""
    if not results["cases"]:
        return "Nothing measured yet.\n"
    parts = [speed_table(results), memory_table(results), plan_text(results), origin_text(results)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


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


def committed_text():
    """The README's part: one section for each machine that has results."""
    texts = [short_text(json.loads(path.read_text()))
             for path in sorted((ROOT / "docs" / "measurements").glob("offload-*.json"))]
    return "\n".join(texts) if texts else "Nothing measured yet.\n"


def with_table(readme, text):
    begin, end = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    return readme[:begin] + "\n" + text + readme[end:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    path = ROOT / "README.md"
    readme = path.read_text()
    wanted = with_table(readme, committed_text())
    if args.check and readme != wanted:
        print("README.md does not show docs/measurements: run bench/offload/table.py", file=sys.stderr)
        return 1
    if not args.check:
        path.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
