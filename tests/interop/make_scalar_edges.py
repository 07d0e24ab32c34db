"""Write tests/fixtures/scalar_edges.json: what PyTorch makes, in f64, of scalar functions at their edges.

    pip install torch numpy
    python make_scalar_edges.py ../fixtures/scalar_edges.json

The points are f32 numbers: zeros, kinks of each function and their neighbours, subnormals, small and large ones, infinities,
NaN. `y` are the values, `grads` the gradients by each operand for an incoming gradient of 1.
"""

import json
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
NAN, INF = float("nan"), float("inf")
MAX, TINY = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


def f32(x):
    return float(np.float32(x))


def both(*values):
    return [f32(s * v) for v in values for s in (1.0, -1.0)]


POINTS = both(0.0, 1e-45, 1e-40, TINY, 1e-20, 1e-8, 1e-4, 0.01, 0.1, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 87, 88.8, 100, 1e3, 1e4, 1e8, 3e9, 1e20, MAX)
POINTS += [INF, -INF, NAN]

OPERANDS = [*both(0.0), f32(1e-40), *both(0.5, 1, 2, 3, 1e4, 1e20), MAX, INF, -INF, NAN]
SCORES = [*both(0.0, 1e-8, 0.5, 1, 30, 80, 1e4), INF, -INF, NAN]
TARGETS = [0.0, 0.25, 0.5, 1.0]


def around(*kinks):
    """Each kink with its neighbours."""
    sides = (-INF, None, INF)
    near = [np.float32(k) if s is None else np.nextafter(np.float32(k), np.float32(s)) for k in kinks for s in sides]
    return [float(x) for x in near]


def text(x):
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    short = float(f"{x:.9g}")
    return int(short) if short == int(short) and abs(short) < 1e9 and math.copysign(1, short) > 0 else short


def numbers(t):
    return [text(x) for x in (t.detach().ravel().tolist() if isinstance(t, torch.Tensor) else t)]


def gradient(f, inputs, k):
    inputs = [x.clone().requires_grad_(i == k) for i, x in enumerate(inputs)]
    y = f(*inputs)
    y.sum().backward()
    return inputs[k].grad if inputs[k].grad is not None else torch.zeros_like(inputs[k])


def case(name, f, args, points, by):
    """`points` are the operands' values, one list for each; the gradients are those by the operands `by`."""
    args = [f32(a) for a in args]
    inputs = [torch.tensor(x, dtype=torch.float64) for x in zip(*points)]
    g = lambda *x: f(*x, *args)
    grads = [numbers(gradient(g, inputs, k)) for k in by]
    return {"function": name, "args": numbers(args), "y": numbers(g(*inputs)), "grads": grads}


def unary(name, f, *args, kinks=(), by=(0,)):
    extra = around(*kinks)
    return case(name, f, args, [(x,) for x in POINTS + extra], by) | {"x": numbers(extra)}


def binary(name, f, *args, by=(0, 1), left=OPERANDS, right=OPERANDS):
    made = case(name, f, args, [(a, b) for a in left for b in right], by)
    return made | {"left": numbers(left), "right": numbers(right)}


def loss(name, f, *args, **lists):
    return binary(name, lambda *x: f(*x, reduction="none"), *args, by=[0], **({"left": SCORES} | lists))


