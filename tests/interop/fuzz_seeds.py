"""Writes the small whole files that tests/fuzz starts from, where tests/fixtures has none: tests/fuzz/seeds.

    python tests/interop/fuzz_seeds.py      (Pillow, pyarrow, numpy)
"""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).parents[1] / "fuzz" / "seeds"


def write(name: str, content: bytes) -> None:
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def picture(mode: str, kind: str, **options) -> bytes:
    values = np.arange(12 * 10 * 4, dtype=np.uint32).reshape(12, 10, 4) * 7 % 256
    depth = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
    if mode in depth:
        pixels = values[:, :, : depth[mode]].astype(np.uint8)
        image = Image.fromarray(pixels.squeeze(), mode)
    elif mode == "I;16":
        image = Image.fromarray((values[:, :, 0] * 200).astype(np.uint16))
    else:
        image = Image.fromarray(values[:, :, 0].astype(np.uint8), "L").convert(mode)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pictures() -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        write(f"png/{mode.replace(';', '').lower()}.png", picture(mode, "PNG"))
    write("png/optimized.png", picture("RGB", "PNG", optimize=True))
    frames = [Image.new("RGB", (6, 5), (40 * k, 0, 9)) for k in range(3)]
    out = io.BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    write("png/animated.png", out.getvalue())
    write("jpeg/l.jpg", picture("L", "JPEG"))
    write("jpeg/rgb.jpg", picture("RGB", "JPEG", quality=60))
    write("jpeg/444.jpg", picture("RGB", "JPEG", subsampling=0))
    write("jpeg/cmyk.jpg", picture("CMYK", "JPEG"))
    write("jpeg/progressive.jpg", picture("RGB", "JPEG", progressive=True))
    write("jpeg/restarts.jpg", picture("RGB", "JPEG", restart_marker_blocks=1))


def parquet() -> None:
    n = 40
    table = pa.table(
        {
            "i": pa.array([None if k % 7 == 0 else k for k in range(n)], pa.int32()),
            "l": pa.array(range(n), pa.int64()),
            "f": pa.array([k / 3 for k in range(n)], pa.float32()),
            "b": pa.array([k % 2 == 0 for k in range(n)]),
            "s": pa.array([None if k % 5 == 0 else f"text {k % 3}" for k in range(n)]),
        }
    )

    def save(name: str, columns=None, **options) -> None:
        out = io.BytesIO()
        part = table.select(columns) if columns else table
        pq.write_table(part, out, **options)
        write(f"parquet/{name}.parquet", out.getvalue())

    save("plain", ["i", "b"], compression="NONE", use_dictionary=False, write_statistics=False)
    save("dictionary", ["i", "s"], compression="NONE", write_statistics=False)
    save("snappy", ["l", "s"], compression="SNAPPY", data_page_size=64, write_statistics=False)
    save("gzip", ["f", "s"], compression="GZIP", row_group_size=16, write_statistics=False)
    save("pages", ["i", "s"], compression="SNAPPY", data_page_version="2.0", store_schema=False)
    encodings = {
        "i": "DELTA_BINARY_PACKED",
        "l": "DELTA_BINARY_PACKED",
        "s": "DELTA_BYTE_ARRAY",
        "f": "BYTE_STREAM_SPLIT",
    }
    options = {"use_dictionary": False, "store_schema": False, "write_statistics": False}
    columns = list(encodings)
    save("delta", columns, compression="NONE", column_encoding=encodings, **options)
    lengths = {"s": "DELTA_LENGTH_BYTE_ARRAY"}
    save("lengths", ["s"], compression="NONE", column_encoding=lengths, **options)


