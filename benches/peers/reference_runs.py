"""The accuracies that PyTorch reaches on the data sets with the models of torch_peer.py.

    python reference_runs.py DATA [--seed N] [mnist] [cifar] [rt] [imdb]

DATA holds mnist/, cifar-10/, rt-polarity/, imdb/ and bert-base-cased/tokenizer.json.
"""

import argparse
import csv
import gzip
import io
import pathlib
import random
import struct
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from tokenizers import Tokenizer

from torch_peer import Cifar, LeNet, TextCnn, TextRnn


def read_idx(path):
    data = gzip.open(path).read()
    count = struct.unpack(">I", data[4:8])[0]
    images = data[3] == 3
    shape = (count, 28, 28) if images else (count,)
    return np.frombuffer(data, np.uint8, offset=16 if images else 8).reshape(shape)


def read_mnist(folder, part):
    images = torch.tensor(read_idx(folder / f"{part}-images-idx3-ubyte.gz")).float() / 255
    labels = torch.tensor(read_idx(folder / f"{part}-labels-idx1-ubyte.gz")).long()
    return F.pad((images - 0.1307)[:, None] / 0.3081, (2, 2, 2, 2)), labels


def read_cifar(path):
    records = np.frombuffer(gzip.open(path).read(), np.uint8).reshape(-1, 3073)
    images = torch.tensor(records[:, 1:].reshape(-1, 3, 32, 32)).float() / 255
    return images, torch.tensor(records[:, 0]).long()


def read_imdb(path):
    rows = csv.DictReader(io.StringIO(gzip.open(path).read().decode()))
    return [(row["review"], int(row["sentiment"] == "positive")) for row in rows]


def read_lines(path, label):
    with open(path, encoding="cp1252", newline="\n") as file:
        return [(line, label) for line in file.read().split("\n") if line]


def train_images(name, model, train, test, epochs, batch=64):
    (xs, ys), (xt, yt) = train, test
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    start, steps = time.time(), 0
    for _ in range(epochs):
        order = torch.randperm(len(xs))
        for i in range(0, len(order), batch):
            ids = order[i : i + batch]
            optimizer.zero_grad()
            F.cross_entropy(model(xs[ids]), ys[ids]).backward()
            optimizer.step()
            steps += 1
    model.eval()
    with torch.no_grad():
        right = sum(
            (model(xt[i : i + 500]).argmax(1) == yt[i : i + 500]).sum().item()
            for i in range(0, len(xt), 500)
        )
    print(f"{name}: accuracy {right / len(xt):.4f} after {steps} steps in {time.time() - start:.1f} s", flush=True)


def pad(texts):
    """Token ids [n, longest] and lengths [n]."""
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long)
    for row, text in zip(ids, texts):
        row[: len(text)] = torch.tensor(text)
    return ids, lengths


@torch.no_grad()
def evaluate_text(model, xs, ys):
    """Mean loss and accuracy."""
    model.eval()
    loss = right = 0
    for i in range(0, len(xs), 64):
        logits = model(*pad(xs[i : i + 64]))
        y = torch.tensor(ys[i : i + 64])
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        right += (logits.argmax(1) == y).sum().item()
    model.train()
    return loss / len(xs), right / len(xs)


def train_text(name, tokenizer, models, train, test, seed, batch=8, steps=2500):
    def encode(samples):
        return [e.ids for e in tokenizer.encode_batch([text for text, _ in samples])], [label for _, label in samples]

    (xs, ys), (xt, yt) = encode(train), encode(test)
    for kind, build in models.items():
        torch.manual_seed(seed)
        random.seed(seed)
        model = build()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        start, best, highest, order = time.time(), (float("inf"), 0.0), 0.0, []
        for step in range(1, steps + 1):
            if len(order) < batch:
                order = random.sample(range(len(xs)), len(xs))
            ids, order = order[:batch], order[batch:]
            optimizer.zero_grad()
            logits = model(*pad([xs[i] for i in ids]))
            F.cross_entropy(logits, torch.tensor([ys[i] for i in ids])).backward()
            optimizer.step()
            if step % 500 == 0:
                evaluation = evaluate_text(model, xt, yt)
                best, highest = min(best, evaluation), max(highest, evaluation[1])
        print(
            f"{name} {kind}: best eval loss {best[0]:.4f} accuracy {best[1]:.4f}, highest accuracy {highest:.4f}, "
            f"{steps} steps of {batch} in {time.time() - start:.0f} s",
            flush=True,
        )


def run_mnist(data, seed):
    x, y = test = read_mnist(data / "mnist", "t10k")
    for epochs in (3, 5):
        torch.manual_seed(seed)
        name = f"lenet mnist sample 8000/2000, {epochs} epochs"
        train_images(name, LeNet(), (x[:8000], y[:8000]), (x[8000:], y[8000:]), epochs)
    torch.manual_seed(seed)
    train_images("lenet mnist full, 3 epochs", LeNet(), read_mnist(data / "mnist", "train"), test, 3)


def run_cifar(data, seed):
    folder = data / "cifar-10" / "lossless"
    train = read_cifar(folder / "data_batch_1.first4000.bin.gz")
    test = read_cifar(folder / "test_batch.first1000.bin.gz")
    torch.manual_seed(seed)
    train_images("keras cnn on cifar subset 4000/1000, 10 epochs", Cifar(), train, test, 10)


def run_text(data, which, seed):
    tokenizer = Tokenizer.from_file(str(data / "bert-base-cased" / "tokenizer.json"))
    tokenizer.enable_truncation(128)
    vocabulary = tokenizer.get_vocab_size()
    models = {
        "SimpleCNN": lambda: TextCnn(vocabulary),
        "SimpleRNN last padded": lambda: TextRnn(nn.RNN, 96, "last", vocabulary),
        "SimpleRNN last valid": lambda: TextRnn(nn.RNN, 96, "valid", vocabulary),
        "LSTM masked mean": lambda: TextRnn(nn.LSTM, 96, "mean", vocabulary),
    }
    if "imdb" in which:
        train, test = (read_imdb(data / "imdb" / f"{part}.csv.gz") for part in ("train", "test"))
        random.seed(1)
        test = random.sample(test, 5000)
        train_text("imdb (test: 5000 drawn)", tokenizer, models, train, test, seed)
    if "rt" in which:
        folder = data / "rt-polarity"
        samples = read_lines(folder / "rt-polarity.pos", 1) + read_lines(folder / "rt-polarity.neg", 0)
        random.seed(1)
        random.shuffle(samples)
        del models["SimpleRNN last padded"]
        train_text("rt-polarity 9595/1067", tokenizer, models, samples[:9595], samples[9595:], seed, batch=32, steps=1500)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("which", nargs="+", choices=["mnist", "cifar", "rt", "imdb"])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if "mnist" in args.which:
        run_mnist(args.data, args.seed)
    if "cifar" in args.which:
        run_cifar(args.data, args.seed)
    if {"rt", "imdb"} & set(args.which):
        run_text(args.data, args.which, args.seed)


if __name__ == "__main__":
    main()
