#!/usr/bin/env python3
"""Makes this folder's files: small vocabularies as tokenizer.json and the ids that the `tokenizers`
library gives for them. Run in a virtual environment with tokenizers 0.22.1, sentencepiece 0.2.3, gguf
and protobuf:
    python generate.py
texts.json: the texts (of the golden rows beside this folder, and some more). <name>.json: a
tokenizer.json. <name>.ids.json: per text [ids with special tokens parsed and added,
ids with them unparsed and not added]. t5.gguf and bert.gguf: the same two vocabularies as GGUF.
"""
import glob
import io
import json
import os

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

RULES = "/tmp/windlass_rules.tsv"
HERE = os.path.dirname(os.path.abspath(__file__))
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")


def texts():
    """Distinct texts of the golden rows, and traps of the formats that those rows do not have."""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "..", "*.jsonl"))):
        for line in open(path):
            found.append(json.loads(line)["text"])
    found += ["", " ", "  ", "\u2581", "a\u2581b", "hello\u2581 world", "<mask> a", "a <mask>  b", "x<mask>",
              "<tool> x", "a<tool>b", "a <tool> b", "<s>", "a<s>b", " <s> b</s>", "Cafe\u0301 caf\u00e9",
              "\u0130stanbul \u01c4 \u1e9e \ufb01", "A\u030a\u0323\u0301", "\u4e2d\u6587a\u65e5\u672c",
              "[CLS] a [MASK] b", "don't stop", "a" * 120, "supercalifragilistic " * 3,
              "\u00b2\u00b3\u00b9 x\u00b2", "12 3456 7", "\t\ttabs\tand\n\nlines\r\n", "\u200b\u200d\ufeffz",
              "\u3000full\u3000width\uff01", "\uac00\ub098\ub2e4 \u1112\u1161\u11ab", "e\u0301\u0327 \u0344",
              "\U0001f469\u200d\U0001f680 \U0001f1e9\U0001f1ea", "\x00a\x00", "\ufffd\uffff", "pre<tool>post <tool>"]
    return list(dict.fromkeys(found))


def train(tokenizer, trainer, corpus):
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def byte_level(pre, corpus, added=(), **model):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<s>", "</s>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    train(tokenizer, trainer, corpus)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(list(added))
    return tokenizer


def fallback_bpe(corpus, normalizer, pre, decoder):
    """BPE with byte fallback, as converted SentencePiece models have it."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "\u2581")
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    train(trained, trainers.BpeTrainer(vocab_size=500, show_progress=False), corpus)
    learnt = json.loads(trained.to_str())["model"]
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for token in learnt["vocab"]:
        vocab.setdefault(token, len(vocab))
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizer
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def write_rules():
    """A character map in small: some of NFKC's rules (all of them take 240 KB in each file)."""
    rules = {(c,): (c - 0xFEE0,) for c in range(0xFF01, 0xFF5F)}
    rules |= {(0xA0,): (0x20,), (0x3000,): (0x20,), (9,): (0x20,), (10,): (0x20,), (13,): (0x20,),
              (0x65, 0x301): (0xE9,), (0x65, 0x301, 0x302): (0xE9, 0x302), (0x41, 0x30A): (0xC5,),
              (0xFB01,): (0x66, 0x69), (0xB2,): (0x32,), (0x200B,): (), (0xFEFF,): (), (0x1F469,): (0x1F468,)}
    with open(RULES, "w") as file:
        for source, target in sorted(rules.items()):
            hexes = [" ".join(f"{c:X}" for c in part) for part in (source, target)]
            file.write("\t".join(hexes) + "\n")


def unigram(corpus, vocab_size, **options):
    """A Unigram model trained by sentencepiece, with its precompiled character map."""
    write_rules()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([t.replace("\n", " ").replace("\x00", "") for t in corpus]), model_writer=model,
        vocab_size=vocab_size, model_type="unigram", unk_id=2, bos_id=-1, eos_id=1, pad_id=0,
        character_coverage=0.98, minloglevel=2, normalization_rule_tsv=RULES, **options)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto


def unigram_tokenizer(proto):
    vocab = [(piece.piece, piece.score) for piece in proto.pieces]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=2))
    charsmap = proto.normalizer_spec.precompiled_charsmap
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap), normalizers.Strip(left=False, right=True),
         normalizers.Replace(Regex(" {2,}"), "\u2581")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def wordpiece(corpus, **options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    train(tokenizer, trainers.WordPieceTrainer(vocab_size=700, special_tokens=special, show_progress=False,
                                               limit_alphabet=250), corpus)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def tokenizers(corpus, proto):
    split = pre_tokenizers.Split
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    added = [AddedToken("<tool>", normalized=True, special=False), AddedToken("<mask>", lstrip=True, special=True),
             AddedToken("<end>", rstrip=True, special=True), AddedToken("cat", single_word=True, normalized=False)]
    made = {}
    made["llama3"] = byte_level(pre_tokenizers.Sequence(
        [split(Regex(QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")), "isolated"), plain]), corpus, added)
    made["llama3"].post_processor = processors.Sequence(
        [processors.ByteLevel(), processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])])
    made["llama3"].model.ignore_merges = True
    made["gpt4o"] = byte_level(pre_tokenizers.Sequence([split(Regex(GPT4O), "isolated"), plain]), corpus)
    made["qwen2"] = byte_level(pre_tokenizers.Sequence([split(Regex(QWEN2), "isolated"), plain]), corpus, added)
    made["qwen2"].normalizer = normalizers.NFC()
    made["falcon"] = byte_level(pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
         pre_tokenizers.Digits(), split(Regex("[0-9][0-9][0-9]"), "isolated")]), corpus)
    made["roberta"] = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), corpus)
    made["roberta"].post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    to_spaces = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    made["llama2"] = fallback_bpe(corpus, normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]), None, to_spaces)
    made["gemma"] = fallback_bpe(corpus, normalizers.Replace(" ", "\u2581"),
                                 split(" ", "merged_with_previous"), to_spaces)
    made["mistral"] = fallback_bpe(corpus, None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
                                   to_spaces)
    made["t5"] = unigram_tokenizer(proto)
    made["bert"] = wordpiece(corpus)
    made["bert-cased"] = wordpiece(corpus, lowercase=False, strip_accents=False)
    pieces = byte_level(pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), split(Regex("[aeiou]"), "merged_with_next"),
         split("th", "merged_with_previous"), split(Regex("[bc]+"), "removed"),
         split(Regex(r"\w+"), "contiguous", invert=True), pre_tokenizers.Digits(individual_digits=True), plain]),
        corpus)
    pieces.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(),
         normalizers.Strip(), normalizers.Replace(Regex("x+"), "-x")])
    made["pieces"] = pieces
    whitespace = byte_level(pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation(), plain]), corpus)
    whitespace.normalizer = normalizers.NFKC()
    made["whitespace"] = whitespace
    return made


def write_gguf(name, document, proto):
    writer = gguf.GGUFWriter(os.path.join(HERE, name + ".gguf"), name)
    special = {token["id"] for token in document["added_tokens"]}
    writer.add_tokenizer_model(name)
    writer.add_tokenizer_pre("default")
    if name == "t5":
        writer.add_token_list([piece.piece for piece in proto.pieces])
        writer.add_token_scores([piece.score for piece in proto.pieces])
        types = [piece.type for piece in proto.pieces]
        writer.add_remove_extra_whitespaces(True)
        writer.add_add_space_prefix(True)
        writer.add_precompiled_charsmap(list(proto.normalizer_spec.precompiled_charsmap))
        writer.add_eos_token_id(1)
        writer.add_unk_token_id(2)
        writer.add_add_bos_token(False)
        writer.add_add_eos_token(True)
    else:
        tokens = sorted(document["model"]["vocab"], key=document["model"]["vocab"].get)
        writer.add_token_list([t if i in special else t[2:] if t.startswith("##") and len(t) > 2 else "\u2581" + t
                               for i, t in enumerate(tokens)])
        types = [3 if i in special else 1 for i in range(len(tokens))]
        for add, id in ((writer.add_bos_token_id, 2), (writer.add_sep_token_id, 3), (writer.add_unk_token_id, 1)):
            add(id)
    writer.add_token_types(types)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def main():
    all_texts = texts()
    corpus = [t for t in all_texts if t.strip()] * 3
    corpus += open(os.path.join(HERE, "..", "..", "smollm2", "ppl.txt")).read().split("\n")
    json.dump(all_texts, open(os.path.join(HERE, "texts.json"), "w"), separators=(",", ":"))
    proto = unigram(corpus, 600)
    native = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    for name, tokenizer in tokenizers(corpus, proto).items():
        document = json.loads(tokenizer.to_str())
        path = os.path.join(HERE, name + ".json")
        json.dump(document, open(path, "w"), separators=(",", ":"))
        tokenizer = Tokenizer.from_file(path)
        rows = []
        for text in all_texts:
            tokenizer.encode_special_tokens = False
            parsed = tokenizer.encode(text, add_special_tokens=True).ids
            tokenizer.encode_special_tokens = True
            plain = tokenizer.encode(text, add_special_tokens=False).ids
            if name == "t5":
                # The library maps graphemes, not the longest strings (it even loses a mark after a
                # no-break space), and finds control tokens in plain text: sentencepiece is right.
                ids = native.encode(text)
                if len(set(text)) == 1 or not text.strip():  # sums of equal scores; what Strip takes
                    rows.append([parsed, plain] if ids == plain else None)
                    continue
                if ids != plain:
                    print("  library differs:", repr(text)[:60], plain, ids)
                    parsed = parsed if "</s>" in text else ids + [1]
                plain = ids
            rows.append([parsed, plain])
        json.dump(rows, open(os.path.join(HERE, name + ".ids.json"), "w"), separators=(",", ":"))
        if name in ("t5", "bert"):
            write_gguf(name, document, proto)
        print(name, tokenizer.get_vocab_size(), len(rows))


if __name__ == "__main__":
    main()
