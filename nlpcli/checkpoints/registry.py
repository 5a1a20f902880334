"""Models known by name: whose they are, what they need, what to know about them.

Sizes are those of the weight file; files and sizes were read from the owners' pages.
A repository with ``pytorch_model.bin`` only needs the extra ``nlpcli[torch]``. The
``tf_model.h5`` of HFL's wwm models, rbt3 and rbtl3 hold the encoder without a head.
Of ALBERT, ELECTRA and ERNIE the pages were not at hand: their sizes are computed from
their shapes, and the names of their files are those that their owners' others have.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal, NamedTuple

from nlpcli.errors import NotFoundError

SAFE = "model.safetensors"
H5 = "tf_model.h5"
BIN = "pytorch_model.bin"


class Size(NamedTuple):
    """What a model's configuration says; millions: its numbers, heads not counted."""

    layers: int
    hidden: int
    heads: int
    vocabulary: int
    millions: int


@dataclass(frozen=True)
class Model:
    """One pretrained model and the repository of its owner.

    weights: the best weight file its repository has; megabytes: its size.
    """

    name: str
    family: str
    tokenizer: Literal["wordpiece", "word", "unigram", "bpe", "pieces"]
    repository: str
    weights: str
    megabytes: int
    size: Size
    licence: str
    note: str
    aliases: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The files a folder needs to be this model."""
        json = self.tokenizer in ("unigram", "bpe")
        vocabulary = "tokenizer.json" if json else "vocab.txt"
        vocabulary = "spiece.model" if self.tokenizer == "pieces" else vocabulary
        return () if self.is_built_in else ("config.json", vocabulary, self.weights)

    @property
    def is_built_in(self) -> bool:
        """Whether it comes with nlpcli and has nothing to download."""
        return not self.repository

    @property
    def needs_torch(self) -> bool:
        """Whether its owner has no file that is read without PyTorch."""
        return self.weights == BIN


_BASE = Size(12, 768, 12, 21128, 102)
_LARGE = Size(24, 1024, 16, 21128, 326)
_ROFORMER = Size(12, 768, 12, 12000, 95)
_HFL = "12 layers, whole-word masking; without a trained MLM head"

_ALL = (
    Model(
        "tiny", "bert", "wordpiece", "", "", 0, Size(2, 128, 4, 7458, 1), "Apache-2.0",
        "2 layers of 128, random weights, built in: to try things offline",
    ),
    Model(
        "bert-base-chinese", "bert", "wordpiece", "google-bert/bert-base-chinese",
        SAFE, 412, _BASE, "Apache-2.0",
        "12 layers of 768, characters, trained MLM head",
        ("bert", "google-bert/bert-base-chinese"),
    ),
    Model(
        "bert-wwm-ext", "bert", "wordpiece", "hfl/chinese-bert-wwm-ext",
        H5, 409, _BASE, "Apache-2.0", _HFL, ("chinese-bert-wwm-ext",),
    ),
    Model(
        "roberta-wwm-ext", "bert", "wordpiece", "hfl/chinese-roberta-wwm-ext",
        H5, 409, _BASE, "Apache-2.0", f"{_HFL}; BERT, not RoBERTa, in form",
        ("chinese-roberta-wwm-ext",),
    ),
    Model(
        "roberta-wwm-ext-large", "bert", "wordpiece",
        "hfl/chinese-roberta-wwm-ext-large", H5, 1303, _LARGE, "Apache-2.0",
        "24 layers of 1024; else like roberta-wwm-ext",
        ("chinese-roberta-wwm-ext-large",),
    ),
    Model(
        "rbt3", "bert", "wordpiece", "hfl/rbt3", H5, 154,
        Size(3, 768, 12, 21128, 38), "Apache-2.0",
        "3 layers of 768, from roberta-wwm-ext; without a trained MLM head",
    ),
    Model(
        "rbt4", "bert", "wordpiece", "hfl/rbt4", H5, 251,
        Size(4, 768, 12, 21128, 46), "Apache-2.0",
        "4 layers of 768, from roberta-wwm-ext",
    ),
    Model(
        "rbt6", "bert", "wordpiece", "hfl/rbt6", H5, 308,
        Size(6, 768, 12, 21128, 60), "Apache-2.0",
        "6 layers of 768, from roberta-wwm-ext",
    ),
    Model(
        "rbtl3", "bert", "wordpiece", "hfl/rbtl3", H5, 244,
        Size(3, 1024, 16, 21128, 61), "Apache-2.0",
        "3 layers of 1024, from roberta-wwm-ext-large",
    ),
    Model(
        "macbert", "bert", "wordpiece", "hfl/chinese-macbert-base", H5, 478,
        _BASE, "Apache-2.0", "12 layers of 768, similar words in place of [MASK]",
        ("macbert-base", "chinese-macbert-base"),
    ),
    Model(
        "macbert-large", "bert", "wordpiece", "hfl/chinese-macbert-large", H5, 1400,
        _LARGE, "Apache-2.0", "24 layers of 1024; else like macbert",
        ("chinese-macbert-large",),
    ),
    Model(
        "wobert", "bert", "word", "junnyu/wobert_chinese_base", BIN, 450,
        Size(12, 768, 12, 33586, 112), "not stated",
        "12 layers of 768, words as pieces (vocabulary 33,586)",
        ("wobert-base", "wobert_chinese_base"),
    ),
    Model(
        "wobert-plus", "bert", "word", "junnyu/wobert_chinese_plus_base", BIN, 500,
        Size(12, 768, 12, 50000, 124), "not stated",
        "12 layers of 768, words as pieces (vocabulary 50,000)",
        ("wobert_chinese_plus_base",),
    ),
    Model(
        "roformer", "roformer", "word", "junnyu/roformer_chinese_base", BIN, 499,
        Size(12, 768, 12, 50000, 124), "not stated",
        "12 layers of 768, rotary positions, words as pieces",
        ("roformer_chinese_base",),
    ),
    Model(
        "roformer-char", "roformer", "wordpiece", "junnyu/roformer_chinese_char_base",
        BIN, 380, _ROFORMER, "not stated",
        "12 layers of 768, rotary positions, characters",
        ("roformer_chinese_char_base",),
    ),
    Model(
        "roformer-sim", "roformer", "wordpiece",
        "junnyu/roformer_chinese_sim_char_base", BIN, 382, _ROFORMER, "not stated",
        "SimBERT v2: 12 layers of 768, sentence vectors (pooler) and synonyms",
        ("roformer_chinese_sim_char_base",),
    ),
    Model(
        "roformer-v2", "roformer_v2", "wordpiece",
        "junnyu/roformer_v2_chinese_char_base", BIN, 377,
        Size(12, 768, 12, 12000, 94), "not stated",
        "12 layers of 768, rotary positions, no biases", ("roformer-v2-base",),
    ),
    Model(
        "roformer-v2-large", "roformer_v2", "wordpiece",
        "junnyu/roformer_v2_chinese_char_large", BIN, 1260,
        Size(24, 1024, 16, 12000, 314), "not stated",
        "24 layers of 1024; else like roformer-v2",
    ),
    Model(
        "nezha-base-wwm", "nezha", "wordpiece", "sijunhe/nezha-base-wwm", BIN, 410,
        _BASE, "AFL-3.0",
        "12 layers of 768, relative positions: texts of any length",
        ("nezha-base",),
    ),
    Model(
        "albert-base-zh", "albert", "wordpiece",
        "uer/albert-base-chinese-cluecorpussmall", H5, 43,
        Size(12, 768, 12, 21128, 11), "not stated",
        "12 layers of 768 that share their weights: small on disk, not faster",
        ("albert-base-chinese-cluecorpussmall",),
    ),
    Model(
        "electra-base-zh", "electra", "wordpiece",
        "hfl/chinese-electra-180g-base-discriminator", H5, 409,
        Size(12, 768, 12, 21128, 102), "Apache-2.0",
        "12 layers of 768, a discriminator: for tagging and classes, it does not write",
        ("chinese-electra-180g-base-discriminator",),
    ),
    Model(
        "ernie-3.0-base", "ernie", "wordpiece", "nghuyong/ernie-3.0-base-zh", BIN, 474,
        Size(12, 768, 12, 40000, 118), "Apache-2.0",
        "12 layers of 768, 2,048 positions, 40,000 pieces",
        ("ernie-3.0-base-zh",),
    ),
    Model(
        "e5-small", "bert", "unigram", "intfloat/multilingual-e5-small", SAFE, 471,
        Size(12, 384, 12, 250037, 118), "MIT",
        "12 layers of 384, multilingual sub-words; sentence vectors",
        ("multilingual-e5-small",),
    ),
    Model(
        "bge-small-zh", "bert", "wordpiece", "BAAI/bge-small-zh-v1.5", SAFE, 96,
        Size(4, 512, 8, 21128, 24), "MIT",
        "4 layers of 512, sentence vectors (first token)",
        ("bge-small-zh-v1.5",),
    ),
    Model(
        "bge-base-zh", "bert", "wordpiece", "BAAI/bge-base-zh-v1.5", BIN, 409,
        _BASE, "MIT", "12 layers of 768, sentence vectors (first token)",
        ("bge-base-zh-v1.5",),
    ),
    Model(
        "gpt2-chinese", "gpt2", "wordpiece", "uer/gpt2-chinese-cluecorpussmall",
        H5, 408, _BASE, "not stated",
        "12 layers of 768, characters; writes (1024 tokens)",
        ("gpt2-chinese-cluecorpussmall",),
    ),
    Model(
        "cdial-gpt", "openai-gpt", "wordpiece", "thu-coai/CDial-GPT_LCCC-large",
        BIN, 395, Size(12, 768, 12, 13088, 96), "MIT",
        "12 layers of 768, characters; writes replies",
        ("CDial-GPT_LCCC-large",),
    ),
    Model(
        "mt5-small", "t5", "pieces", "google/mt5-small", H5, 1200,
        Size(8, 512, 6, 250112, 172), "Apache-2.0",
        "8 + 8 layers of 512, SentencePiece; reads a text and writes another",
        ("google/mt5-small",),
    ),
    Model(
        "qwen2.5-0.5b", "llama", "bpe", "Qwen/Qwen2.5-0.5B", SAFE, 988,
        Size(24, 896, 14, 151936, 494), "Apache-2.0",
        "24 layers of 896, byte-level pieces; writes (32,768 tokens)",
    ),
)  # fmt: skip

MODELS: dict[str, Model] = {model.name: model for model in _ALL}


def find_model(name: str) -> Model:
    """The model of a name, an alias or a repository, whatever its case.

    Raises NotFoundError with the nearest names.
    """
    wanted = name.strip().lower()
    known = {
        key.lower(): model
        for model in _ALL
        for key in (model.name, *model.aliases, model.repository)
        if key
    }
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, list(known), 3, 0.5)
    names = list(dict.fromkeys(known[key].name for key in near))
    raise NotFoundError(
        f"unknown model {name!r}: no folder of that name and not in `nlpcli models`"
        + (f"; did you mean {', '.join(names)}?" if names else "")
    )