def tokenizers() -> None:
    def save(name: str, model: dict, **parts) -> None:
        special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        whole = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": 0, "content": "<unk>", "special": True, **special}],
            "normalizer": None,
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": None,
            **parts,
            "model": model,
        }
        text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False)
        write(f"tokenizer/{name}.json", text.encode())

    pieces = ["<unk>", "▁", "▁a", "b", "ab", "▁the", "s"]
    save(
        "unigram",
        {"type": "Unigram", "unk_id": 0, "vocab": [[p, -float(k)] for k, p in enumerate(pieces)]},
        normalizer={"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        truncation={"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        padding={
            "strategy": {"Fixed": 8},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "<unk>",
        },
    )
    words = {w: k for k, w in enumerate(["<unk>", "a", "b", "the"])}
    split = {"type": "Split", "pattern": {"Regex": "\\s+|(?=b)"}, "behavior": "Isolated", "invert": False}
    replace = {"type": "Replace", "pattern": {"String": "  "}, "content": " "}
    template = [{"SpecialToken": {"id": "a", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    save(
        "words",
        {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"},
        normalizer={"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": True, "strip_right": True}, replace]},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [split, {"type": "Digits", "individual_digits": True}]},
        post_processor={
            "type": "TemplateProcessing",
            "single": template,
            "pair": [*template, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"a": {"id": "a", "ids": [1], "tokens": ["a"]}},
        },
    )
    save(
        "pairs",
        {
            "type": "BPE",
            "vocab": {"<unk>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5},
            "merges": [["a", "b"], ["ab", "c"]],
            "unk_token": "<unk>",
            "byte_fallback": False,
            "ignore_merges": False,
        },
        pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        decoder={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    )
    save(
        "pieces",
        {
            "type": "WordPiece",
            "unk_token": "<unk>",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"<unk>": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4},
        },
        normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor={"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
    )


def texts() -> None:
    write("csv/quoted.csv", b'a,b\n"1\n",x\n2,"y""z"\n,NA\n')
    write("csv/windows.csv", b"a,b\r\n1.5,x\r\n-2e3,y\r\n")
    write("csv/wide.csv", ",".join(f"c{k}" for k in range(40)).encode() + b"\n" + b"1," * 39 + b"2\n")
    write("csv/packed.csv.gz", gzip.compress(b"a,b\n" + b"1,x\n" * 50, mtime=0))
    write("csv/tabs.tsv", b'a\tb\n1\t"x\n2\tz\n')
    write("csv/mark.csv", b"\xef\xbb\xbfa,b\n1,x\n")
    write("csv/wide16.csv", "a,b\n1,ü\n".encode("utf-16"))
    write("json/rows.jsonl", b'{"a":1.5,"b":"x"}\n{"a":-2e3,"b":"\\u0078","c":true}\n\n{"c":null}\n')
    write("json/packed.jsonl.gz", gzip.compress(b'{"a":1}\n' * 30, mtime=0))
    write("lines/two.txt", "good film\nbad film, très mauvais\n".encode())
    write("lines/old.windows", "très mauvais\r\nbon\r\n".encode("windows-1252"))
    word = "{}\t{}\t{}\t{}\t_\t_\t0\troot\t_\t_\n"
    rows = word.format(1, "The", "the", "DET") + word.format("2-3", "don't", "_", "_")
    rows += word.format(2, "do", "do", "AUX") + word.format(3, "n't", "not", "PART") + word.format("3.1", "x", "x", "X")
    write("conllu/sentences.conllu", f"# text = x\n{rows}\n{word.format(1, 'Yes', 'yes', 'INTJ')}\n".encode())
    write("vocab/bert.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\n##ly\n\xc3\xa9\n")
    images = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2]) + bytes(range(12))
    write("idx/images.idx", images)
    write("idx/labels.idx", bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    write("idx/images.idx.gz", gzip.compress(images, mtime=0))
    write("idx/colours.idx", bytes([0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(12))
    write("cifar/two.bin", bytes([9]) + bytes(3072) + bytes([0]) + bytes(k % 251 for k in range(3072)))
    write("cifar/one.bin.gz", gzip.compress(bytes([3]) + bytes(3072), mtime=0))


def weights() -> None:
    def file(header: str, data: bytes) -> bytes:
        return len(header).to_bytes(8, "little") + header.encode() + data

    entry = '"{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}}'
    header = "{" + ",".join(
        [
            '"__metadata__":{"format":"pt","updates":"3"}',
            entry.format("fc.weight", "F32", "[2,3]", 0, 24),
            entry.format("fc.bias", "F16", "[2]", 24, 28),
            entry.format("n", "I64", "[]", 28, 36),
            entry.format("none", "F32", "[0,4]", 36, 36),
            entry.format("mask", "BOOL", "[4]", 36, 40),
        ]
    )
    write("safetensors/mixed.safetensors", file(header + "}", bytes(40)))
    index = {"metadata": {"total_size": 40}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    write("index/two.json", json.dumps(index).encode())
    index = {"weight_map": {"a": "one.safetensors"}, "metadata": {"format": "pt", "more": {"x": [1, "2"]}}}
    write("index/one.json", json.dumps(index, indent=2).encode())


pictures()
parquet()
tokenizers()
texts()
weights()
