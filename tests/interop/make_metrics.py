"""Write the cases of tests/fixtures/metrics.json with the numbers of scikit-learn.

    pip install scikit-learn
    python make_metrics.py ../fixtures/metrics.json
"""

import json
import sys

import numpy as np
from sklearn import metrics as m


def classification(labels, predicted):
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    classes = max(labels.max(), predicted.max()) + 1
    averages = []
    for average in ["binary", "macro", "micro", "weighted"]:
        if average == "binary" and classes > 2:
            averages.append(None)
            continue
        scores = m.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        averages.append([float(x) for x in scores[:3]])
    return {
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "accuracy": float(m.accuracy_score(labels, predicted)),
        "confusion": m.confusion_matrix(labels, predicted, labels=range(classes)).tolist(),
        "averages": averages,
    }


def ranking(rng, n, classes):
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    # Two decimals: equal scores occur.
    logits = np.round(rng.normal(size=(n, classes)) * 2 + 2 * np.eye(classes)[labels], 2).astype(np.float32)
    x = logits.astype(np.float64)
    soft = np.exp(x - x.max(1, keepdims=True))
    soft /= soft.sum(1, keepdims=True)
    # The area of each class by its logits, as softmax would mix them; log_loss renormalises nothing here.
    areas = [m.roc_auc_score(labels == c, x[:, c]) for c in range(classes)]
    top = [
        float(m.top_k_accuracy_score(labels, x, k=k, labels=range(classes))) if classes > 2 else None
        for k in range(1, classes)
    ]
    return {
        "classes": classes,
        "labels": labels.tolist(),
        "scores": [float(v) for v in logits.ravel()],
        "top": [t for t in top if t is not None],
        "roc_auc_ovr": float(np.mean(areas)),
        "perplexity": float(np.exp(m.log_loss(labels, soft, labels=range(classes)))),
    }


def binary(rng, n, decimals):
    labels = np.concatenate([[0, 1], rng.integers(0, 2, n - 2)])
    scores = np.round(rng.normal(size=n) + labels, decimals).astype(np.float32)
    return {
        "labels": labels.tolist(),
        "scores": [float(v) for v in scores],
        "roc_auc": float(m.roc_auc_score(labels, scores)),
    }


def regression(labels, predictions):
    labels, predictions = (np.asarray(a, dtype=np.float32) for a in (labels, predictions))
    wide = labels.astype(np.float64), predictions.astype(np.float64)
    return {
        "labels": [float(v) for v in labels],
        "predictions": [float(v) for v in predictions],
        "mae": float(m.mean_absolute_error(*wide)),
        "mse": float(m.mean_squared_error(*wide)),
        "r2": float(m.r2_score(*wide)),
    }


def main(out):
    rng = np.random.default_rng(0)

    def noisy(n, classes, wrong):
        labels = rng.integers(0, classes, n)
        return labels, np.where(rng.random(n) < wrong, rng.integers(0, classes, n), labels)

    cases = {
        "classification": [
            classification(*noisy(50, 2, 0.4)),
            classification(*noisy(80, 5, 0.5)),
            classification(*noisy(3, 7, 0.9)),
            classification([0, 0, 1, 1], [0, 0, 0, 0]),
            classification([0, 0, 0], [1, 1, 1]),
            classification([0, 5, 5, 2], [0, 5, 3, 2]),
            classification([1], [1]),
        ],
        "ranking": [ranking(rng, 40, 5), ranking(rng, 60, 3), ranking(rng, 30, 2)],
        "binary": [binary(rng, 60, 3), binary(rng, 60, 0), binary(rng, 2, 2)],
        "regression": [
            regression(rng.normal(size=30), rng.normal(size=30)),
            regression(np.arange(20), np.arange(20) + rng.normal(size=20) / 3),
            regression([2, 2, 2], [2, 2, 2]),
            regression([2, 2, 2], [1, 2, 3]),
        ],
    }
    with open(out, "w") as file:
        json.dump(cases, file, separators=(",", ":"))
        file.write("\n")


main(sys.argv[1])
