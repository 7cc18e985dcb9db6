#!/usr/bin/env python3
"""Checks that the tests of kernels can fail: changes one index or operator of a kernel, builds it for the emulation, and runs the
contract tests, which must find the change.

usage: tests/kernels/mutation_check.py BUILD_DIR [N]      a Ninja build in which test_op_tables is built
With N, so many of the changes, drawn by WINDLASS_TEST_SEED or by chance: all of them take minutes.
Takes compiler, flags and link line from the build; writes nothing into it. Exit code 0 if every change was found.
"""
import json
import os
import pathlib
import random
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# File under kernels/, the unit that is compiled, what is replaced (it occurs once), by what, and the tests that must fail.
MUTATIONS = [
    ("norm.cu", "norm.cu", "fmaf(in[i], in[i], squares)", "fmaf(in[i], in[0], squares)", "norms*"),
    ("row_tiles.h", "elementwise.cu", "tiles.first_row + blockIdx.x", "blockIdx.x", "rows add up*"),
    ("reduce.h", "norm.cu", "= value;\n  __syncthreads();", "= value;", "norms*"),
    ("rope.cu", "rope.cu", "first + pairs", "first + pairs - 1", "rope*"),
    ("elementwise.cu", "elementwise.cu", "row * args.up_stride", "row * args.in_stride", "activations*"),
    ("elementwise.cu", "elementwise.cu", "scaled / args.soft_cap", "x / args.soft_cap", "scaling*"),
    ("rows.cu", "rows.cu", "args.shares[j]", "args.shares[j - row * args.n_used]", "gathered*"),
    ("routing.cu", "routing.cu", "if (place % kWarpLanes == lane) ranks", "if (place == lane) ranks", "experts and shares*"),
    ("routing.cu", "routing.cu", "fminf(best, merit[i])", "fminf(best, merit[0])", "experts and shares*"),
    ("routing.cu", "routing.cu", "0xffffffffu - static_cast<std::uint32_t>(i);", "static_cast<std::uint32_t>(i);", "of equal experts*"),
    ("q8_rows.cu", "q8_rows.cu", "int mask = 8", "int mask = 4", "q8 rows*"),
    ("kv_append.cu", "kv_append.cu", "head * args.page_tokens + slot", "head * args.page_tokens + lane", "appended*"),
    ("attention_work.h", "attention_floats.cu", "position - args.window + 1 - origin", "position - args.window - origin",
     "attention over*"),
    ("attention_work.h", "attention_tiles.cu", "last_position + 1 - origin", "last_position - origin", "attention over*"),
    ("attention_work.h", "attention_tiles.cu", "begin = max(begin, tiles.begin - first_item)", "begin = max(begin, tiles.begin)",
     "any split of the attention*"),
    ("attention_work.h", "attention_floats.cu", "item / n * tiles.per_head + block", "item % n * tiles.per_head + block",
     "splits of a long*"),
    ("kv_elements.h", "attention_floats.cu", "i / kKvBlock * kKvGroupKeys + key);\n    for", "key);\n    for", "attention over*"),
    ("kv_elements.h", "attention_floats.cu", "[1 + i % kKvBlock / 2]", "[i % kKvBlock / 2]", "attention over*"),
    ("attention_floats_inl.h", "attention_floats.cu", "scores[r], kGroupKeys)", "scores[r], 8)", "attention over*"),
    ("attention_floats_inl.h", "attention_floats.cu", "first_key + key < seen.end", "first_key + key <= seen.end", "attention over*"),
    ("attention_floats.cu", "attention_floats.cu", "first % slices.slices + slices.slices", "first % slices.slices",
     "attention over*"),
    ("attention_floats.cu", "attention_floats.cu", "__syncthreads();  // the weights have been read", "", "attention over*"),
    ("attention_tiles_inl.h", "attention_tiles.cu", "tile.loaded_tile() / 2 * kChunkBytes", "tile.loaded_tile() % 2 * kChunkBytes",
     "attention over*"),
    ("attention_tiles_inl.h", "attention_tiles.cu", "key >= seen.begin && key < seen.end", "key < seen.end", "keys before the window*"),
    ("attention_tiles_inl.h", "attention_tiles.cu", "min(positions.first, position)", "max(positions.first, position)",
     "positions are data*"),
    ("attention_tiles.cu", "attention_tiles.cu", "wait_for_copies<1>", "wait_for_copies<2>", "attention over*"),
    ("attention_tiles.cu", "attention_tiles.cu", "__syncthreads();  // the buffer has been read", "", "splits of a long*"),
    ("attention_tiles.cu", "attention_tiles.cu", "multiply_halves(scores[2 * group + 1], q[step], k[2]",
     "multiply_halves(scores[2 * group + 1], q[step], k[1]", "attention over*"),
    ("attention_tiles.cu", "attention_tiles.cu", "softmax->sum[i] * factor + quad", "softmax->sum[i] + quad", "attention over*"),
    ("partials.h", "attention_floats.cu", "first ? 0.0f : expf(max - most)", "expf(max - most)", "attention over*"),
    ("partials.h", "attention.cu", "split_sum * shares.added;", "split_sum;", "splits of a long*"),
    ("attention.cu", "attention.cu", "(s * args.rows + row) * stride", "(s + row) * stride", "splits of a long*"),
    ("formats/k_quants.h", "dequantize.cu", "block[192 + 2 * part + half]", "block[192 + part + half]", "dequantised*"),
    ("formats/codebooks.h", "dequantize.cu", "load_u16(block + (48 + g / 4 * 2))", "load_u16(block + (48 + g / 8 * 2))",
     "dequantised*"),
    ("formats/ternary.h", "dequantize.cu", "ternary_digits(four, digit + 1)", "ternary_digits(four, digit)", "dequantised*"),
    ("formats/blocks_32.h", "matvec_q8.cu", "spread_bits(fifth, 16 + 4 * j) << 7", "spread_bits(fifth, 15 + 4 * j) << 7",
     "a product with q8*"),
    ("staged_rows.h", "matvec_q8.cu", "(piece) % 16)", "(piece) % 8)", "a product with q8*"),
    ("matvec.h", "matvec_q8.cu", "s < segments; ++s", "s + 1 < segments; ++s", "a product with q8*"),
    ("matvec.h", "matvec_f32.cu", "    __syncthreads();\n    stage_matvec", "    stage_matvec", "a product with float*"),
    ("matvec.h", "matvec_f32.cu", "std::int64_t row = first_row + thread / kMostVectors",
     "std::int64_t row = first_row + thread % kMostVectors", "a product with float*"),
    ("matvec_q8.cu", "matvec_q8.cu", "first * args.x_block_bytes", "first * kQ8Block * 2", "interleaved*"),
    ("q8_dot.h", "matvec_q8.cu", "x.half_sums[half]", "x.half_sums[1 - half]", "a product with q8*"),
    ("q8_tiles.h", "matmul_q8_tiles.cu", "groups[i / 2][half]", "groups[i % 2][half]", "a product of any*"),
    ("q8_tiles.h", "matmul_q8_tiles.cu", "(token(2 * t + 1))", "(token(2 * t))", "a product of any*"),
    ("thin_tiles.h", "matmul_q8_tiles.cu", "ThinShape::kPitch + 8] = sums[0][n][3]", "ThinShape::kPitch + 8] = sums[0][n][2]",
     "a product of any*"),
    ("matmul_q8_tiles.cu", "matmul_q8_tiles.cu", "__syncthreads();  // what lies there may still be read", "",
     "activations beyond*"),
    ("matmul_q8_tiles.cu", "matmul_q8_tiles.cu", "(part + kStepBlocks) % kQ8SegmentBlocks == 0", "part % kQ8SegmentBlocks == 0",
     "activations beyond*"),
    ("matmul_q8_tiles.cu", "matmul_q8_tiles.cu", "r = row + i / 2 * 8", "r = row + i / 2 * 4", "a product of any*"),
    ("matmul_bf16.cu", "matmul_bf16.cu", "weights, values[0], values[4]", "weights, values[0], values[3]",
     "a product with bf16*"),
    ("matmul_bf16.cu", "matmul_bf16.cu", "if (c >= left) return 0;", "", "a product with bf16*"),
    ("matmul_f32_tiles.cu", "matmul_f32_tiles.cu", "__syncthreads();  // what lies there may still be read", "",
     "a product of any*"),
    ("matmul_f32_tiles.cu", "matmul_f32_tiles.cu", "(first + kStep) % kF32Segment != 0", "first % kF32Segment != 0",
     "one token*"),
    ("matmul_transposed.cu", "matmul_transposed.cu", "__syncthreads();  // the activations", "// the activations",
     "a transposed product*"),
    ("matmul_transposed.cu", "matmul_transposed.cu", "first_token + n / kRows", "first_token + n % kTokens", "a transposed product*"),
]


