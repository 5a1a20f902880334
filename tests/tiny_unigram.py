"""A tiny Unigram tokenizer.json of characters, its special tokens as XLM-R has them."""

import json
from pathlib import Path


def write_unigram(folder: Path, size: int) -> None:
    """``size`` pieces: <s> <pad> </s> <unk>, the mark, characters, <mask>."""
    known = "北京大学今天气不错我你好"
    more = (chr(0x4E00 + i) for i in range(size) if chr(0x4E00 + i) not in known)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *known, *more][: size - 1]
    special = [*pieces[:4], "<mask>"]
    vocab = [[p, 0.0 if p in special else -5.0] for p in [*pieces, "<mask>"]]
    index = {piece: i for i, (piece, _) in enumerate(vocab)}
    added = [
        {
            "id": index[token],
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in special
    ]
    raw = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "always",
            "split": True,
        },
        "post_processor": None,
        "decoder": {
            "type": "Metaspace",
            "replacement": "▁",
            "prepend_scheme": "always",
            "split": True,
        },
        "model": {
            "type": "Unigram",
            "unk_id": 3,
            "vocab": vocab,
            "byte_fallback": False,
        },
    }
    text = json.dumps(raw, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
