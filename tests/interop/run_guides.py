"""Runs the Python of the guides docs/from-pytorch.md and docs/from-keras.md, and holds it against their Rust.

    pip install torch torchvision keras scikit-learn pandas safetensors tokenizers tensorboard
    python3 tests/interop/run_guides.py            # or --fill: write what is printed into the guides

The Python blocks of a guide are one notebook: they run in turn. Behind each `print(…)` stands, as a comment, what it prints,
and the Rust block that follows must have the same text: there it stands in an assertion, which `cargo test --doc` runs.
The names of the table exist, and every layer, loss, optimizer, schedule, initial value and callback of PyTorch or Keras is
in the table or among what is missing.
"""

import argparse
import builtins
import contextlib
import gzip
import importlib
import io
import os
import pathlib
import re
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRINTED = re.compile(r"^(\s*print\(.*\))\s{2,}# (.*)$")


def blocks(text):
    """Language, line of the first line and lines of each block."""
    found, inside = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if inside is None and line.startswith("```") and line != "```":
            inside = (line[3:], number + 1, [])
        elif inside is not None and line == "```":
            found.append(inside)
            inside = None
        elif inside is not None:
            inside[2].append(line)
    return found


@contextlib.contextmanager
def notebook_folder():
    """A folder in which a notebook finds its data: links to the repository, and MNIST as torchvision has it."""
    with tempfile.TemporaryDirectory() as folder:
        here, before = pathlib.Path(folder), os.getcwd()
        (here / "examples").symlink_to(ROOT / "examples")
        (here / "tests").symlink_to(ROOT / "tests")
        raw = here / "data" / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for kind in ("images-idx3", "labels-idx1"):
            for part in ("t10k", "train"):  # torchvision wants all four files, whichever it reads
                file = ROOT / "examples" / "data" / "mnist" / f"t10k-{kind}-ubyte.gz"
                with gzip.open(file) as packed, open(raw / f"{part}-{kind}-ubyte", "wb") as plain:
                    shutil.copyfileobj(packed, plain)
        os.chdir(here)
        try:
            yield
        finally:
            os.chdir(before)


def run(path, fill):
    """Faults of a guide."""
    text = path.read_text()
    lines, faults, namespace = text.splitlines(), [], {"__name__": "__main__"}
    all_blocks = blocks(text)
    for at, (language, first, code) in enumerate(all_blocks):
        if language != "python":
            continue
        printed = []

        def record(*values, **options):
            out = io.StringIO()
            builtins.print(*values, file=out, **options)
            frame = sys._getframe(1)
            printed.append((frame.f_lineno, out.getvalue().rstrip("\n")))

        namespace["print"] = record
        source = "\n" * (first - 1) + "\n".join(code)
        try:
            exec(compile(source, path.name, "exec"), namespace)
        except Exception as error:
            trace = error.__traceback__
            while trace.tb_next and trace.tb_next.tb_frame.f_code.co_filename == path.name:
                trace = trace.tb_next
            faults.append(f"{path.name}:{trace.tb_lineno}: {type(error).__name__}: {error}")
            continue
        rust = ""
        for language, _, other in all_blocks[at + 1 :]:
            if language == "python":
                break
            rust += "\n".join(other) + "\n"
        for number, got in printed:
            match = PRINTED.match(lines[number - 1])
            if not match:
                continue
            head, wanted = match.groups()
            if fill and wanted != got:
                lines[number - 1] = lines[number - 1].replace(f"# {wanted}", f"# {got}")
            elif wanted != got:
                faults.append(f"{path.name}:{number}: prints {got!r}, the guide says {wanted!r}")
            if got not in rust:
                faults.append(f"{path.name}:{number}: {got!r} is not in the Rust that follows")
        expected = {n for n in range(first, first + len(code)) if PRINTED.match(lines[n - 1])}
        for number in sorted(expected - {n for n, _ in printed}):
            faults.append(f"{path.name}:{number}: printed nothing")
    if fill:
        path.write_text("\n".join(lines) + "\n")
    return faults + check_weights(fill)


def check_weights(fill):
    """Whether weights that the notebook has written are those that the Rust reads: the file of that name, if there is one."""
    import torch
    from safetensors.torch import load_file

    faults = []
    for kept in sorted((ROOT / "tests" / "fixtures" / "guides").iterdir()):
        written = pathlib.Path(kept.name)
        if not written.exists():
            continue
        if fill:
            shutil.copyfile(written, kept)
        ours, theirs = ((torch.load if kept.suffix == ".pt" else load_file)(file) for file in (written, kept))
        if list(ours) != list(theirs) or not all(torch.equal(ours[k], theirs[k]) for k in ours):
            faults.append(f"{kept.name} is not what the guide writes")
    return faults


