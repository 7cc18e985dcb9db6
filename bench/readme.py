"""Tables of the README that are made from committed results: nobody types a number."""

import argparse
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def spread(summary, key, digits=2, scale=1.0):
    """Median (lowest-highest), or a dash where it was not measured."""
    figures = summary.get(key)
    if not figures:
        return "-"
    middle, low, high = (figures[k] * scale for k in ("median", "min", "max"))
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def percent(summary, key):
    return spread(summary, key, 0, 100) + " %" if summary.get(key) else "-"


def origin_text(entries):
    """Where and how entries were measured; each distinct machine is named."""
    machines = sorted({f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB" for m in
                       (entry["machine"] for entry in entries)})
    rounds = sorted({len(entry["rounds"]) for entry in entries})
    dates = sorted({entry["measured_utc"][:10] for entry in entries})
    return [f"Medians (lowest-highest) of {' or '.join(map(str, rounds))} interleaved rounds on {'; '.join(machines)}; "
            f"{' to '.join(sorted({dates[0], dates[-1]}))}."]


def paragraphs(parts):
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def committed_text(prefix, short_text):
    """One section for each machine that has results in docs/measurements."""
    texts = [short_text(json.loads(path.read_text()))
             for path in sorted((ROOT / "docs" / "measurements").glob(f"{prefix}-*.json"))]
    return "\n".join(texts) if texts else "Nothing measured yet.\n"


def update(name, script, short_text, description):
    """The command line of a table.py: puts the committed text between the README's markers of `name`, or checks it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    path = ROOT / "README.md"
    readme = path.read_text()
    marker = f"<!-- {name}: made by {script} from docs/measurements -->"
    begin, end = readme.index(marker) + len(marker), readme.index(f"<!-- /{name} -->")
    wanted = readme[:begin] + "\n" + committed_text(name, short_text) + readme[end:]
    if args.check and readme != wanted:
        print(f"README.md does not show docs/measurements: run {script}", file=sys.stderr)
        return 1
    if not args.check:
        path.write_text(wanted)
    return 0
