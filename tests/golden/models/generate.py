#!/usr/bin/env python3
"""Makes the folder of a tiny random model: a Hugging Face folder, its GGUF, golden logits and tokens.
Run in a virtual environment with torch, transformers, safetensors, gguf and numpy:
    python generate.py stablelm
The prompts and the tokenizer are those of the folder `llama`. golden/prompt<i>.logits.npy: all
positions, transformers in float32 with eager attention. golden.json: 32 greedy tokens, and before
each choice the first logit less the second. config.json is written as published folders have it,
config_v5.json as transformers 5 does. model.gguf: by gguf-py, for families whose numbers lie alike in
both containers."""
import json
import os
import shutil
import sys

import gguf
import numpy as np
import torch
import transformers

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 4711
SIZES = dict(vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=3,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048,
             bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)
FAMILIES = {
    "stablelm": dict(
        config=lambda: transformers.StableLmConfig(
            **SIZES, use_qkv_bias=True, layer_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}),
        published=dict(rope_theta=10000.0, partial_rotary_factor=0.5, rope_scaling=None,
                       torch_dtype="float32"),
        architecture=gguf.MODEL_ARCH.STABLELM,
        settings=dict(add_context_length=2048, add_embedding_length=64, add_block_count=3,
                      add_feed_forward_length=128, add_rope_dimension_count=8, add_head_count=4,
                      add_head_count_kv=2, add_parallel_residual=False, add_layer_norm_eps=1e-5)),
}


def make_model(family):
    torch.manual_seed(SEED)
    config = family["config"]()
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2:
                scale = 1.0 if "embed" in name else 1.2 / weight.shape[1] ** 0.5
                weight.normal_(0, scale)
            else:
                weight.normal_(1 if name.endswith("weight") else 0, 0.1)
    return model


def greedy(model, ids, n=32):
    tokens, margins = [], []
    ids = list(map(int, ids))
    for _ in range(n):
        logits = model(torch.tensor([ids])).logits[0, -1]
        best = torch.topk(logits, 2)
        tokens.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 6))
        ids.append(tokens[-1])
    return tokens, margins


def write_configs(model, family, out):
    config = json.loads(model.config.to_json_string(use_diff=False))
    drop = {"_name_or_path", "transformers_version", "id2label", "label2id", "problem_type"}
    config = {k: v for k, v in config.items() if k not in drop and v is not None}
    config["dtype"] = "float32"
    json.dump(config, open(os.path.join(out, "config_v5.json"), "w"), indent=1, sort_keys=True)
    published = {k: v for k, v in config.items() if k not in ("rope_parameters", "dtype", "layer_types")}
    published.update(family["published"])
    json.dump(published, open(os.path.join(out, "config.json"), "w"), indent=1, sort_keys=True)


def write_gguf(model, family, path):
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[family["architecture"]])
    writer.add_name("golden-tiny")
    for method, value in family["settings"].items():
        getattr(writer, method)(value)
    tokenizer = json.load(open(os.path.join(HERE, "llama", "tokenizer.json")))
    tokens = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {token["id"] for token in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if i in special else 1 for i in range(len(tokens))])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    names = gguf.get_tensor_name_map(family["architecture"], 3)
    for name, weight in model.state_dict().items():
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(name):
    family, out = FAMILIES[name], os.path.join(HERE, name)
    os.makedirs(os.path.join(out, "golden"), exist_ok=True)
    model = make_model(family)
    model.save_pretrained(out)
    for extra in ("generation_config.json",):
        os.remove(os.path.join(out, extra))
    write_configs(model, family, out)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(HERE, "llama", file), out)
    write_gguf(model, family, os.path.join(out, "model.gguf"))
    reference = json.load(open(os.path.join(HERE, "llama", "golden.json")))
    prompts = []
    with torch.no_grad():
        for i, prompt in enumerate(reference["prompts"]):
            ids = np.load(os.path.join(HERE, "llama", "golden", f"prompt{i}.ids.npy"))
            logits = model(torch.tensor([list(map(int, ids))])).logits[0].numpy()
            np.save(os.path.join(out, "golden", f"prompt{i}.ids.npy"), ids)
            np.save(os.path.join(out, "golden", f"prompt{i}.logits.npy"), logits)
            tokens, margins = greedy(model, ids)
            prompts.append({"text": prompt["text"], "n_tokens": len(ids),
                            "logits_std": float(logits.std()), "greedy": tokens, "greedy_margin": margins})
    json.dump({"model": name, "seed": SEED, "weights": "float32", "prompts": prompts},
              open(os.path.join(out, "golden.json"), "w"), indent=1)


if __name__ == "__main__":
    main(sys.argv[1])
