"""Write the cases of tests/fixtures/extremes.json: what PyTorch makes of NaN and infinities.

    pip install torch
    python make_extremes.py ../fixtures/extremes.json
"""

import json
import sys

import torch
import torch.nn.functional as F

NAN, INF = float("nan"), float("inf")

# One strange value among ordinary ones, several, nothing else.
ROWS = [
    [0.5, NAN, -1.0, 2.0],
    [0.5, INF, -1.0, 2.0],
    [0.5, -INF, -1.0, 2.0],
    [INF, INF, 0.0, 1.0],
    [-INF, -INF, 0.0, 1.0],
    [INF, -INF, 0.0, 1.0],
    [-INF, -INF, -INF, -INF],
    [NAN, INF, -INF, 0.0],
    [300.0, -300.0, 1e30, -1e30],
    [-2.0, NAN, NAN, 1.0],
]


def text(x):
    return "nan" if x != x else "inf" if x == INF else "-inf" if x == -INF else float(f"{x:.9g}")


def numbers(t):
    return [text(x) for x in t.detach().double().ravel().tolist()]


def case(name, f, *others, x=ROWS, gradient=True):
    x = torch.tensor(x, requires_grad=gradient)
    y = f(x, *others)
    result = {
        "function": name,
        "x": {"shape": list(x.shape), "values": numbers(x)},
        "others": [{"shape": list(o.shape), "values": numbers(o), "labels": o.dtype == torch.int64} for o in others],
        "y": {"shape": list(y.shape), "values": numbers(y)},
    }
    if gradient:
        y.sum().backward()
        result["gradient"] = numbers(x.grad)
    return result


def cases():
    labels = torch.tensor([1, 1, 1, 0, 0, 2, 3, 0, 2, 0])
    soft = torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(10, 4).contiguous()
    target = torch.tensor([1.0, 0.0, 0.25, 1.0]).expand(10, 4).contiguous()
    signs = torch.tensor([1.0, -1.0, -1.0, 1.0]).expand(10, 4).contiguous()
    sign = torch.tensor([1.0, -1.0] * 5)
    none = {"reduction": "none"}
    yield case("softmax", lambda x: F.softmax(x, 1))
    yield case("log_softmax", lambda x: F.log_softmax(x, 1))
    yield case("logsumexp", lambda x: torch.logsumexp(x, 1))
    yield case("amax", lambda x: torch.amax(x, 1))
    yield case("amin", lambda x: torch.amin(x, 1))
    yield case("argmax", lambda x: torch.argmax(x, 1), gradient=False)
    yield case("argmin", lambda x: torch.argmin(x, 1), gradient=False)
    yield case("max_pool1d", lambda x: F.max_pool1d(x[:, None], 2, 1)[:, 0])
    yield case("adaptive_max_pool1d", lambda x: F.adaptive_max_pool1d(x[:, None], 3)[:, 0])
    yield case("maximum", lambda x, y: torch.maximum(x, y), target)
    yield case("minimum", lambda x, y: torch.minimum(x, y), target)
    yield case("cross_entropy", lambda x, y: F.cross_entropy(x, y, **none), labels)
    yield case("cross_entropy, probabilities", lambda x, y: F.cross_entropy(x, y, **none), soft)
    yield case("nll_loss", lambda x, y: F.nll_loss(x, y, **none), labels)
    yield case("mse_loss", lambda x, y: F.mse_loss(x, y, **none), target)
    yield case("l1_loss", lambda x, y: F.l1_loss(x, y, **none), target)
    yield case("smooth_l1_loss", lambda x, y: F.smooth_l1_loss(x, y, **none), target)
    yield case("huber_loss", lambda x, y: F.huber_loss(x, y, **none), target)
    yield case("binary_cross_entropy_with_logits", lambda x, y: F.binary_cross_entropy_with_logits(x, y, **none), target)
    yield case("kl_div", lambda x, y: F.kl_div(x, y, **none), soft)
    yield case("hinge_embedding_loss", lambda x, y: F.hinge_embedding_loss(x, y, **none), signs)
    yield case("soft_margin_loss", lambda x, y: F.soft_margin_loss(x, y, **none), signs)
    yield case("multi_margin_loss", lambda x, y: F.multi_margin_loss(x, y, **none), labels)
    yield case("margin_ranking_loss", lambda x, y: F.margin_ranking_loss(x, soft, y, **none), signs)
    yield case("cosine_embedding_loss", lambda x, y: F.cosine_embedding_loss(x, soft, y, **none), sign)


def main():
    with open(sys.argv[1], "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(c) for c in cases()) + "\n]\n")


main()
