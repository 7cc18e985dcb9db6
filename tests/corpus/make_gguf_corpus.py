#!/usr/bin/env python3
"""Writes the seed files of the GGUF parser's fuzzing corpus into tests/corpus/gguf.

Shares no code with the C++ writer, so that a common mistake of reader and writer shows up.
The first part of a name is the outcome that tests/src/gguf_corpus_test.cpp expects:
model_ (a runnable model), ok_ (parses), bad_ (refused).
"""
import pathlib
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
CODES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B",
         U64: "Q", I64: "q", F64: "d"}
# Type: (ggml id, weights in a block, bytes of a block)
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20),
         "Q8_0": (8, 32, 34), "BF16": (30, 1, 2), "Q4_K": (12, 256, 144)}
OUT = pathlib.Path(__file__).parent / "gguf"


def u32(n): return struct.pack("<I", n)
def u64(n): return struct.pack("<Q", n)


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return u64(len(data)) + data


def scalar(kind, value):
    return string(value) if kind == STRING else struct.pack("<" + CODES[kind], value)


def kv(key, kind, value): return string(key) + u32(kind) + scalar(kind, value)


def kv_array(key, kind, values):
    return string(key) + u32(ARRAY) + u32(kind) + u64(len(values)) + b"".join(
        scalar(kind, value) for value in values)


def tensor_bytes(kind, dims):
    _, block, size = TYPES[kind]
    n = 1
    for dim in dims:
        n *= dim
    return n // block * size


def tensor_info(name, dims, type_id, offset):
    return (string(name) + u32(len(dims)) + b"".join(u64(dim) for dim in dims) + u32(type_id)
            + u64(offset))


def pad(data, alignment): return data + bytes(-len(data) % alignment)


def header(version, n_tensors, n_kv):
    return b"GGUF" + u32(version) + u64(n_tensors) + u64(n_kv)


def gguf(kvs, tensors, version=3, alignment=32):
    """tensors: (name, dims fastest first, type name)."""
    head = header(version, len(tensors), len(kvs)) + b"".join(kvs)
    data = b""
    for i, (name, dims, kind) in enumerate(tensors):
        head += tensor_info(name, dims, TYPES[kind][0], len(data))
        size = tensor_bytes(kind, dims)
        data = pad(data + bytes((i * 37 + j * 11) % 61 for j in range(size)), alignment)
    return pad(head, alignment) + data


def llama_kvs(layers=1, extra=()):
    prefix = "llama."
    return [kv("general.architecture", STRING, "llama"), kv("general.name", STRING, "tiny"),
            kv(prefix + "block_count", U32, layers), kv(prefix + "embedding_length", U32, 32),
            kv(prefix + "feed_forward_length", U32, 64), kv(prefix + "context_length", U32, 128),
            kv(prefix + "attention.head_count", U32, 2),
            kv(prefix + "attention.head_count_kv", U32, 1),
            kv(prefix + "attention.layer_norm_rms_epsilon", F32, 1e-5),
            kv(prefix + "rope.freq_base", F32, 10000.0), *extra]


def llama_tensors(kind="Q4_0", layers=1, tied=False):
    tensors = [("token_embd.weight", [32, 8], kind)]
    for i in range(layers):
        p = f"blk.{i}."
        tensors += [(p + "attn_norm.weight", [32], "F32"), (p + "attn_q.weight", [32, 32], kind),
                    (p + "attn_k.weight", [32, 16], kind), (p + "attn_v.weight", [32, 16], kind),
                    (p + "attn_output.weight", [32, 32], kind), (p + "ffn_norm.weight", [32], "F32"),
                    (p + "ffn_gate.weight", [32, 64], kind), (p + "ffn_up.weight", [32, 64], kind),
                    (p + "ffn_down.weight", [64, 32], kind)]
    tensors.append(("output_norm.weight", [32], "F32"))
    return tensors if tied else tensors + [("output.weight", [32, 8], kind)]


def mixture_kvs():
    return llama_kvs(extra=[kv("llama.expert_count", U32, 3), kv("llama.expert_used_count", U32, 2)])


