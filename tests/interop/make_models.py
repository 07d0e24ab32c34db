"""Write random models, trained by PyTorch for a few steps: the cases of tests/fixtures/models.

    pip install torch safetensors numpy
    python make_models.py OUT_DIR [--seed 0] [--count 40]

A case is one .safetensors file. Its metadata entry `model` is JSON: `net`, a tree of layers under PyTorch's names and
arguments, `loss`, `optimizer` with its arguments, `freeze`, `mode`. Tensors have the names of tests/conformance/README.md:
`param.NAME`, `batch.S.input`, `batch.S.target`, `losses`, `after.NAME`, `eval.output`. Where `mode` is `eval` the model is not
trained: dropout is off, running statistics are used, and `grad.param.NAME` are gradients for the first batch. All is computed
in f64 from f32 values. A model of which PyTorch's own f32 is beyond half of that file's bound for training is drawn again.

What a tree has besides layers: `Residual` (x plus its `inner`), `Branches` (of one input, joined by `add`, `mul` or `cat`),
`Shared` (the layer at `path`, again), `Tied` (products with the rows of the embedding at `path`), `Transpose` (dimensions 1
and 2), `MeanTime`, `LastStep`, `MinPool`, and layers of several inputs, which are all x.
"""

import argparse
import copy
import json
import math
import pathlib
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

RTOL, ATOL = 1e-3, 1e-4
STEPS = 3
LARGEST = 1500  # parameters of a model


# ---------------------------------------------------------------- layers that PyTorch lacks


class Lambda(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Branches(nn.ModuleList):
    def __init__(self, branches, join, dim):
        super().__init__(branches)
        self.join, self.dim = join, dim

    def forward(self, x):
        all = [branch(x) for branch in self]
        if self.join == "cat":
            return torch.cat(all, self.dim)
        y = all[0]
        for other in all[1:]:
            y = y + other if self.join == "add" else y * other
        return y


class First(nn.Module):
    """The first result of a layer, at the layer's own path."""

    def __init__(self, inner, call):
        super().__init__()
        self.inner, self.call = inner, call

    def forward(self, x):
        return self.call(self.inner, x)


class Positions(nn.Module):
    def __init__(self, max_len, size):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(max_len, size))

    def forward(self, x):
        return x + self.weight[: x.shape[1]]


