"""Write the PyTorch files of tests/fixtures/torch/: whole ones, and ones that must be refused.

    pip install torch
    python make_torch_files.py ../fixtures/torch
"""

import argparse
import io
import os
import pathlib
import pickle
import sys
import zipfile
from collections import OrderedDict

import torch

FLOATS = [[0.0, -1.5], [65504.0, 2.0**-14]]  # exact in f16
INTEGERS = [0, -1, 2**31 - 1, -(2**31)]


class Run:
    def __reduce__(self):
        return os.system, ("touch executed",)


def model():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    with torch.no_grad():
        layers[0].weight.copy_(torch.arange(6).reshape(3, 2))
        layers[0].bias.copy_(torch.tensor([0.5, 1.5, 2.5]))
    return layers


def archive(path, pickled, **entries):
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("a/data.pkl", pickled)
        out.writestr("a/byteorder", entries.pop("byteorder", "little"))
        for name, data in entries.items():
            out.writestr(f"a/data/{name[1:]}", data)


def global_(module, name):
    return b"c" + module + b"\n" + name + b"\n"


def number(n):
    return b"\x8a\x08" + n.to_bytes(8, "little", signed=True)


def text(t):
    return b"X" + len(t).to_bytes(4, "little") + t


def tuple_(*parts):
    return b"(" + b"".join(parts) + b"t"


def tensor(numel, size, strides, offset=0, key=b"0", storage=b"FloatStorage"):
    storage = tuple_(text(b"storage"), global_(b"torch", storage), text(key), text(b"cpu"), number(numel)) + b"Q"
    size, strides = (tuple_(*map(number, n)) for n in (size, strides))
    arguments = tuple_(storage, number(offset), size, strides, b"\x89", global_(b"collections", b"OrderedDict") + b")R")
    return global_(b"torch._utils", b"_rebuild_tensor_v2") + arguments + b"R"


def state(value):
    return b"\x80\x02}" + text(b"w") + value + b"s."


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    torch.save(
        OrderedDict(
            f16=torch.tensor(FLOATS, dtype=torch.float16),
            bf16=torch.tensor(FLOATS, dtype=torch.bfloat16),
            f32=torch.tensor(FLOATS),
            f64=torch.tensor(FLOATS, dtype=torch.float64),
            i64=torch.tensor(INTEGERS),
            i32=torch.tensor(INTEGERS, dtype=torch.int32),
            u8=torch.tensor([0, 255], dtype=torch.uint8),
            bool=torch.tensor([True, False]),
            scalar=torch.tensor(2.5),
            empty=torch.zeros(0, 3),
            base=base,
            transposed=base.t(),
            part=base[1:3, 2::2],
            expanded=torch.tensor([7.0, 8.0]).reshape(2, 1).expand(2, 3),
            parameter=torch.nn.Parameter(torch.tensor([3.0])),
        ),
        out / "dtypes.pt",
    )
    optimizer = torch.optim.Adam(model().parameters())
    checkpoint = {"epoch": 3, "lr": 0.1, "state_dict": model().state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(checkpoint, out / "checkpoint.pth")
    torch.save({"encoder": {"w": torch.ones(2)}, "list": [torch.zeros(1)], "step": 2**70}, out / "nested.pt")
    torch.save(model().state_dict(), out / "protocol4.pt", pickle_protocol=4)

    torch.save({"w": torch.ones(2)}, out / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(torch.tensor([1, 2], dtype=torch.int16), out / "i16.pt")
    torch.save({"w": torch.zeros(2, dtype=torch.complex64)}, out / "complex.pt")
    torch.save(argparse.Namespace(w=torch.ones(2)), out / "namespace.pt")
    whole = io.BytesIO()
    torch.save({"w": torch.ones(64)}, whole)
    (out / "truncated.pt").write_bytes(whole.getvalue()[:-200])
    (out / "start.pt").write_bytes(whole.getvalue()[:300])
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), str(out / "script.pt"))
    for name in os.listdir(out):  # of which the archive alone is of use
        if name == "script.pt":
            keep = zipfile.ZipFile(out / name)
            data = {n: keep.read(n) for n in keep.namelist() if n.endswith(("data.pkl", "constants.pkl", "byteorder"))}
            with zipfile.ZipFile(out / name, "w") as small:
                for n, d in data.items():
                    small.writestr(n, d)

    archive(out / "os_system.pt", pickle.dumps({"w": Run()}, protocol=2))
    archive(out / "builtins_eval.pt", state(global_(b"builtins", b"eval") + tuple_(text(b"1")) + b"R"))
    archive(out / "opcode.pt", b"\x80\x02I1\n.")
    archive(out / "ends_early.pt", state(tensor(1, [1], [1]))[:-9], _0=b"\0" * 4)
    archive(out / "empty_pickle.pt", b"")
    archive(out / "big_endian.pt", state(tensor(1, [1], [1])), _0=b"\0" * 4, byteorder="big")
    archive(out / "huge.pt", state(tensor(1, [2**40, 2**40], [0, 0])), _0=b"\0" * 4)
    archive(out / "expands.pt", state(tensor(1, [2**33], [0])), _0=b"\0" * 4)
    archive(out / "outside.pt", state(tensor(4, [2, 2], [4, 1])), _0=b"\0" * 16)
    archive(out / "offset.pt", state(tensor(4, [2], [1], offset=3)), _0=b"\0" * 16)
    archive(out / "negative.pt", state(tensor(4, [-2], [1])), _0=b"\0" * 16)
    archive(out / "strides.pt", state(tensor(4, [2, 2], [1])), _0=b"\0" * 16)
    archive(out / "no_storage.pt", state(tensor(4, [4], [1], key=b"9")), _0=b"\0" * 16)
    archive(out / "short_storage.pt", state(tensor(4, [4], [1])), _0=b"\0" * 15)
    archive(out / "storage_class.pt", state(tensor(4, [4], [1], storage=b"QUInt8Storage")), _0=b"\0" * 16)
    archive(out / "cycle.pt", b"\x80\x02}q\0" + text(b"w") + b"h\0s.")
    doubled = b"\x80\x02]q\0" + b"".join(b"(h" + bytes([i]) + b"h" + bytes([i]) + b"lq" + bytes([i + 1]) for i in range(30))
    archive(out / "doubled.pt", doubled + b".")
    archive(out / "memo.pt", b"\x80\x02}r\xff\xff\xff\xff.")
    with zipfile.ZipFile(out / "other.zip", "w") as other:
        other.writestr("readme.txt", "no weights")
    with zipfile.ZipFile(out / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as deflated:
        deflated.writestr("a/data.pkl", state(b"N") + b"\0" * 200)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
