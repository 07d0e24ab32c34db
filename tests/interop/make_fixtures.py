"""Write the safetensors files of tests/fixtures/ as PyTorch writes them, and one picture in every format as Pillow does.

    pip install torch safetensors numpy pillow
    python make_fixtures.py ../fixtures
"""

import pathlib
import sys

import torch
from PIL import Image
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
    pictures(out / "formats")


def pictures(out):
    """Seven by five pixels of four colours: all formats hold them without loss."""
    colours = [(0, 0, 0), (255, 128, 3), (17, 99, 201), (255, 255, 255)]
    image = Image.new("RGB", (7, 5))
    image.putdata([colours[(x * x + 3 * y) % 4] for y in range(5) for x in range(7)])
    out.mkdir(parents=True, exist_ok=True)
    image.save(out / "0.png")
    image.save(out / "1.bmp")
    image.quantize(4).save(out / "2.gif")
    image.save(out / "3.webp", lossless=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
