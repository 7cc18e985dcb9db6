#!/usr/bin/env python3
"""Turns the reference .npz files of SmolLM2 into JSON that the C++ tests read. Needs NumPy.

usage: convert.py FOLDER_WITH_NPZ    (writes chat.json, code.json and passage.json beside this script)
"""
import json
import pathlib
import sys

import numpy as np

here = pathlib.Path(__file__).parent
for name in ("chat", "code", "passage"):
    arrays = np.load(pathlib.Path(sys.argv[1]) / f"{name}.npz")
    out = {}
    for key in ("ids", "logprob_next", "logsumexp", "top_ids", "top_logits", "greedy_ids", "greedy_margin"):
        values = arrays[key]
        # Nine digits give back the float32 exactly.
        out[key] = values.tolist() if values.dtype.kind == "i" else [
            float(f"{x:.9g}") for x in values.reshape(-1).tolist()]
        if values.dtype.kind == "i" and values.ndim > 1:
            out[key] = values.reshape(-1).tolist()
    (here / f"{name}.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