def mixture_tensors(apart=False):
    """The feed-forward part of layer 0 as 3 experts, stacked or a tensor each."""
    tensors = []
    for name, dims, kind in llama_tensors():
        part = name.removeprefix("blk.0.ffn_").removesuffix(".weight")
        if part not in ("gate", "up", "down"):
            tensors.append((name, dims, kind))
        elif apart:
            tensors += [(f"blk.0.ffn_{part}.{e}.weight", dims, kind) for e in range(3)]
        else:
            tensors.append((f"blk.0.ffn_{part}_exps.weight", dims + [3], kind))
    return tensors + [("blk.0.ffn_gate_inp.weight", [32, 3], "F32")]


def latent_model():
    """DeepSeek-V2's attention: 2 heads of 16 plain and 8 rotated dimensions, a latent of 32; one dense layer."""
    numbers = {"block_count": 1, "embedding_length": 32, "feed_forward_length": 64, "context_length": 128,
               "attention.head_count": 2, "attention.head_count_kv": 1, "attention.q_lora_rank": 32,
               "attention.kv_lora_rank": 32, "attention.key_length": 40, "attention.value_length": 32,
               "attention.key_length_mla": 24, "attention.value_length_mla": 16, "rope.dimension_count": 8,
               "expert_count": 2, "expert_used_count": 1, "leading_dense_block_count": 1}
    kvs = [kv("general.architecture", STRING, "deepseek2")]
    kvs += [kv("deepseek2." + key, U32, value) for key, value in numbers.items()]
    kvs.append(kv("deepseek2.attention.layer_norm_rms_epsilon", F32, 1e-6))
    attention = [("attn_q_a", [32, 32], "Q4_0"), ("attn_q_a_norm", [32], "F32"),
                 ("attn_q_b", [32, 48], "Q4_0"), ("attn_kv_a_mqa", [32, 40], "Q4_0"),
                 ("attn_kv_a_norm", [32], "F32"), ("attn_k_b", [16, 32, 2], "F16"),
                 ("attn_v_b", [32, 16, 2], "Q4_0")]
    tensors = [t for t in llama_tensors() if t[0].removeprefix("blk.0.attn_")[:2] not in ("q.", "k.", "v.")]
    return gguf(kvs, tensors + [(f"blk.0.{name}.weight", dims, kind) for name, dims, kind in attention])


def every_kind_of_metadata():
    kvs = [kv(f"scalar.{kind}", kind, b"text" if kind == STRING else 1)
           for kind in [*CODES, STRING]]
    kvs += [kv_array(f"array.{kind}", kind, [1, 0, 1]) for kind in CODES]
    kvs += [kv_array("array.strings", STRING, ["a", "", "\u00e9\u00e9", b"\xff\x00"]),
            kv_array("array.empty", F32, [])]
    return kvs


def good_files():
    yarn = [kv("llama.rope.scaling.type", STRING, "yarn"), kv("llama.rope.scaling.factor", F32, 4),
            kv("llama.rope.scaling.original_context_length", U32, 32)]
    vocabulary = [kv("tokenizer.ggml.model", STRING, "gpt2"),
                  kv_array("tokenizer.ggml.tokens", STRING, [f"t{i}" for i in range(300)]),
                  kv_array("tokenizer.ggml.token_type", I32, [1] * 300)]
    return {
        "model_q4_0": gguf(llama_kvs(), llama_tensors()),
        "model_q8_0_tied_v2": gguf(llama_kvs(), llama_tensors("Q8_0", tied=True), version=2),
        "model_f16_yarn": gguf(llama_kvs(extra=yarn), llama_tensors("F16", tied=True)),
        "model_rope_factors": gguf(llama_kvs(extra=vocabulary), llama_tensors("Q4_1") +
                                   [("rope_freqs.weight", [8], "F32")]),
        "model_mixture": gguf(mixture_kvs(), mixture_tensors()),
        "model_mixture_apart": gguf(mixture_kvs(), mixture_tensors(apart=True)),
        "model_latent": latent_model(),
        "ok_metadata": gguf(every_kind_of_metadata(), []),
        "ok_nothing": header(3, 0, 0),
        "ok_vocabulary_only": gguf([kv("general.architecture", STRING, "llama"), *vocabulary], []),
        "ok_alignment_4096": gguf([kv("general.alignment", U32, 4096)],
                                  [("a", [3], "F32"), ("b", [32, 2], "Q4_0")], alignment=4096),
        "ok_four_dims": gguf([], [("a", [2, 3, 4, 5], "F16"), ("scalar", [], "F32")]),
        "ok_q4_k_llama": gguf(llama_kvs(), [("token_embd.weight", [256, 2], "Q4_K")]),
        "model_bias": gguf(llama_kvs(), llama_tensors() + [("blk.0.attn_q.bias", [32], "F32")]),
        "ok_shard_1_of_2": gguf([kv("split.no", U16, 0), kv("split.count", U16, 2),
                                 kv("split.tensors.count", I32, 2)], [("a", [4], "F32")]),
    }