def run(command, **options):
  return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def compile_command(build, unit):
  """Of the emulated unit, as a list; its output is not in it."""
  for entry in json.loads((build / "compile_commands.json").read_text()):
    if entry["file"] == str(ROOT / "kernels" / unit) and "emulat" in entry["command"]:
      words = shlex.split(entry["command"])
      at = words.index("-o")
      return words[:at] + words[at + 2:]
  sys.exit(f"mutation_check: {build} does not compile kernels/{unit} for the emulation")


def link_command(build):
  """Of test_op_tables, as a list, without what CMake runs after it."""
  commands = run(["ninja", "-C", str(build), "-t", "commands", "-s", "tests/test_op_tables"]).stdout
  lines = [line for line in commands.splitlines() if " -o tests/test_op_tables " in line]
  if not lines:
    sys.exit(f"mutation_check: {build} has no link command of tests/test_op_tables")
  link = next(part for part in lines[-1].split("&&") if " -o tests/test_op_tables " in part)
  return shlex.split(link)


def outcome(build, folder, mutation):
  """Nothing where the tests found the change; else what happened instead."""
  file, unit, old, new, tests = mutation
  text = (ROOT / "kernels" / file).read_text()
  if text.count(old) != 1:
    return f"occurs {text.count(old)} times: {old!r}"
  changed = folder / "kernels" / file
  changed.parent.mkdir(parents=True, exist_ok=True)
  changed.write_text(text.replace(old, new))
  compiled, program = folder / "unit.o", folder / "test_op_tables"
  words = compile_command(build, unit)
  source = str(changed) if file == unit else str(ROOT / "kernels" / unit)
  words = [source if word == str(ROOT / "kernels" / unit) else word for word in words]
  # -O1: what takes long is compiling.
  made = run(words[:1] + ["-I", str(folder)] + words[1:] + ["-O1", "-o", str(compiled)], cwd=build)
  if made.returncode != 0:
    return "does not compile:\n" + made.stdout
  # The changed unit stands before the library, whose own one is then not taken.
  link = link_command(build)
  at = link.index("-o")
  link[at + 1:at + 2] = [str(program), str(compiled)]
  made = run(link, cwd=build)
  if made.returncode != 0:
    return "does not link:\n" + made.stdout
  tested = run([str(program), tests, "--abort"], env={**os.environ, "WINDLASS_TEST_BACKEND": "cuda"})
  return "" if tested.returncode != 0 and "FAILED" in tested.stdout else "was not found"


def main():
  if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
  build = pathlib.Path(sys.argv[1]).resolve()
  chosen = MUTATIONS
  if len(sys.argv) == 3:
    seed = os.environ.get("WINDLASS_TEST_SEED") or str(time.time_ns())
    chosen = random.Random(seed).sample(MUTATIONS, int(sys.argv[2]))
    print(f"WINDLASS_TEST_SEED={seed}", flush=True)
  failures = 0
  for mutation in chosen:
    with tempfile.TemporaryDirectory() as folder:
      wrong = outcome(build, pathlib.Path(folder), mutation)
    failures += wrong != ""
    print(f"{mutation[0]}: {mutation[2]!r} -> {mutation[3]!r}: {wrong or 'found'}", flush=True)
  return 1 if failures else 0


if __name__ == "__main__":
  sys.exit(main())
