"""Write the cases of tests/fixtures/attention_masks.json: attention under additive masks of finite numbers.

    pip install torch
    python make_attention_masks.py ../fixtures/attention_masks.json

Queries, keys and values are eighths and sizes of heads powers of 4, so that products are exact in f32; score and mask together are rounded to f32, as
they are where a model computes in it, and all else is f64.
"""

import json
import math
import sys

import torch

MIN = torch.finfo(torch.float32).min


def eighths(seed, *shape):
    """Numbers from -2 to 2 that the test makes too."""
    n = math.prod(shape)
    i = torch.arange(n, dtype=torch.int64)
    return (((seed * 7919 + i * i * 31 + i * 17) % 33 - 16).double() / 8).reshape(shape)


def mask_of(rows, s):
    """What is added to the scores of each row: "whole" [c] to all keys, "part" [c] to each third, "infinite" [c] with
    -infinity at each second, "never" -infinity."""
    mask = torch.zeros(len(rows), s, dtype=torch.double)
    for row, (kind, c) in zip(mask, rows):
        if kind == "whole":
            row[:] = c
        elif kind == "part":
            row[1::3] = c
        elif kind == "infinite":
            row[:] = c
            row[1::2] = -math.inf
        elif kind == "never":
            row[:] = -math.inf
    return mask


class ToF32(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.float().double()

    @staticmethod
    def backward(ctx, grad):
        return grad


def weights_of(scores):
    """Softmax; 0 where nothing is seen, as in scaled_dot_product_attention."""
    seen = (scores > -math.inf).any(-1, keepdim=True)
    return torch.where(seen, torch.where(seen, scores, torch.zeros_like(scores)).softmax(-1), 0.0)


def case(h, e, s, rows, causal=False, padding=None, large=1):
    t = len(rows)
    q = (eighths(1, 1, h, t, e) * large).requires_grad_()
    k, v = [eighths(seed, 1, h, s, e).requires_grad_() for seed in (2, 3)]
    weight = eighths(4, 1, h, t, e)
    mask = mask_of(rows, s).requires_grad_()
    hidden = torch.zeros(t, s, dtype=torch.bool)
    if causal:
        hidden |= torch.ones(t, s).triu(1).bool()
    if padding:
        hidden |= torch.arange(s) >= padding
    scores = ToF32.apply(q @ k.transpose(-2, -1) / math.sqrt(e) + mask)
    y = weights_of(scores.masked_fill(hidden, -math.inf)) @ v
    (y * weight).sum().backward()
    results = [y, q.grad, k.grad, v.grad, mask.grad]
    return {
        "h": h, "e": e, "s": s, "rows": rows, "causal": causal, "padding": padding, "large": large,
        "results": [[float(f"{x:.7g}") for x in r.detach().ravel()] for r in results],
    }


def main():
    wholes = [["whole", c] for c in (-1e9, MIN, -1e4, -1e6, -65504.0, 1e6)]
    parts = [["part", c] for c in (-1e9, MIN, -1e4, -1e6, 1e6)]
    infinite = [["infinite", -1e9], ["infinite", MIN], ["never", 0.0], ["plain", 0.0]]
    mixed = [wholes[0], parts[1], infinite[0], infinite[2], wholes[1], wholes[2], infinite[3], parts[0]]
    cases = [case(2, e, 5, rows) for e, rows in [(4, wholes), (4, parts), (4, infinite), (16, wholes)]]
    cases += [case(1, 64, 5, parts)]
    cases += [
        case(1, 64, 9, mixed),
        case(1, 16, 9, mixed, causal=True),
        case(2, 4, 8, mixed, causal=True),
        case(2, 4, 8, mixed, padding=5),
        case(1, 64, 8, mixed, causal=True, padding=5),
        case(1, 4, 512, [wholes[0], wholes[1]]),
        case(1, 4, 300, [wholes[0], parts[0]]),
        case(1, 4, 7, [["plain", 0.0]] * 3, large=64),
        case(1, 64, 7, [["plain", 0.0]] * 3, large=1024),
    ]
    with open(sys.argv[1], "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


main()
