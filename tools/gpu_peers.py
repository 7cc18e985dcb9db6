#!/usr/bin/env python3
"""What PyTorch, and accelerate where it is installed, reach on this machine: for the report of tools/gpu_check.sh.

Prints one line of JSON: pinned-copy bandwidth both ways, and the time of a layer whose bf16 weights accelerate keeps in host memory.
"""
import json
import sys
import time

LAYERS, WIDTH, FFN = 8, 4096, 14336


def copy_rates(torch):
    host = torch.empty(1 << 28, dtype=torch.uint8, pin_memory=True)
    card = torch.empty(1 << 28, dtype=torch.uint8, device="cuda")
    figures = {}
    for name, to, source in (("h2d_gb_per_s", card, host), ("d2h_gb_per_s", host, card)):
        best = 0
        for _ in range(6):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            to.copy_(source, non_blocking=True)
            torch.cuda.synchronize()
            best = max(best, source.numel() / (time.perf_counter() - begin) / 1e9)
        figures[name] = round(best, 2)
    return figures


def offload_layer_s(torch):
    from accelerate import cpu_offload

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            linear = lambda n_in, n_out: torch.nn.Linear(n_in, n_out, bias=False, dtype=torch.bfloat16)
            self.gate, self.up, self.down = linear(WIDTH, FFN), linear(WIDTH, FFN), linear(FFN, WIDTH)

        def forward(self, x):
            return x + self.down(torch.nn.functional.silu(self.gate(x)) * self.up(x))

    model = torch.nn.Sequential(*[Layer() for _ in range(LAYERS)])
    cpu_offload(model, execution_device=torch.device("cuda"))
    x = torch.randn(1, WIDTH, dtype=torch.bfloat16, device="cuda")
    with torch.no_grad():
        model(x)
        torch.cuda.synchronize()
        begin = time.perf_counter()
        model(x)
        torch.cuda.synchronize()
    return round((time.perf_counter() - begin) / LAYERS, 6)


def main():
    try:
        import torch
    except ImportError:
        print(json.dumps({"torch": "not installed"}))
        return 0
    figures = {"torch": torch.__version__, **copy_rates(torch)}
    try:
        figures["accelerate_offload_layer_s"] = offload_layer_s(torch)
    except ImportError:
        figures["accelerate"] = "not installed"
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
