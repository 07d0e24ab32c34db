"""Loads the model that `--example cnn` wrote into the same model of PyTorch and checks what it predicts.

    cargo run --release --example cnn -- --device cpu
    python3 tests/interop/load_state_dict.py runs/cnn examples/data/mnist

Needs torch, safetensors and numpy. Exits non-zero where a name or a shape does not fit (strict=True) or where the
held-out accuracy is not the one in history.json to within one digit.

With torch 2.15.0, seed 0, 3 epochs: both say accuracy 0.9735, loss 0.082014.
"""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.fc1 = nn.Linear(16 * 6 * 6, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2).flatten(1)
        x = torch.relu(self.fc1(x))
        return self.fc3(torch.relu(self.fc2(x)))


def read(path, header):
    return np.frombuffer(gzip.open(path).read(), np.uint8, offset=header)


def main(run, data):
    model = LeNet()
    model.load_state_dict(load_file(run / "model.safetensors"), strict=True)
    images = read(data / "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[8000:]
    labels = torch.from_numpy(read(data / "t10k-labels-idx1-ubyte.gz", 8)[8000:].astype(np.int64))
    pixels = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))).astype(np.float32) / 255
    x = (torch.from_numpy(pixels) - 0.1307) / 0.3081
    with torch.no_grad():
        logits = model(x)
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    loss = nn.functional.cross_entropy(logits, labels).item()
    history = json.loads((run / "history.json").read_text())
    recorded = history["val_accuracy"][-1], history["val_loss"][-1]
    print(f"torch {torch.__version__}: accuracy {accuracy:.4f}, loss {loss:.6f}")
    print(f"history.json: accuracy {recorded[0]:.4f}, loss {recorded[1]:.6f}")
    assert abs(accuracy - recorded[0]) < 1.5 / len(labels)
    assert abs(loss - recorded[1]) < 1e-4


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
