"""Write the cases of tests/fixtures/keras_losses.json with the numbers of Keras 3.

    pip install keras torch
    KERAS_BACKEND=torch python make_keras_losses.py ../fixtures/keras_losses.json

Computed in float32, as Keras does by default: what it holds within 1e-7 of 0 and 1 depends on it.
"""

import json
import sys

import keras
import numpy as np
import torch

CLASSES = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "log_cosh": "LogCosh",
    "hinge": "Hinge",
    "squared_hinge": "SquaredHinge",
    "categorical_hinge": "CategoricalHinge",
    "kl_divergence": "KLDivergence",
    "poisson": "Poisson",
    "cosine_similarity": "CosineSimilarity",
    "huber": "Huber",
}


def case(loss, y_true, y_pred, **options):
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred, np.float32)
    whole = np.issubdtype(y_true.dtype, np.integer)
    target = torch.tensor(y_true, dtype=torch.int64 if whole else torch.float32)
    prediction = torch.tensor(y_pred, requires_grad=True)
    results = {}
    for reduction in ["none", "sum", "sum_over_batch_size"]:
        of = getattr(keras.losses, CLASSES[loss])(reduction=reduction, **options)
        results[reduction] = of(target, prediction)
    (gradient,) = torch.autograd.grad(results["sum"], prediction)
    numbers = lambda t: [float(f"{x:.9g}") for x in t.detach().numpy().ravel()]
    assert all(np.isfinite(numbers(t)).all() for t in [*results.values(), gradient]), (loss, options)
    return {
        "loss": loss,
        **options,
        "shape": list(y_pred.shape),
        "y_true": y_true.ravel().tolist() if whole else numbers(target),
        "y_pred": numbers(prediction),
        **{name: numbers(value) for name, value in results.items()},
        "gradient": numbers(gradient),
    }


def cases():
    rng = np.random.default_rng(0)
    normal = lambda *shape: np.round(rng.normal(size=shape), 3)
    uniform = lambda *shape: np.round(rng.uniform(0.02, 0.98, size=shape), 3)
    one_hot = lambda labels, n: np.eye(n)[labels]
    labels = rng.integers(0, 5, 6)
    # Not scaled to a sum of 1, with certainties and zeros.
    certain = uniform(6, 5)
    certain[0], certain[1] = one_hot(labels[0], 5), one_hot((labels[1] + 1) % 5, 5)
    scores = normal(6, 5) * 3
    soft = uniform(6, 5)
    soft /= soft.sum(1, keepdims=True)
    for target in [one_hot(labels, 5), soft]:
        yield case("categorical_crossentropy", target, certain)
        yield case("categorical_crossentropy", target, scores, from_logits=True)
        yield case("categorical_crossentropy", target, scores, from_logits=True, label_smoothing=0.2)
    yield case("sparse_categorical_crossentropy", labels, certain)
    yield case("sparse_categorical_crossentropy", labels, scores, from_logits=True)
    yield case("sparse_categorical_crossentropy", labels.reshape(2, 3), scores.reshape(2, 3, 5), from_logits=True)
    mask = rng.integers(0, 2, (6, 4)).astype(np.float32)
    near = uniform(6, 4)
    near[0], near[1] = [0, 1, 0, 1], [1e-9, 1 - 1e-6, 0.5, 0.25]
    for target in [mask, uniform(6, 4)]:
        yield case("binary_crossentropy", target, near)
        yield case("binary_crossentropy", target, normal(6, 4) * 4, from_logits=True)
    x, y = normal(3, 2, 4), normal(3, 2, 4)
    for loss in ["mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "cosine_similarity"]:
        yield case(loss, x, y)
    yield case("huber", x, 3 * y, delta=0.5)
    yield case("log_cosh", x, 60 * y)
    # A target of 0 counts as 1e-7.
    yield case("mean_absolute_percentage_error", np.where(x > 1, 0, x), y)
    yield case("mean_squared_logarithmic_error", np.abs(x), np.abs(y))
    # Negative ones count as 1e-7.
    yield case("mean_squared_logarithmic_error", x, y)
    signs = np.where(mask > 0, 1.0, -1.0)
    for loss in ["hinge", "squared_hinge"]:
        for target in [mask, signs, normal(6, 4)]:
            yield case(loss, target, normal(6, 4))
    yield case("categorical_hinge", one_hot(labels, 5), scores)
    # At 1 itself, the end of what a prediction is held to, backends of Keras do not agree on the gradient.
    yield case("kl_divergence", soft, np.where(certain == 1, 0.999, certain))
    yield case("kl_divergence", one_hot(labels, 5), uniform(6, 5))
    yield case("poisson", np.round(rng.uniform(0, 5, (6, 4))), near + 0.5)
    yield case("poisson", mask, np.where(near < 0.1, 0, near))
    zero = normal(4, 3)
    zero[0] = 0
    yield case("cosine_similarity", zero, normal(4, 3))
    yield case("cosine_similarity", normal(4, 3) * 1e-3, normal(4, 3) * 1e-4)


def main():
    keras.config.set_floatx("float32")
    lines = [json.dumps(c) for c in cases()]
    with open(sys.argv[1], "w") as file:
        file.write("[\n" + ",\n".join(lines) + "\n]\n")
    print(len(lines), "cases")


main()