def digits():
    """What `keras.datasets.mnist.load_data` returns, made of the digits in the repository."""
    import numpy

    folder = ROOT / "examples" / "data" / "mnist"
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as images, gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as labels:
        x = numpy.frombuffer(images.read(), "uint8", offset=16).reshape(-1, 28, 28)
        y = numpy.frombuffer(labels.read(), "uint8", offset=8)
    return (x, y), (x, y)


def table(text):
    """The names in backticks in the first column of the table of names, and those of the list of what is missing."""
    there, missing = text.split("\n## Names\n")[1].split("\n## Not there yet\n")
    first = "".join(line.split("|")[1] for line in there.splitlines() if line.startswith("|"))
    heads = "".join(line.split(":")[0] for line in missing.splitlines() if line.startswith("- "))
    return [re.findall(r"`([^`]+)`", part) for part in (first, heads)]


def resolve(name, roots):
    """What a dotted name stands for."""
    first, *rest = name.split(".")
    thing = roots[first] if first in roots else importlib.import_module(first)
    for part in rest:
        thing = getattr(thing, part)
    return thing


def check_names(path, roots, complete):
    """Faults of the table: names that do not exist, and public names of modules that are in no list."""
    known, missing = table(path.read_text())
    faults = []
    for name in known + missing:
        try:
            resolve(name, roots)
        except (AttributeError, ImportError) as error:
            faults.append(f"{path.name}: {name}: {error}")
    for name in set(known) & set(missing):
        faults.append(f"{path.name}: {name} is there and missing")
    listed = {id(resolve(n, roots)) for n in known + missing if not faults}
    for prefix, wanted in complete:
        module = resolve(prefix, roots)
        absent = [n for n in sorted(vars(module)) if n[0] != "_" and wanted(getattr(module, n)) and id(getattr(module, n)) not in listed]
        if absent and not faults:
            faults.append(f"{path.name}: of {prefix} neither in the table nor missing: {' '.join(absent)}")
    return faults


def pytorch():
    import torch
    from torch import nn, optim

    roots = {"torch": torch, "nn": nn, "F": nn.functional, "optim": optim, "init": nn.init}
    roots["lr_scheduler"] = optim.lr_scheduler

    def of(base):
        old = ("Container", "NLLLoss2d", "RNNBase", "RNNCellBase")
        return lambda x: isinstance(x, type) and issubclass(x, base) and x is not base and x.__name__ not in old

    def function(x):
        return callable(x) and getattr(x, "__module__", "") == "torch.nn.init" and x.__name__.endswith("_") and x.__name__[0] != "_"

    return roots, [
        ("nn", of(nn.Module)),
        ("optim", of(optim.Optimizer)),
        ("lr_scheduler", of(optim.lr_scheduler.LRScheduler)),
        ("init", function),
    ]


def keras():
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    keras.datasets.mnist.load_data = digits
    roots = {name: getattr(keras, name) for name in dir(keras) if name[0] != "_"}
    roots |= {"keras": keras, "schedules": keras.optimizers.schedules}

    def of(base):
        return lambda x: isinstance(x, type) and issubclass(x, base) and x is not base

    return roots, [
        ("layers", of(keras.layers.Layer)),
        ("losses", of(keras.losses.Loss)),
        ("optimizers", of(keras.optimizers.Optimizer)),
        ("schedules", of(keras.optimizers.schedules.LearningRateSchedule)),
        ("initializers", of(keras.initializers.Initializer)),
        ("regularizers", of(keras.regularizers.Regularizer)),
        ("callbacks", of(keras.callbacks.Callback)),
        ("metrics", of(keras.metrics.Metric)),
        ("constraints", of(keras.constraints.Constraint)),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fill", action="store_true", help="write what is printed into the guides")
    arguments = parser.parse_args()
    faults = []
    for guide, prepare in [("pytorch", pytorch), ("keras", keras)]:
        path, names = ROOT / "docs" / f"from-{guide}.md", prepare()
        with notebook_folder():
            faults += run(path, arguments.fill)
        faults += check_names(path, *names)
    print("\n".join(faults) or "both guides do what they say")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