def cases():
    yield unary("neg", lambda x: -x)
    yield unary("abs", torch.abs)
    yield unary("sign", torch.sign, by=[])
    yield unary("floor", torch.floor, kinks=[1, -1, 8388608], by=[])
    yield unary("exp", torch.exp, kinks=[88.72284, -87.33655, -103.97208])
    yield unary("expm1", torch.expm1, kinks=[88.72284, 0.5, -0.5])
    yield unary("log", torch.log, kinks=[1])
    yield unary("log1p", torch.log1p, kinks=[-1, 0.5, -0.5])
    yield unary("sqrt", torch.sqrt)
    yield unary("rsqrt", torch.rsqrt)
    yield unary("reciprocal", torch.reciprocal)
    yield unary("square", torch.square)
    yield unary("sin", torch.sin, kinks=[math.pi, 2 * math.pi, 1000, 8192, 1e6, 16367173 * 2.0**72])
    yield unary("cos", torch.cos, kinks=[math.pi / 2, 1000, 8192, 1e6, 16367173 * 2.0**72])
    yield unary("tanh", torch.tanh, kinks=[0.625, -0.625, 9, -9])
    yield unary("sigmoid", torch.sigmoid, kinks=[88.72284, -88.72284, 17])
    yield unary("erf", torch.erf, kinks=[0.5, -0.5, 4])
    yield unary("relu", F.relu)
    yield unary("relu6", F.relu6, kinks=[6])
    yield unary("selu", F.selu)
    yield unary("silu", F.silu, kinks=[-88.72284])
    yield unary("mish", F.mish)
    yield unary("softsign", F.softsign)
    yield unary("hardsigmoid", F.hardsigmoid, kinks=[-3, 3])
    yield unary("hardswish", F.hardswish, kinks=[-3, 3])
    yield unary("log_sigmoid", F.logsigmoid)
    yield unary("tanhshrink", F.tanhshrink, kinks=[0.625])
    yield unary("isnan", lambda x: x.isnan().double(), by=[])
    yield unary("leaky_relu", F.leaky_relu, 0.1)
    yield unary("leaky_relu", F.leaky_relu, 0.0)
    for alpha in (1.0, 0.5, 1.3):
        yield unary("elu", F.elu, alpha)
        yield unary("celu", F.celu, alpha)
    yield unary("gelu, none", F.gelu, kinks=[-5.5, -13])
    yield unary("gelu, tanh", lambda x: F.gelu(x, approximate="tanh"), kinks=[-5.5, -13])
    yield unary("softplus", F.softplus, 1.0, 20.0, kinks=[20])
    yield unary("softplus", F.softplus, 2.0, 4.0, kinks=[2])
    yield unary("hardtanh", F.hardtanh, -1.0, 1.0, kinks=[-1, 1])
    yield unary("hardtanh", F.hardtanh, -1.5, 0.7, kinks=[-1.5, 0.7])
    yield unary("clamp", torch.clamp, -1.0, 1.0, kinks=[-1, 1])
    yield unary("clamp", torch.clamp, -0.4, 0.9, kinks=[-0.4, 0.9])
    yield unary("clamp", lambda x, low, _: x.clamp(min=low), 0.0, INF)
    yield unary("clamp", lambda x, _, high: x.clamp(max=high), -INF, 0.5, kinks=[0.5])
    yield unary("clamp", torch.clamp, 2.0, 1.0)
    yield unary("clamp", torch.clamp, 1.0, 1.0, kinks=[1])
    yield unary("hardshrink", F.hardshrink, 0.5, kinks=[-0.5, 0.5])
    yield unary("softshrink", F.softshrink, 0.5, kinks=[-0.5, 0.5])
    yield unary("softshrink", F.softshrink, 0.0)
    yield unary("threshold", F.threshold, 0.1, 20.0, kinks=[0.1])
    for exponent in (0, 1, -1, 2, -2, 3, -3, 4, 8, -8, 9, -9, 0.5, -0.5, 1.5, -1.5, 1 / 3, 40.5, INF, -INF):
        yield unary("pow_scalar", torch.pow, exponent)
    for value in (0, -0.0, 1, 0.1, MAX, INF, -INF, NAN):
        yield unary("add_scalar", torch.add, value)
        yield unary("mul_scalar", torch.mul, value)
        yield unary("scalar_over", lambda x, a: a / x, value)
        yield unary("over_scalar", torch.div, value)
        yield unary("scalar_minus", lambda x, a: a - x, value)
    yield unary("x - x", lambda x: x - x)
    yield unary("x / x", lambda x: x / x)
    yield unary("x * x - x * x", lambda x: x * x - x * x)
    yield unary("x + 1 - x", lambda x: x + 1.0 - x)
    yield unary("norm", lambda x: torch.linalg.vector_norm(x[:, None], dim=1))
    yield unary("std", lambda x: torch.stack([x, x], 1).std(1))
    yield unary("glu", lambda x: F.glu(torch.stack([x, x], 1), 1)[:, 0])
    yield binary("add", torch.add)
    yield binary("sub", torch.sub)
    yield binary("mul", torch.mul)
    yield binary("div", torch.div)
    yield binary("pow", torch.pow)
    yield binary("maximum", torch.maximum)
    yield binary("minimum", torch.minimum)
    yield binary("where", lambda a, b: torch.where(a > 0, a, a * b))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        yield binary(name, lambda a, b, f=getattr(torch, name): f(a, b).double(), by=[])
    signs = {"right": [1.0, -1.0]}
    yield loss("mse_loss", F.mse_loss, right=SCORES)
    yield loss("l1_loss", F.l1_loss, right=SCORES)
    yield loss("smooth_l1_loss", lambda a, b, beta, reduction: F.smooth_l1_loss(a, b, reduction=reduction, beta=beta), 0.5, right=SCORES)
    yield loss("huber_loss", lambda a, b, delta, reduction: F.huber_loss(a, b, reduction=reduction, delta=delta), 0.5, right=SCORES)
    yield loss("binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits, right=TARGETS)
    yield loss("binary_cross_entropy", F.binary_cross_entropy, left=[0.0, -0.0, *TARGETS[1:]], right=TARGETS)
    yield loss("kl_div", F.kl_div, right=TARGETS)
    yield loss("kl_div, log", lambda a, b, reduction: F.kl_div(a, b, reduction=reduction, log_target=True), right=SCORES)
    yield loss("soft_margin_loss", F.soft_margin_loss, **signs)
    yield loss("hinge_embedding_loss", lambda a, b, margin, reduction: F.hinge_embedding_loss(a, b, margin=margin, reduction=reduction), 1.0, **signs)


def main():
    made = list(cases())
    with open(sys.argv[1], "w") as file:
        lines = [json.dumps(c, separators=(",", ":")) for c in [{"points": numbers(POINTS)}, *made]]
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


main()
