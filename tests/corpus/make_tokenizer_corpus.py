#!/usr/bin/env python3
"""Writes tests/corpus/tokenizer: small tokenizer.json files. ok_*: accepted; bad_*: refused."""
import json
import os

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
ADDED = [{"id": 0, "content": "<s>", "special": True, "normalized": False, "lstrip": True, "rstrip": True,
          "single_word": False}]


def bpe(**changes):
    model = {"type": "BPE", "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3, "c": 4, "\u0120": 5}, "merges": ["a b"]}
    model.update(changes.pop("model", {}))
    return {"added_tokens": ADDED, "normalizer": None, "pre_tokenizer": BYTE_LEVEL, "post_processor": None,
            "decoder": {"type": "ByteLevel"}, "model": model, **changes}


def unigram(**changes):
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["<s>", 0], ["\u2581", -1.5], ["a", -2], ["\u2581a", -3]]}
    model.update(changes.pop("model", {}))
    return {"added_tokens": ADDED, "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"}, "model": model,
            **changes}


def wordpiece(**changes):
    model = {"type": "WordPiece", "unk_token": "<s>", "vocab": {"<s>": 0, "he": 1, "##llo": 2, "1": 3}}
    model.update(changes.pop("model", {}))
    return {"added_tokens": ADDED, "normalizer": {"type": "BertNormalizer"},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "model": model, **changes}


def split(pattern, behavior="Isolated"):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False},
        {"type": "ByteLevel", "add_prefix_space": True, "use_regex": False}]}


def main():
    os.makedirs(HERE, exist_ok=True)
    template = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<s>"}}],
                "special_tokens": {"<s>": {"ids": [0]}}}
    steps = [{"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip")]
    steps += [{"type": "Prepend", "prepend": "_"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "-"},
              {"type": "Replace", "pattern": {"String": "o"}, "content": ""}]
    bytes_vocab = {"<s>": 0} | {f"<0x{b:02X}>": b + 1 for b in range(256)} | {"\u2581": 257, "a": 258, "\u2581a": 259}
    cases = {
        "ok_bpe": bpe(),
        "ok_bpe_pairs": bpe(model={"merges": [["a", "b"]], "ignore_merges": True}, post_processor=template),
        "ok_bpe_steps": bpe(normalizer={"type": "Sequence", "normalizers": steps},
                            pre_tokenizer=split({"Regex": "\\d+|\\w*"}, "MergedWithNext")),
        "ok_bpe_fallback": bpe(pre_tokenizer=None, normalizer={"type": "Prepend", "prepend": "\u2581"},
                               decoder={"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                               model={"vocab": bytes_vocab, "merges": ["\u2581 a"], "byte_fallback": True}),
        "ok_bpe_digits_after": bpe(pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "Punctuation"}, BYTE_LEVEL, {"type": "Digits", "individual_digits": True}]}),
        "ok_unigram": unigram(),
        "ok_wordpiece": wordpiece(),
        "ok_id_gap": bpe(model={"vocab": {"a": 7, "b": 2, "ab": 300}}),
        "bad_empty_object": {},
        "bad_no_model": {"added_tokens": ADDED},
        "bad_array": [1, 2],
        "bad_huge_id": bpe(model={"vocab": {"a": 2000000000}, "merges": []}),
        "bad_negative_id": bpe(model={"vocab": {"a": -1}, "merges": []}),
        "bad_merge_unknown": bpe(model={"merges": ["a z"]}),
        "bad_merge_alone": bpe(model={"merges": ["a"]}),
        "bad_merge_triple": bpe(model={"merges": [["a", "b", "c"]]}),
        "bad_model_type": bpe(model={"type": "BEP"}),
        "bad_normalizer": bpe(normalizer={"type": "NFX"}),
        "bad_pre_tokenizer": bpe(pre_tokenizer={"type": "Metaspaces\n"}),
        "bad_post_processor": bpe(post_processor={"type": "Templates"}),
        "bad_template_id": bpe(post_processor={**template, "special_tokens": {"<s>": {"ids": [99]}}}),
        "bad_regex": bpe(pre_tokenizer=split({"Regex": "(a"})),
        "bad_class_intersection": bpe(pre_tokenizer=split({"Regex": "[a&&b]"})),
        "bad_behavior": bpe(pre_tokenizer=split({"String": "a"}, "Split")),
        "bad_charsmap": bpe(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        "bad_suffix": bpe(model={"end_of_word_suffix": "</w>"}),
        "bad_unigram_score": unigram(model={"vocab": [["a", "b"]]}),
        "bad_unigram_unk": unigram(model={"unk_id": None}),
        "bad_unigram_object": unigram(model={"vocab": {"a": 0}}),
        "bad_wordpiece_unk": wordpiece(model={"unk_token": "nope"}),
        "bad_added_id": bpe(added_tokens=[{"id": "0", "content": "x"}]),
    }
    for name, case in cases.items():
        with open(os.path.join(HERE, name + ".json"), "w") as file:
            json.dump(case, file, separators=(",", ":"))
    for name, text in {"bad_nothing": "", "bad_deep": '{"a":' + "[" * 70 + "]" * 70 + "}",
                       "bad_cut": json.dumps(bpe())[:-30], "bad_utf8": None}.items():
        data = b'{"added_tokens":"\xff"}' if text is None else text.encode()
        with open(os.path.join(HERE, name + ".json"), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()
