"""Real lines of several kinds, and a vocabulary of what stands in them."""

import string
import unicodedata
from itertools import islice

from nlpcli.records.read import read_rows
from nlpcli.text.tokenizers.vocab import Vocab

SOURCES = [
    ("ner/msra.train.jsonl.gz", "text", 3000),
    ("dialog/lccc-base.train.jsonl.gz", "turns", 2500),
    ("simbert/groups.train.jsonl.gz", "text", 2000),
    ("couplet/couplet.train.jsonl.gz", "first", 1000),
    ("pretrain/laws.train.jsonl.gz", "text", 500),
    ("pretrain/tech-docs.train.jsonl.gz", "text", 1000),
]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def real_texts(shared, share=1):
    """10,000 texts, or one in ``share`` of each source."""
    texts = []
    for name, key, count in SOURCES:
        rows = read_rows(shared(f"datasets/{name}"))
        for row in islice(rows, count // share):
            texts.append("\n".join(row[key]) if key == "turns" else row[key][:300])
    return texts


def vocab_of(texts, more=()):
    """Every visible character of the texts, ASCII, and the ## forms of both."""
    found = {c for text in texts for c in text.lower()}
    characters = sorted(c for c in found if unicodedata.category(c)[0] not in "CZ")
    characters += string.ascii_lowercase + string.digits + string.punctuation
    tokens = [*SPECIAL, *characters, *(f"##{c}" for c in characters), *more]
    return Vocab(tuple(dict.fromkeys(tokens)))
