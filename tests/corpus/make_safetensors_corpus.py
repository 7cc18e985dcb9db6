#!/usr/bin/env python3
"""Writes the seed files of the safetensors fuzzing corpus into tests/corpus/safetensors.

The first part of a name is the outcome that tests/src/safetensors_corpus_test.cpp expects:
model_ (a runnable model, with the config of tests/support/tiny_folder.h), ok_ (parses),
bad_ (refused); config_ and index_ are JSON documents that the target reads as such.
"""
import json
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "safetensors"
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "BOOL": 1, "F8_E4M3": 1}


def with_header(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def size(dtype, shape):
    n = BYTES[dtype]
    for dim in shape:
        n *= dim
    return n


def safetensors(tensors, pad=0, extra=None):
    header, offset = dict(extra or {}), 0
    for name, dtype, shape in tensors:
        end = offset + size(dtype, shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode() + b" " * pad
    return with_header(text, bytes(j * 11 % 61 for j in range(offset)))


def llama(dtype):
    p = "model.layers.0."
    return [("lm_head.weight", dtype, [8, 32]), ("model.embed_tokens.weight", dtype, [8, 32]),
            (p + "input_layernorm.weight", dtype, [32]), (p + "mlp.down_proj.weight", dtype, [32, 64]),
            (p + "mlp.gate_proj.weight", dtype, [64, 32]), (p + "mlp.up_proj.weight", dtype, [64, 32]),
            (p + "post_attention_layernorm.weight", dtype, [32]),
            (p + "self_attn.k_proj.weight", dtype, [16, 32]),
            (p + "self_attn.o_proj.weight", dtype, [32, 32]),
            (p + "self_attn.q_proj.weight", dtype, [32, 32]),
            (p + "self_attn.v_proj.weight", dtype, [16, 32]), ("model.norm.weight", dtype, [32])]


def one(**fields):
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    entry.update(fields)
    return with_header({"t": {k: v for k, v in entry.items() if v is not None}}, bytes(16))


CONFIG = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64,
          "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 8, "rms_norm_eps": 1e-5,
          "max_position_embeddings": 128, "tie_word_embeddings": False, "rope_theta": 10000.0}

SEEDS = {
    "model_f32": safetensors(llama("F32")),
    "model_f16_odd": safetensors(llama("F16"), pad=1),
    "model_derived": safetensors(
        llama("BF16") + [("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", [8])]),
    "ok_empty": with_header({}),
    "ok_metadata": safetensors([("a", "I64", [3]), ("b", "BOOL", [])], extra={"__metadata__": {"format": "pt"}}),
    "ok_zero_size": safetensors([("a", "F32", [0, 4]), ("b", "F32", [1])]),
    "ok_f8": safetensors([("a", "F8_E4M3", [4, 4])]),
    "bad_empty": b"",
    "bad_short": b"\x10\0\0\0",
    "bad_length": struct.pack("<Q", 1 << 60) + b"{}",
    "bad_length_past_end": struct.pack("<Q", 3) + b"{}",
    "bad_no_json": with_header(b"hello"),
    "bad_trailing": with_header(b"{} {}"),
    "bad_truncated_json": with_header(b'{"a":{"dtype":"F32"'),
    "bad_utf8": with_header(b'{"\xff":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', bytes(4)),
    "bad_array": with_header(b"[]"),
    "bad_number": with_header(b"7"),
    "bad_depth": with_header(b'{"a":{"shape":[[1]]}}'),
    "bad_deep": with_header(b"[" * 5000 + b"]" * 5000),
    "bad_deep_objects": with_header(b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "bad_tensor_is_text": with_header({"t": "F32"}),
    "bad_tensor_is_null": with_header({"t": None}),
    "bad_metadata_number": with_header({"__metadata__": {"a": 1}}),
    "bad_dtype": one(dtype="Q4_0"),
    "bad_dtype_number": one(dtype=4),
    "bad_no_dtype": one(dtype=None),
    "bad_no_shape": one(shape=None),
    "bad_no_offsets": one(data_offsets=None),
    "bad_one_offset": one(data_offsets=[0]),
    "bad_three_offsets": one(data_offsets=[0, 16, 16]),
    "bad_offset_fraction": one(data_offsets=[0, 16.0]),
    "bad_offset_negative": one(data_offsets=[-16, 0]),
    "bad_offsets_reversed": one(data_offsets=[16, 0]),
    "bad_offset_huge": one(data_offsets=[0, (1 << 64) - 1]),
    "bad_size": one(shape=[2, 3]),
    "bad_dim_negative": one(shape=[-2, -2]),
    "bad_dims_overflow": one(shape=[1 << 40, 1 << 40]),
    "bad_dims_count": one(shape=[1] * 9),
    "bad_past_end": one(shape=[2, 4], data_offsets=[0, 32]),
    "bad_far_past_end": one(data_offsets=[1 << 62, (1 << 62) + 16]),
    "bad_unknown_field": one(strides=[1, 2]),
    "bad_two_shapes": with_header(
        b'{"t":{"dtype":"F32","shape":[2,2],"shape":[2,2],"data_offsets":[0,16]}}', bytes(16)),
    "bad_overlap": with_header(
        {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
         "b": {"dtype": "F32", "shape": [4], "data_offsets": [12, 28]}}, bytes(28)),
    "bad_truncated_data": safetensors(llama("F32"))[:-1],
    "bad_duplicate": with_header(
        b'{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', bytes(8)),
    "config_llama": json.dumps(CONFIG).encode(),
    "config_v5": json.dumps({**CONFIG, "rope_theta": None, "rope_parameters": {
        "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}).encode(),
    "config_longrope": json.dumps({**CONFIG, "model_type": "phi3", "rope_scaling": {
        "type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8},
        "original_max_position_embeddings": 32}).encode(),
    "config_deepseek": json.dumps({**CONFIG, "model_type": "deepseek_v2", "kv_lora_rank": 8,
        "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8, "n_routed_experts": 4}).encode(),
    "config_gemma3": json.dumps({**CONFIG, "model_type": "gemma3_text", "head_dim": 16,
        "sliding_window": 24, "query_pre_attn_scalar": 16, "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}).encode(),
    "index_two": json.dumps({"metadata": {"total_size": 12, "x": [1.5, None, True]}, "weight_map": {
        "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}).encode(),
    "index_escape": json.dumps({"weight_map": {"a": "../other.safetensors"}}).encode(),
}

if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob("*"):
        old.unlink()
    for name, data in SEEDS.items():
        (OUT / (name + (".json" if data[:1] == b"{" and name[:3] != "bad" else ".safetensors"))).write_bytes(data)
