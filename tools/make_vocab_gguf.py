#!/usr/bin/env python3
"""Cuts the vocabulary out of a GGUF: all metadata byte for byte, no tensors.

usage: make_vocab_gguf.py MODEL.gguf VOCAB.gguf

Needs no packages. The result is what tests/golden/tokenizer/*-vocab.gguf are.
"""
import struct
import sys

SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


def read_exactly(file, size):
    data = file.read(size)
    if len(data) != size:
        sys.exit(f"{file.name}: ends at byte {file.tell()}, inside its metadata")
    return data


def skip_string(file):
    (size,) = struct.unpack("<Q", read_exactly(file, 8))
    read_exactly(file, size)


def skip_value(file, value_type):
    if value_type == STRING:
        skip_string(file)
    elif value_type == ARRAY:
        element_type, count = struct.unpack("<IQ", read_exactly(file, 12))
        for _ in range(count):
            skip_value(file, element_type)
    elif value_type in SCALAR_BYTES:
        read_exactly(file, SCALAR_BYTES[value_type])
    else:
        sys.exit(f"{file.name}: unknown value type {value_type} before byte {file.tell()}")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as model:
        magic, version, _, n_values = struct.unpack("<4sIQQ", read_exactly(model, 24))
        if magic != b"GGUF" or version not in (2, 3):
            sys.exit(f"{model.name}: not a GGUF of version 2 or 3")
        for _ in range(n_values):
            skip_string(model)
            (value_type,) = struct.unpack("<I", read_exactly(model, 4))
            skip_value(model, value_type)
        end = model.tell()
        model.seek(24)
        values = read_exactly(model, end - 24)
    with open(sys.argv[2], "wb") as vocabulary:
        vocabulary.write(struct.pack("<4sIQQ", magic, version, 0, n_values) + values)
    print(f"{sys.argv[2]}: {end} bytes, {n_values} metadata values")


main()