def sines(x):
    t, d = x.shape[1:]
    k = torch.arange(d, dtype=torch.float64)
    angle = torch.arange(t, dtype=torch.float64)[:, None] / 10000 ** ((k // 2) * 2 / d)
    return x + torch.where(k % 2 == 0, angle.sin(), angle.cos()).to(x.dtype)


def causal(t):
    return nn.Transformer.generate_square_subsequent_mask(t, dtype=torch.get_default_dtype())


def attend(layer, x, is_causal):
    t = x.shape[1] if layer.batch_first else x.shape[0]
    mask = causal(t) if is_causal else None
    return layer(x, x, x, attn_mask=mask, need_weights=False)[0]


def build(node, path, known):
    """The module of a description; `known` gets the module of each path."""
    kind = node["op"]
    a = {k: v for k, v in node.items() if k != "op"}
    below = lambda k: f"{path}.{k}" if path else str(k)
    if kind == "Sequential":
        m = nn.Sequential(*[build(n, below(k), known) for k, n in enumerate(a["layers"])])
    elif kind == "Residual":
        m = Residual(build(a["inner"], path, known))
    elif kind == "Branches":
        m = Branches([build(n, below(k), known) for k, n in enumerate(a["branches"])], a["join"], a["dim"])
    elif kind == "Shared":
        shared = [known[a["path"]]]
        m = Lambda(lambda x: shared[0](x))
    elif kind == "Tied":
        table = [known[a["path"]]]
        m = Lambda(lambda x: x @ table[0].weight.T)
    elif kind == "Transpose":
        m = Lambda(lambda x: x.transpose(1, 2))
    elif kind == "MeanTime":
        m = Lambda(lambda x: x.mean(1))
    elif kind == "LastStep":
        m = Lambda(lambda x: x[:, -1])
    elif kind.startswith("MinPool"):
        pool = getattr(nn, kind.replace("Min", "Max"))(**a)
        m = Lambda(lambda x: -pool(-x))
    elif kind in ("RNN", "LSTM", "GRU"):
        m = First(getattr(nn, kind)(**a), lambda layer, x: layer(x)[0])
    elif kind == "MultiheadAttention":
        is_causal = a.pop("is_causal")
        m = First(nn.MultiheadAttention(**a), lambda layer, x: attend(layer, x, is_causal))
    elif kind == "TransformerEncoderLayer":
        m = nn.TransformerEncoderLayer(**a)
    elif kind == "TransformerEncoder":
        count, norm = a.pop("num_layers"), a.pop("norm")
        norm = nn.LayerNorm(a["d_model"]) if norm else None
        m = nn.TransformerEncoder(nn.TransformerEncoderLayer(**a), count, norm, enable_nested_tensor=False)
    elif kind == "TransformerDecoderLayer":
        m = First(nn.TransformerDecoderLayer(**a), lambda layer, x: layer(x, x))
    elif kind == "TransformerDecoder":
        count = a.pop("num_layers")
        m = First(nn.TransformerDecoder(nn.TransformerDecoderLayer(**a), count), lambda layer, x: layer(x, x))
    elif kind == "Transformer":
        m = First(nn.Transformer(**a), lambda layer, x: layer(x, x))
    elif kind == "Bilinear":
        m = First(nn.Bilinear(**a), lambda layer, x: layer(x, x))
    elif kind == "SinusoidalPositions":
        m = Lambda(sines)
    elif kind == "LearnedPositions":
        m = Positions(**a)
    else:
        m = getattr(nn, kind)(**a)
    known[path] = m
    return m


# ---------------------------------------------------------------- what is drawn


class Draw:
    """Descriptions drawn at random; what was drawn least comes first."""

    def __init__(self, rng, counts, eval_mode):
        self.rng, self.counts, self.p = rng, counts, (rng.choice([0.2, 0.5]) if eval_mode else 0.0)

    def of(self, table):
        """One of a table's entries, those that were drawn less more often."""
        names = list(table)
        weights = [1 / (1 + self.counts.get(n, 0)) ** 2 for n in names]
        name = self.rng.choices(names, weights)[0]
        if name in ("activation", "CausalAttention"):
            # No layers' names: here alone they can be counted.
            self.counts[name] = self.counts.get(name, 0) + 0.2
        return name

    def flag(self):
        return self.rng.random() < 0.5

    def divisor(self, n, most=4):
        return self.rng.choice([d for d in range(1, min(n, most) + 1) if n % d == 0])

    def activation(self, last):
        r = self.rng
        options = {
            "GELU": {"approximate": r.choice(["none", "tanh"])}, "Softplus": {"beta": r.choice([1.0, 2.0]), "threshold": 20.0},
            "ELU": {"alpha": r.choice([1.0, 0.7])}, "CELU": {"alpha": r.choice([1.0, 1.5])},
            "LeakyReLU": {"negative_slope": r.choice([0.01, 0.2])}, "Hardtanh": {"min_val": -1.0, "max_val": r.choice([1.0, 0.8])},
            "Hardshrink": {"lambd": 0.5}, "Softshrink": {"lambd": 0.3}, "Threshold": {"threshold": 0.1, "value": r.choice([0.1, -0.5])},
            "Softmax": {"dim": r.choice([1, -1])}, "LogSoftmax": {"dim": r.choice([1, -1])},
        }
        plain = ["ReLU", "ReLU6", "SiLU", "Mish", "Tanh", "Sigmoid", "Hardswish", "Hardsigmoid", "SELU", "Softsign", "LogSigmoid",
                 "Tanhshrink", "Identity"]
        table = options | {name: {} for name in plain}
        if last % 2 == 0:
            table["GLU"] = {"dim": -1}
        kind = self.of(table)
        return {"op": kind, **table[kind]}

    def spatial(self, shape):
        """A layer for [n, c, sizes...]."""
        r, (n, c, *s) = self.rng, shape
        d = len(s)
        each = lambda f: [f(size) for size in s]
        window = lambda: {"kernel_size": each(lambda size: min(size, r.randint(2, 3))), "stride": each(lambda _: r.randint(1, 2))}

        def conv():
            g = self.divisor(c)
            return {"in_channels": c, "out_channels": g * r.randint(1, max(1, 6 // g)), "kernel_size": each(lambda _: r.randint(1, 3)),
                    "stride": each(lambda _: r.randint(1, 2)), "padding": each(lambda _: r.randint(0, 2)),
                    "dilation": each(lambda _: r.randint(1, 2)), "groups": g, "bias": self.flag()}

        def conv_transpose():
            a = conv() | {"padding": each(lambda _: r.randint(0, 1))}
            a["output_padding"] = [r.randint(0, max(st, di) - 1) for st, di in zip(a["stride"], a["dilation"])]
            return a

        def pool():
            a = window()
            return a | {"padding": [r.randint(0, k // 2) for k in a["kernel_size"]], "ceil_mode": self.flag()}

        table = {
            f"Conv{d}d": conv, f"ConvTranspose{d}d": conv_transpose,
            f"MaxPool{d}d": lambda: pool() | {"dilation": each(lambda size: 2 if size > 5 and self.flag() else 1)},
            f"MinPool{d}d": pool, f"AvgPool{d}d": lambda: pool() | {"count_include_pad": self.flag()},
            f"AdaptiveAvgPool{d}d": lambda: {"output_size": each(lambda size: r.randint(1, size))},
            f"AdaptiveMaxPool{d}d": lambda: {"output_size": each(lambda size: r.randint(1, size))},
            f"BatchNorm{d}d": lambda: {"num_features": c, "affine": self.flag(), "momentum": r.choice([0.1, 0.3, None]),
                                       "track_running_stats": r.random() < 0.8, "eps": r.choice([1e-5, 1e-3])},
            f"InstanceNorm{d}d": lambda: {"num_features": c, "affine": self.flag(), "track_running_stats": self.flag(), "eps": 1e-3},
            "GroupNorm": lambda: {"num_groups": self.divisor(c), "num_channels": c, "affine": self.flag(), "eps": 1e-3},
            "LayerNorm": lambda: {"normalized_shape": r.choice([[c, *s], s, s[-1:]]), "elementwise_affine": self.flag(), "eps": 1e-3},
            "Upsample": lambda: {"scale_factor": 2.0, "mode": r.choice(["nearest", {1: "linear", 2: "bilinear", 3: "trilinear"}[d]])},
            f"Dropout{d}d": lambda: {"p": self.p},
            "PReLU": lambda: {"num_parameters": r.choice([1, c])},
            "activation": lambda: self.activation(s[-1]), "Branches": None, "Residual": None,
        }
        kind = self.of(table)
        if kind in ("Branches", "Residual"):
            keep = [{"op": f"Conv{d}d", "in_channels": c, "out_channels": c, "kernel_size": [k] * d, "padding": [k // 2] * d}
                    for k in (1, 3)]
            return self.around(kind, keep, 1, s[-1], {"op": "GroupNorm", "num_groups": 1, "num_channels": c})
        a = table[kind]()
        return a if "op" in a else {"op": kind, **a}

    def around(self, kind, keep, dim, last, norm):
        """A block of layers that keep the shape."""
        r = self.rng
        inner = lambda: r.choice(keep) if self.flag() else {
            "op": "Sequential", "layers": [norm, self.keeping(last), r.choice(keep)][r.randint(0, 1):]}
        if kind == "Residual":
            return {"op": "Residual", "inner": inner()}
        count = r.randint(2, 3)
        return {"op": "Branches", "join": r.choice(["add", "mul", "cat"]), "dim": dim, "branches": [inner() for _ in range(count)]}

    def keeping(self, last):
        while (a := self.activation(last))["op"] == "GLU":
            pass
        return a

    def transformer(self, e):
        r = self.rng
        return {"d_model": e, "nhead": self.divisor(e), "dim_feedforward": r.randint(3, 8), "dropout": self.p,
                "activation": r.choice(["relu", "gelu"]), "norm_first": self.flag(), "batch_first": self.flag(), "bias": r.random() < 0.8,
                "layer_norm_eps": 1e-3}

    def sequence(self, shape):
        """A layer for [n, t, e]."""
        r, (n, t, e) = self.rng, shape

        def recurrent():
            return {"input_size": e, "hidden_size": r.randint(2, 5), "num_layers": r.randint(1, 2), "bidirectional": self.flag(),
                    "bias": self.flag(), "batch_first": self.flag(), "dropout": 0.0}

        table = {
            "Linear": lambda: {"in_features": e, "out_features": r.randint(2, 8), "bias": self.flag()},
            "RNN": lambda: recurrent() | {"nonlinearity": r.choice(["tanh", "relu"])}, "LSTM": recurrent, "GRU": recurrent,
            "MultiheadAttention": lambda: {"embed_dim": e, "num_heads": self.divisor(e), "bias": self.flag(), "batch_first": self.flag(),
                                           "dropout": self.p, "add_bias_kv": r.random() < 0.3, "add_zero_attn": False, "is_causal": False},
            "CausalAttention": lambda: {"op": "MultiheadAttention", "embed_dim": e, "num_heads": self.divisor(e), "bias": True,
                                        "batch_first": self.flag(), "dropout": self.p, "add_bias_kv": False, "add_zero_attn": False,
                                        "is_causal": True},
            "TransformerEncoderLayer": lambda: self.transformer(e),
            "TransformerEncoder": lambda: self.transformer(e) | {"num_layers": 2, "norm": self.flag()},
            "TransformerDecoderLayer": lambda: self.transformer(e),
            "TransformerDecoder": lambda: self.transformer(e) | {"num_layers": 2},
            "Transformer": lambda: self.transformer(e) | {"num_encoder_layers": 1, "num_decoder_layers": 1},
            "SinusoidalPositions": lambda: {}, "LearnedPositions": lambda: {"max_len": t + r.randint(0, 2), "size": e},
            "LayerNorm": lambda: {"normalized_shape": r.choice([[e], [t, e]]), "elementwise_affine": self.flag(), "eps": 1e-3},
            "RMSNorm": lambda: {"normalized_shape": [e], "elementwise_affine": self.flag(), "eps": 1e-3},
            "Dropout": lambda: {"p": self.p}, "activation": lambda: self.activation(e), "Residual": None, "Branches": None,
        }
        kind = self.of(table)
        if kind in ("Branches", "Residual"):
            keep = [{"op": "Linear", "in_features": e, "out_features": e},
                    {"op": "GRU", "input_size": e, "hidden_size": e, "batch_first": True},
                    {"op": "MultiheadAttention", "embed_dim": e, "num_heads": self.divisor(e), "bias": True, "batch_first": True,
                     "dropout": self.p, "add_bias_kv": False, "add_zero_attn": True, "is_causal": False}]
            return self.around(kind, keep, -1, e, {"op": "LayerNorm", "normalized_shape": [e]})
        a = table[kind]()
        return a if "op" in a else {"op": kind, **a}

    def vector(self, shape):
        """A layer for [n, f]."""
        r, (n, f) = self.rng, shape
        table = {
            "Linear": lambda: {"in_features": f, "out_features": r.randint(2, 10), "bias": self.flag()},
            "Bilinear": lambda: {"in1_features": f, "in2_features": f, "out_features": r.randint(1, 4), "bias": self.flag()},
            "BatchNorm1d": lambda: {"num_features": f, "affine": self.flag(), "momentum": r.choice([0.1, None]), "eps": 1e-3},
            "LayerNorm": lambda: {"normalized_shape": [f], "elementwise_affine": self.flag(), "bias": self.flag(), "eps": 1e-3},
            "RMSNorm": lambda: {"normalized_shape": [f], "elementwise_affine": self.flag(), "eps": 1e-3},
            "GroupNorm": lambda: {"num_groups": self.divisor(f, f // 2 or 1), "num_channels": f, "eps": 1e-2},
            "PReLU": lambda: {"num_parameters": r.choice([1, f])}, "Dropout": lambda: {"p": self.p},
            "activation": lambda: self.activation(f), "Residual": None, "Branches": None,
        }
        kind = self.of(table)
        if kind in ("Branches", "Residual"):
            keep = [{"op": "Linear", "in_features": f, "out_features": f}]
            return self.around(kind, keep, -1, f, {"op": "LayerNorm", "normalized_shape": [f]})
        a = table[kind]()
        return a if "op" in a else {"op": kind, **a}


def kinds_of(node):
    found = [node["op"]]
    for key in ("layers", "branches"):
        for child in node.get(key, []):
            found += kinds_of(child)
    return found + (kinds_of(node["inner"]) if "inner" in node else [])


class Refused(Exception):
    """What was drawn makes no case."""


def draw(rng, counts):
    """A description, and a function that draws a batch."""
    eval_mode = rng.random() < 0.2
    d = Draw(rng, counts, eval_mode)
    n = rng.randint(2, 5)
    start = d.of({"ids": 0, "vector": 0, "sequence": 0, "signal": 0, "image": 0, "volume": 0})
    nodes, known = [], {}
    vocabulary = rng.randint(5, 12)
    shape = {"ids": (n, rng.randint(2, 6)), "vector": (n, rng.randint(3, 10)), "sequence": (n, rng.randint(2, 6), rng.randint(2, 6)),
             "signal": (n, rng.randint(1, 4), rng.randint(6, 12)), "image": (n, rng.randint(1, 4), rng.randint(5, 8), rng.randint(5, 8)),
             "volume": (n, rng.randint(1, 3), rng.randint(3, 5), rng.randint(3, 5), rng.randint(3, 5))}[start]
    given, x, drawn = shape, torch.randn(shape), [start]
    if start == "ids":
        x = torch.randint(0, vocabulary, shape)

    def add(node):
        nonlocal x
        module = build(node, str(len(nodes)), known)
        if isinstance(module, nn.Module) and eval_mode:
            module.eval()
        y = module(x)
        if y.numel() == 0 or y.numel() > 1500 or not y.isfinite().all():
            raise Refused
        x = y.detach()
        nodes.append(node)
        drawn.extend(kinds_of(node))

    def several(kind, least, most):
        added = 0
        wanted = rng.randint(least, most)
        for _ in range(4 * wanted):
            if added == wanted:
                break
            kept = x
            try:
                node = {"spatial": d.spatial, "sequence": d.sequence, "vector": d.vector}[kind](tuple(x.shape))
                add(node)
            except (Refused, RuntimeError, ValueError, AssertionError):
                continue
            added += 1
            parameters = sum(p.numel() for p in known[str(len(nodes) - 1)].parameters())
            if kept.shape == x.shape and parameters and rng.random() < 0.25:
                add({"op": "Shared", "path": str(len(nodes) - 1)})

    if start == "ids":
        size = rng.randint(3, 6)
        add({"op": "Embedding", "num_embeddings": vocabulary, "embedding_dim": size, "padding_idx": rng.choice([None, 0, vocabulary - 1])})
    if start in ("signal", "image", "volume"):
        several("spatial", 2, 5)
    if start == "signal" and d.flag():
        add({"op": "Transpose"})
    if x.dim() == 3 and (start in ("ids", "sequence") or nodes and nodes[-1]["op"] == "Transpose"):
        several("sequence", 2, 4)
        if d.flag():
            add({"op": "Transpose"})
            several("spatial", 1, 2)
            if d.flag():
                add({"op": "Transpose"})
                several("sequence", 1, 1)
    end = rng.choice(["vector", "tags"]) if x.dim() == 3 else "vector"
    classes = rng.randint(2, 4)
    if end == "tags":
        if start == "ids" and d.flag():
            add({"op": "Linear", "in_features": x.shape[-1], "out_features": known["0"].embedding_dim})
            add({"op": "Tied", "path": "0"})
            classes = vocabulary
        else:
            add({"op": "Linear", "in_features": x.shape[-1], "out_features": classes})
        add({"op": "Transpose"})
        loss = "cross_entropy"
    else:
        if x.dim() == 3:
            add({"op": rng.choice(["MeanTime", "LastStep", "Flatten"])})
        elif x.dim() > 3:
            add({"op": "Flatten"})
        several("vector", 1 if len(nodes) > 1 else 3, 3 if len(nodes) > 1 else 5)
        add({"op": "Linear", "in_features": x.shape[-1], "out_features": classes})
        loss = rng.choice(["cross_entropy", "cross_entropy", "mse_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"])
    out = tuple(x.shape)

    def batch():
        values = torch.randint(0, vocabulary, given) if start == "ids" else torch.randn(given).float().double()
        if loss == "cross_entropy":
            target = torch.randint(0, classes, (out[0], *out[2:]))
        elif loss == "binary_cross_entropy_with_logits":
            target = torch.rand(out).float().double()
        else:
            target = torch.randn(out).float().double()
        return values, target

    # Where a gradient is 0 but for rounding, an optimizer that divides by its size would make steps of the rounding.
    eps = 1e-2
    optimizer = rng.choice([
        {"op": "SGD", "lr": 0.05}, {"op": "SGD", "lr": 0.02, "momentum": 0.9, "nesterov": d.flag()},
        {"op": "SGD", "lr": 0.05, "weight_decay": 0.01, "momentum": 0.5}, {"op": "Adam", "lr": 0.01, "eps": eps},
        {"op": "AdamW", "lr": 0.01, "weight_decay": 0.05, "eps": eps}, {"op": "RMSprop", "lr": 0.005, "eps": eps},
    ])
    freeze = rng.choice([None, None, None, "0"])
    net = {"op": "Sequential", "layers": nodes}
    described = {"net": net, "loss": loss, "optimizer": optimizer, "freeze": freeze, "mode": "eval" if eval_mode else "train"}
    return described, batch, drawn


# ---------------------------------------------------------------- training


def plain(name):
    """A name without what only this script's modules put into it."""
    return name.replace("inner.", "")


def train(described, net, batches):
    """Losses, values afterwards (in evaluation mode gradients), and the answer in evaluation mode to the first batch."""
    net.train(described["mode"] == "train")
    frozen = described["freeze"]
    parameters = []
    for name, p in net.named_parameters():
        if frozen is not None and (name == frozen or name.startswith(frozen + ".")):
            p.requires_grad_(False)
        else:
            parameters.append(p)
    if not parameters:
        raise Refused
    options = {k: v for k, v in described["optimizer"].items() if k != "op"}
    optimizer = getattr(torch.optim, described["optimizer"]["op"])(parameters, **options)
    loss_of, losses, grads = getattr(F, described["loss"]), [], {}
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        if described["mode"] == "train":
            optimizer.step()
        elif not grads:
            grads = {f"grad.param.{plain(k)}": p.grad.clone() for k, p in net.named_parameters() if p.grad is not None}
        losses.append(loss.item())
    net.eval()
    if grads:
        return {"losses": torch.tensor(losses), "eval.output": net(batches[0][0]).detach()} | grads
    after = {f"after.{plain(k)}": v.detach() for k, v in net.state_dict().items() if v.is_floating_point()}
    return {"losses": torch.tensor(losses), "eval.output": net(batches[0][0]).detach()} | after


def misses(got, want):
    want = want.double()
    bound = ATOL + RTOL * want.abs() + 1e-6 * want.abs().max()
    return ((got.double() - want).abs() / bound).max().item() if want.numel() else 0.0


def case(rng, counts):
    described, batch, drawn = draw(rng, counts)
    net = build(described["net"], "", {})
    with torch.no_grad():
        for p in net.parameters():
            if p.dim() < 2:
                p.add_(0.1 * torch.randn(p.shape))
            p.copy_(p.float().double())
    if sum(p.numel() for p in net.parameters()) > LARGEST:
        raise Refused
    before = {f"param.{plain(k)}": v.clone() for k, v in net.state_dict().items() if v.is_floating_point()}
    batches = [batch() for _ in range(STEPS)]
    twin = copy.deepcopy(described)
    saved = train(described, net, batches)
    # The same in f32, from the same values.
    torch.set_default_dtype(torch.float32)
    low = build(twin["net"], "", {})
    low.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in zip(net.state_dict(), initial(net, before))})
    floats = [tuple(t.float() if t.is_floating_point() else t for t in b) for b in batches]
    got = train(twin, low, floats)
    torch.set_default_dtype(torch.float64)
    if any(not misses(got[k], v) < 0.5 or not v.isfinite().all() for k, v in saved.items()):
        raise Refused
    for s, (x, y) in enumerate(batches):
        saved |= {f"batch.{s}.input": x, f"batch.{s}.target": y}
    return described, before | saved, drawn


def initial(net, before):
    """Values of the state_dict before training, in its order."""
    return [before.get(f"param.{plain(k)}", torch.zeros_like(v)) for k, v in net.state_dict().items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=40)
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    counts, refused = {}, 0
    for number in range(a.count):
        for attempt in range(1000):
            rng = random.Random(f"{a.seed} {number} {attempt}")
            torch.manual_seed(rng.randrange(1 << 30))
            try:
                described, tensors, drawn = case(rng, counts)
                break
            except (Refused, RuntimeError, ValueError, AssertionError):
                torch.set_default_dtype(torch.float64)
                refused += 1
        for kind in drawn:
            counts[kind] = counts.get(kind, 0) + 1
        tensors = {k: (v.float() if v.is_floating_point() else v.int()).contiguous() for k, v in tensors.items()}
        name = f"{a.seed}_{number}"
        save_file(tensors, str(out / f"{name}.safetensors"), metadata={"model": json.dumps(described), "source": f"torch {torch.__version__}"})
    print(f"{a.count} models, {refused} drawn again; layers: {dict(sorted(counts.items()))}")


main()
