#!/usr/bin/env python3
"""Writes tests/golden/chat_templates/jinja2_cases.json: what jinja2 itself renders, in the environment of chat templates.

Needs jinja2 3.1.6. Usage: make_jinja_cases.py tests/corpus/jinja_cases.txt > jinja2_cases.json; a line of the cases is a JSON string, or a template.
"""
import datetime
import json
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

VARIABLES = {
    "n": 7, "f": 2.5, "s": "Hello, Wörld! ß", "t": "  pad\t\n", "e": "", "z": None, "b": True,
    "xs": [3, 1, 2], "ys": ["b", "A", "c", "B"], "d": {"b": 1, "a": "x", "items": 5, "C": [1, 2]},
    "m": [{"role": "user", "content": "hi", "n": 1}, {"role": "assistant", "content": None, "n": 2},
          {"role": "tool", "n": 3, "content": {"k": [1, "é"]}}],
    "nest": [[1, [2, 3]], {"q": {"r": [{"s": 1}]}}], "big": 123456789012, "em": [], "ed": {},
}


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def to_json(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def render(environment, source):
    try:
        return environment.from_string(source).render(**VARIABLES)
    except Exception:  # what it is does not matter: this engine must fail too
        return None


def main():
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda f: datetime.datetime.fromtimestamp(1700000000).strftime(f)
    sources = []
    for line in open(sys.argv[1], encoding="utf-8").read().split("\n"):
        if line:
            sources.append(json.loads(line) if line.startswith('"') else line)
    cases = [{"template": source, "expected": render(environment, source)} for source in sources]
    json.dump({"variables": VARIABLES, "cases": cases}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
