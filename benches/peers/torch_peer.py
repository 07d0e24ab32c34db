"""Time one training step of the models in README.md on PyTorch.

    python torch_peer.py <cpu|cuda> <model> [steps]
"""

import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCABULARY = 28996
TOKENS = 128
WARMUP = 3


def mlp():
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


class LeNet(nn.Module):
    """x [n, 1, 32, 32] -> [n, 10]"""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.fc1 = nn.Linear(576, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


class Cifar(nn.Module):
    """x [n, 3, 32, 32] -> [n, 10]"""

    CHANNELS = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in self.CHANNELS)
        self.fc1 = nn.Linear(2048, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        for i, conv in enumerate(self.convs):
            x = F.relu(conv(x))
            if i % 2:
                x = F.max_pool2d(x, 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class TextCnn(nn.Module):
    """x [n, tokens] -> [n, 2]"""

    def __init__(self, vocabulary=VOCABULARY):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64)
        self.conv = nn.Conv1d(64, 10, 3, padding=1)
        self.out = nn.Linear(10, 2)

    def forward(self, x, lengths=None):
        return self.out(F.relu(self.conv(self.embedding(x).transpose(1, 2))).amax(2))


class TextRnn(nn.Module):
    """x [n, tokens], lengths [n] -> [n, 2]

    `pool` makes one vector of the outputs: "last" is the last time step, padding or not, "valid" the last
    one that is no padding, "mean" the mean of those.
    """

    def __init__(self, recurrent, hidden, pool="last", vocabulary=VOCABULARY):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64)
        self.recurrent = recurrent(64, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 2)
        self.pool = pool

    def forward(self, x, lengths=None):
        y, _ = self.recurrent(self.embedding(x))
        if self.pool == "last":
            pooled = y[:, -1]
        elif self.pool == "valid":
            pooled = y[torch.arange(len(lengths)), lengths - 1]
        else:
            mask = (torch.arange(x.shape[1])[None] < lengths[:, None]).float()[..., None]
            pooled = (y * mask).sum(1) / mask.sum(1)
        return self.out(pooled)


class Encoder(nn.Module):
    """x [n, tokens] -> [n, 2]"""

    def __init__(self, vocabulary=VOCABULARY):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 128)
        self.position = nn.Embedding(TOKENS, 128)
        layer = nn.TransformerEncoderLayer(128, 4, 512, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.out = nn.Linear(128, 2)

    def forward(self, x, lengths=None):
        x = self.embedding(x) + self.position.weight[: x.shape[1]]
        return self.out(self.encoder(x).mean(1))


def ids(batch):
    return (torch.arange(batch * TOKENS) * 7919 % VOCABULARY).view(batch, TOKENS)


# Model, its input, number of classes.
MODELS = {
    "mlp": lambda: (mlp(), torch.randn(128, 784), 10),
    "lenet": lambda: (LeNet(), torch.randn(64, 1, 32, 32), 10),
    "cifar": lambda: (Cifar(), torch.randn(64, 3, 32, 32), 10),
    "textcnn8": lambda: (TextCnn(), ids(8), 2),
    "textcnn64": lambda: (TextCnn(), ids(64), 2),
    "textrnn8": lambda: (TextRnn(nn.RNN, 96), ids(8), 2),
    "textrnn64": lambda: (TextRnn(nn.RNN, 96), ids(64), 2),
    "lstm64": lambda: (TextRnn(nn.LSTM, 128), ids(64), 2),
    "encoder": lambda: (Encoder(), ids(16), 2),
    "gru64": lambda: (TextRnn(nn.GRU, 128), ids(64), 2),
}


def main():
    if len(sys.argv) < 3 or sys.argv[2] not in MODELS:
        sys.exit(f"usage: torch_peer.py <cpu|cuda> <{'|'.join(MODELS)}> [steps]")
    device, name = sys.argv[1:3]
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 20

    torch.manual_seed(0)
    model, x, classes = MODELS[name]()
    model, x = model.to(device), x.to(device)
    y = (torch.arange(x.shape[0]) % classes).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    times = []
    for step in range(WARMUP + steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        value = loss.item()
        if step >= WARMUP:
            times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    median = times[len(times) // 2]
    print(f"torch-{device} {name} b{x.shape[0]}: median {median:.3f} ms min {times[0]:.3f} loss {value:.4f}")


if __name__ == "__main__":
    main()