def bad_metadata():
    one = header(3, 0, 1)
    room = bytes(256)
    return {
        "bad_string_length": one + u64(1 << 62) + room,
        "bad_string_past_end": one + string("key") + u32(STRING) + u64(300) + room,
        "bad_key_too_long": one + u64(70000) + room,
        "bad_empty_key": one + string("") + u32(U8) + room,
        "bad_value_type": one + string("key") + u32(13) + room,
        "bad_bool": one + kv("key", BOOL, 2) + room,
        "bad_array_type": one + string("key") + u32(ARRAY) + u32(99) + u64(1) + room,
        "bad_array_count": one + string("key") + u32(ARRAY) + u32(F64) + u64(1 << 61) + room,
        "bad_array_of_arrays": one + string("key") + u32(ARRAY) + u32(ARRAY) + u64(1) + room,
        "bad_string_array": one + string("key") + u32(ARRAY) + u32(STRING) + u64(3)
                            + string("a") + u64(1 << 40) + room,
        "bad_duplicate_key": header(3, 0, 2) + kv("key", U8, 1) + kv("key", U32, 1) + room,
        "bad_alignment": one + kv("general.alignment", U32, 24) + room,
        "bad_alignment_zero": one + kv("general.alignment", U32, 0) + room,
        "bad_alignment_type": one + kv("general.alignment", STRING, "32") + room,
    }


def bad_tensors():
    room = bytes(512)

    def one(dims, type_id=0, offset=0, name="tensor"):
        return pad(header(3, 1, 0) + tensor_info(name, dims, type_id, offset), 32) + room

    two = header(3, 2, 0)
    return {
        "bad_dims_count": one([1, 1, 1, 1, 1]),
        "bad_dim_zero": one([32, 0]),
        "bad_dim_negative": one([(1 << 64) - 32]),
        "bad_dims_overflow": one([1 << 32, 1 << 32]),
        "bad_bytes_overflow": one([1 << 31, 1 << 31]),
        "bad_type": one([4], type_id=4),
        "bad_type_huge": one([4], type_id=0xffffffff),
        "bad_partial_block": one([33], type_id=2),
        "bad_offset_unaligned": one([4], offset=8),
        "bad_offset_past_end": one([4], offset=1 << 40),
        "bad_offset_huge": one([4], offset=(1 << 64) - 32),
        "bad_tensor_past_end": one([1 << 20]),
        "bad_tensor_name_empty": one([4], name=""),
        "bad_tensor_name_long": one([4], name="n" * 2000),
        "bad_overlap": pad(two + tensor_info("a", [64], 0, 0) + tensor_info("b", [4], 0, 32), 32)
                       + room,
        "bad_duplicate_tensor": pad(two + tensor_info("a\nb\x1b", [4], 0, 0)
                                    + tensor_info("a\nb\x1b", [4], 0, 32), 32) + room,
    }


def bad_files():
    whole = gguf(llama_kvs(), llama_tensors())
    return {
        "bad_empty": b"",
        "bad_magic": b"PK\x03\x04" + bytes(60),
        "bad_version_1": b"GGUF" + u32(1) + bytes(60),
        "bad_big_endian": b"GGUF" + struct.pack(">I", 3) + bytes(60),
        "bad_counts_cut": whole[:20],
        "bad_truncated_metadata": whole[:200],
        "bad_truncated_data": whole[:-64],
        "bad_tensor_count": b"GGUF" + u32(3) + u64(1 << 60) + u64(0) + bytes(60),
        "bad_metadata_count": b"GGUF" + u32(3) + u64(0) + u64(1 << 60) + bytes(60),
        **bad_metadata(), **bad_tensors(),
    }


def main():
    OUT.mkdir(exist_ok=True)
    for name, data in {**good_files(), **bad_files()}.items():
        (OUT / f"{name}.gguf").write_bytes(data)


if __name__ == "__main__":
    main()
