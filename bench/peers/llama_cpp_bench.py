#!/usr/bin/env python3
"""Measures llama.cpp on one GGUF, through the C API that llama-cpp-python exposes.

Prints one JSON object. Prompts and generated tokens are random ids (speed does not depend on which), each repetition starts
from a KV cache of -d tokens, the first one warms up and is left out. Flash attention is on. Run it under memrun.sh to give it
the memory that Windlass gets. With --on-request it prints an object after the warm-up, and then one for each line that comes on
standard input: -r repetitions measured at that moment.
"""

import argparse
import ctypes
import json
import random
import statistics
import sys
import time

import llama_cpp as llama

LOAD_MODES = {"auto": "AUTO", "none": "NONE", "mmap": "MMAP", "mlock": "MLOCK", "dio": "DIRECT_IO"}
KV_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}  # ggml type ids
MICRO_BATCH = 512


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("-p", type=int, default=512, help="prompt tokens of each sequence")
    parser.add_argument("-n", type=int, default=32, help="generated tokens of each sequence")
    parser.add_argument("-np", type=int, default=1, help="sequences decoded together")
    parser.add_argument("-d", type=int, default=0, help="tokens in the cache before the prompt, not timed")
    parser.add_argument("-t", type=int, default=2, help="threads")
    parser.add_argument("-r", type=int, default=3, help="repetitions that count")
    parser.add_argument("--load-mode", choices=LOAD_MODES, default="auto")
    parser.add_argument("--no-repack", action="store_true", help="leave weights as they lie in the file")
    parser.add_argument("-ctk", choices=KV_TYPES, default="f16")
    parser.add_argument("-ctv", choices=KV_TYPES, default="f16")
    parser.add_argument("--on-request", action="store_true", help="measure when a line comes on standard input")
    return parser.parse_args()


class Peer:
    """A loaded model with one context of args.np sequences."""

    def __init__(self, args):
        params = llama.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = not args.no_repack
        params.load_mode = getattr(llama, "LLAMA_LOAD_MODE_" + LOAD_MODES[args.load_mode])
        begin = time.perf_counter()
        self.model = llama.llama_model_load_from_file(args.model.encode(), params)
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {args.model}")
        self.load_s = time.perf_counter() - begin

        params = llama.llama_context_default_params()
        params.n_ctx = (args.d + args.p + args.n + 8) * args.np
        params.n_batch = max(MICRO_BATCH, min(4 * MICRO_BATCH, args.p))
        params.n_ubatch = MICRO_BATCH
        params.n_seq_max = args.np
        params.n_threads = params.n_threads_batch = args.t
        # Not "auto": it would be left off without a word where it cannot be.
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.type_k, params.type_v = KV_TYPES[args.ctk], KV_TYPES[args.ctv]
        self.batch_tokens = params.n_batch
        self.context = llama.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context of this size")
        self.n_vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        self.batch = llama.llama_batch_init(self.batch_tokens, 0, 1)
        self.random = random.Random(7)
        self.kept = 0  # tokens that stay in each sequence between repetitions

    def fill(self, n_seq, depth):
        """The depth's tokens, which are kept from now on."""
        self.feed([(s, i) for s in range(n_seq) for i in range(depth)])
        self.kept = depth

    def roll_back(self, n_seq):
        memory = llama.llama_get_memory(self.context)
        for sequence in range(n_seq):
            if not llama.llama_memory_seq_rm(memory, sequence, self.kept, -1):
                raise SystemExit("llama.cpp cannot shorten a sequence of this model")

    def feed(self, places):
        """Computes one random token at each (sequence, position); logits of the last."""
        for begin in range(0, len(places), self.batch_tokens):
            part = places[begin:begin + self.batch_tokens]
            self.batch.n_tokens = len(part)
            for i, (sequence, position) in enumerate(part):
                self.batch.token[i] = self.random.randrange(100, self.n_vocab - 100)
                self.batch.pos[i] = position
                self.batch.n_seq_id[i] = 1
                self.batch.seq_id[i][0] = sequence
                self.batch.logits[i] = begin + i == len(places) - 1
            status = llama.llama_decode(self.context, self.batch)
            if status != 0:
                raise SystemExit(f"llama_decode returned {status}")
        llama.llama_synchronize(self.context)


def one_round(peer, args):
    """Seconds of prefill and of decode."""
    peer.roll_back(args.np)
    sequences = range(args.np)
    begin = time.perf_counter()
    for s in sequences:
        if args.p:
            peer.feed([(s, args.d + i) for i in range(args.p)])
    middle = time.perf_counter()
    for k in range(args.n):
        peer.feed([(s, args.d + args.p + k) for s in sequences])
    return middle - begin, time.perf_counter() - middle


def settings(peer, args):
    return {
        "engine": "llama.cpp", "version": llama.__version__, "system": llama.llama_print_system_info().decode().strip(),
        "model": args.model.split("/")[-1], "n_prompt": args.p, "n_gen": args.n, "n_seq": args.np, "depth": args.d,
        "threads": args.t, "load_mode": args.load_mode, "repack": not args.no_repack, "flash_attn": True,
        "ctk": args.ctk, "ctv": args.ctv, "repetitions": args.r, "load_s": peer.load_s}


def measure(peer, args):
    rounds = [one_round(peer, args) for _ in range(args.r)]
    prefill_s = statistics.median(r[0] for r in rounds)
    decode_s = statistics.median(r[1] for r in rounds)
    return {"prefill_tok_s": args.p * args.np / prefill_s if args.p else None,
            "decode_tok_s": args.n * args.np / decode_s if args.n else None,
            "s_per_step": decode_s / args.n if args.n else None}


def main():
    args = parse_arguments()
    silent = llama.llama_log_callback(lambda level, text, user: None)  # must outlive its use
    llama.llama_log_set(silent, ctypes.c_void_p(0))
    llama.llama_backend_init()
    peer = Peer(args)
    peer.fill(args.np, args.d)
    one_round(peer, args)
    if not args.on_request:
        print(json.dumps({**settings(peer, args), **measure(peer, args)}))
        return
    print(json.dumps(settings(peer, args)), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure(peer, args)), flush=True)


if __name__ == "__main__":
    main()
