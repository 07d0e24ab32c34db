"""Write what Hugging Face's tokenizers make of a few sentences, and a tokenizer.json, to tests/fixtures/text/.

    pip install tokenizers
    python make_token_ids.py ../../examples/data/bert-base-cased/vocab.txt ../fixtures/text
"""

import json
import pathlib
import sys

from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer

SENTENCES = [
    "Hello, world!",
    "The film is unbelievably well-made; I didn't expect that.",
    "Zürich, São Paulo & 東京 cost $3.50 (or 2,000¥).",
    "tokenization of antidisestablishmentarianism",
    "",
    "   spaces\tand\nlines   ",
    "emoji 🙂 are unknown",
    "x" * 120,
]


LENGTHS = {"whole": None, "most_9": 9, "most_4": 4, "most_16": 16}


def pair(tokenizer, a, b, most):
    tokenizer.no_truncation()
    if most is not None:
        tokenizer.enable_truncation(most)
    encoding = tokenizer.encode(a, b)
    return {"ids": encoding.ids, "token_type_ids": encoding.type_ids}


def main(vocab, out):
    out.mkdir(parents=True, exist_ok=True)
    cased = BertWordPieceTokenizer(str(vocab), lowercase=False)
    uncased = BertWordPieceTokenizer(str(vocab), lowercase=True)
    cases = [
        {
            "text": s,
            "cased": cased.encode(s).ids,
            "lowercase": uncased.encode(s).ids,
            "tokens": cased.encode(s).tokens,
        }
        for s in SENTENCES
    ]
    cased.enable_truncation(6)
    for c in cases:
        c["truncated"] = cased.encode(c["text"]).ids
    cased.no_truncation()
    pairs = [
        {"texts": [a, b], **{name: pair(cased, a, b, most) for name, most in LENGTHS.items()}}
        for a, b in zip(SENTENCES, SENTENCES[1:] + SENTENCES[:1])
    ]
    (out / "bert_pairs.json").write_text(json.dumps(pairs, indent=1, ensure_ascii=False) + "\n")
    (out / "bert_cased.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(SENTENCES, vocab_size=300, min_frequency=1, special_tokens=["<pad>"], show_progress=False)
    cases = [{"text": s, "ids": bpe.encode(s).ids} for s in SENTENCES]
    (out / "bpe.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")
    # settings that a reader of it has to put aside
    bpe.enable_truncation(3)
    bpe.enable_padding(length=10)
    bpe.save(str(out / "bpe_tokenizer.json"))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
