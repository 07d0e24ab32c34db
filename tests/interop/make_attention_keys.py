"""Write the cases of tests/fixtures/attention_keys.json: PyTorch's MultiheadAttention with keys of its own.

    pip install torch
    python make_attention_keys.py ../fixtures/attention_keys.json
"""

import json
import sys

import torch

N, T, S, E, HEADS = 2, 3, 4, 6, 2


def numbers(t):
    return {"shape": list(t.shape), "values": [float(f"{x:.7g}") for x in t.detach().double().ravel()]}


def case(bias_kv, zero_attn, mask, padding, kdim=None):
    layer = torch.nn.MultiheadAttention(E, HEADS, add_bias_kv=bias_kv, add_zero_attn=zero_attn, kdim=kdim, vdim=kdim)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn(p.shape) * 0.5)
    names = [name for name, _ in layer.named_parameters()]
    width = kdim or E
    query, key, value = torch.randn(T, N, E), torch.randn(S, N, width), torch.randn(S, N, width)
    if mask == "causal":
        attn_mask = torch.ones(T, S, dtype=torch.bool).triu(1)
    elif mask == "added":
        attn_mask = torch.randn(T, S)
    elif mask == "heads":
        attn_mask = torch.rand(N * HEADS, T, S) < 0.3
    else:
        attn_mask = None
    key_padding_mask = torch.tensor([[0, 0, 0, 1], [1, 0, 1, 1]]).bool() if padding else None
    weight = torch.randn(T, N, E)

    layer = layer.double()
    inputs = [x.double().requires_grad_() for x in (query, key, value)]
    added = attn_mask.double() if mask == "added" else attn_mask
    hidden = key_padding_mask
    if hidden is not None and mask == "added":
        hidden = torch.zeros(hidden.shape, dtype=torch.double).masked_fill(hidden, float("-inf"))
    y, weights = layer(*inputs, key_padding_mask=hidden, attn_mask=added, average_attn_weights=False)
    (y * weight).sum().backward()
    parameters = dict(layer.named_parameters())
    return {
        "add_bias_kv": bias_kv,
        "add_zero_attn": zero_attn,
        "mask": mask,
        "attn_mask": None if attn_mask is None else numbers(attn_mask),
        "key_padding_mask": None if key_padding_mask is None else numbers(key_padding_mask),
        "inputs": [numbers(x) for x in inputs],
        "weight": numbers(weight),
        "parameters": {name: numbers(parameters[name]) for name in names},
        "output": numbers(y),
        "weights": numbers(weights),
        "input_gradients": [numbers(x.grad) for x in inputs],
        "parameter_gradients": {name: numbers(parameters[name].grad) for name in names},
    }


def main():
    torch.manual_seed(0)
    cases = [
        case(True, False, None, False),
        case(False, True, None, True),
        case(True, True, "causal", False),
        case(True, True, "causal", True),
        case(True, True, "added", True),
        case(True, False, "heads", False),
        case(True, True, None, True, kdim=5),
    ]
    with open(sys.argv[1], "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


main()
