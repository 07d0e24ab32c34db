"""Write the safetensors files of tests/fixtures/ as PyTorch writes them.

    pip install torch safetensors numpy
    python make_fixtures.py ../fixtures
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file

FLOATS = [[0.0, -1.5], [65504.0, 2.0**-14]]  # exact in f16
INTEGERS = [0, -1, 2**31 - 1, -(2**31)]


def main(out):
    dtypes = {
        "f16": torch.tensor(FLOATS, dtype=torch.float16),
        "bf16": torch.tensor(FLOATS, dtype=torch.bfloat16),
        "f32": torch.tensor(FLOATS, dtype=torch.float32),
        "f64": torch.tensor(FLOATS, dtype=torch.float64),
        "f64_exact": torch.tensor([0.1, -1e300, 5e-324], dtype=torch.float64),
        "i32": torch.tensor(INTEGERS, dtype=torch.int32),
        "i64": torch.tensor(INTEGERS, dtype=torch.int64),
        "u32": torch.tensor([0, 2**32 - 1], dtype=torch.uint32),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5),
        "empty_f16": torch.zeros(0, 3, dtype=torch.float16),
    }
    refused = {
        "i64_wide": torch.tensor([1, 2**31], dtype=torch.int64),
        "i16": torch.tensor([1, 2], dtype=torch.int16),
        "u64": torch.tensor([1, 2], dtype=torch.uint64),
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(dtypes, out / "dtypes.safetensors", metadata={"made_by": "make_fixtures.py"})
    save_file(refused, out / "refused.safetensors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
