"""Tiny published models of every kind that training may start from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from nlpcli.backbones import family_of
from nlpcli.checkpoints.rules import dump
from nlpcli.engine.shapes import part_shapes
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint
from nlpcli.text.tokenizers.load import tiny_tokenizer
from nlpcli.text.tokenizers.vocab import WORDS_OF_A_WORD_VOCABULARY

POSITIONS = 128
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "initializer_range": 0.02,
}


@dataclass(frozen=True)
class Kind:
    """``parts``: what the file has beside the backbone, of "mlm", "pooler", "nsp" and
    what else its family has.

    ``told``: what its configuration says beside the sizes, as keys and values.
    """

    dialect: str
    parts: tuple[str, ...] = ()
    family: str = "bert"
    words: bool = False
    told: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        family = self.family
        if self.words:
            family = "wobert" if family == "bert" else f"{family}-words"
        return "-".join((self.dialect, family, *self.parts))


PARTS = ((), ("mlm",), ("pooler",), ("mlm", "pooler", "nsp"))
NEZHA = (("use_relative_position", True),)
KINDS = [
    *(Kind("hf", parts) for parts in PARTS),
    *(Kind("tf", parts) for parts in (PARTS[0], PARTS[3])),
    Kind("hf", PARTS[3], "nezha"),
    Kind("tf", PARTS[3], "nezha", told=NEZHA),
    Kind("tf", PARTS[3], words=True),
]
ROFORMER = (("model_type", "roformer"),)
SMALL = (*ROFORMER, ("embedding_size", 8))  # a narrower table
V2 = (("norm_type", "rms_norm"), ("hidden_act", "relu"))
BOTH = ("ner", "couplet")
NARROW = (("embedding_size", 12),)
TASKS = (("use_task_id", True), ("task_type_vocab_size", 3))
WIDE_KEYS = (*NARROW, ("attention_key_size", 12))
AT_TWO = (("type_vocab_size", 1), ("max_position_embeddings", POSITIONS + 2))
GPT = (("n_embd", 16), ("n_layer", 2), ("n_head", 2), ("n_positions", POSITIONS))
QWEN = (
    ("hidden_act", "silu"),
    ("num_key_value_heads", 1),
    ("tie_word_embeddings", True),
)
# Families that some recipes are trained from: most by one that writes, which uses all.
OTHERS = [
    (Kind("hf-bert", PARTS[3], "nezha"), ("ner", "dialog")),
    (Kind("hf", ("mlm",), "roformer", told=SMALL), BOTH),
    (Kind("tf", ("mlm", "pooler"), "roformer", told=ROFORMER), ("simbert", "dialog")),
    (Kind("tf", ("mlm",), "roformer", words=True, told=ROFORMER), ("classify",)),
    (Kind("hf", (), "roformer_v2", told=(*ROFORMER, *V2)), ("couplet",)),
    (Kind("tf", (), "roformer_v2", told=V2), ("ner",)),
    (Kind("hf", ("mlm", "pooler"), "ernie", told=TASKS), ("couplet",)),
    (Kind("hf", ("mlm", "pooler", "sop"), "albert", told=NARROW), BOTH),
    (Kind("tf", ("mlm", "pooler", "sop"), "albert", told=NARROW), ("couplet",)),
    (Kind("tf", ("mlm", "pooler"), "albert-zh", told=NARROW), ("couplet",)),
    (Kind("tf", ("mlm", "pooler"), "zhuiyi", told=WIDE_KEYS), ("couplet",)),
    (Kind("hf", ("mlm",), "xlm-roberta", told=AT_TWO), ("ner",)),
    (Kind("hf", ("discriminator",), "electra", told=NARROW), ("ner", "classify")),
    (Kind("tf", ("discriminator",), "electra", told=NARROW), ("ner",)),
]

# Those that write.
DECODERS = [
    Kind("hf", (), "gpt2", told=GPT),
    Kind("hf", (), "openai-gpt", told=GPT),
    Kind("tf", (), "openai-gpt"),
    Kind("tf", (), "gpt2_ml"),
    Kind("hf", (), "llama", told=(*QWEN, ("model_type", "qwen2"))),
    Kind("hf", (), "llama", told=(*QWEN, ("model_type", "qwen3"), ("head_dim", 12))),
]
OTHERS += [(kind, ("couplet",)) for kind in DECODERS]


def write_model(folder: Path, kind: Kind) -> dict[str, np.ndarray]:
    """A folder of that kind; the values of all its parts by our paths."""
    folder.mkdir()
    tokenizer = tiny_tokenizer()
    tokenizer.save(folder)
    size = len(tokenizer.vocab.tokens)
    if kind.words:
        # What nlpcli saved says WordPiece; a published vocab.txt stands alone.
        for path in folder.iterdir():
            path.unlink()
        tokens = [*tokenizer.vocab.tokens, *_words(WORDS_OF_A_WORD_VOCABULARY + 1)]
        content = "".join(f"{token}\n" for token in tokens)
        (folder / "vocab.txt").write_text(content, encoding="utf-8")
        size = len(tokens)
    family = family_of(kind.family)
    assert family is not None
    config: dict[str, Any] = {**SIZES, "vocab_size": size, **dict(kind.told)}
    container = kind.dialect.split("-", maxsplit=1)[0]
    if container == "hf":
        config.setdefault("model_type", kind.family.removesuffix("_v2"))
    sizes = family.read(config, "test", kind.dialect)
    rng = np.random.default_rng(3)
    values: dict[str, np.ndarray] = {}
    tensors: dict[str, np.ndarray] = {}
    for part in ("backbone", *kind.parts):
        own = {
            path: _drawn(path, shape, rng)
            for path, shape in part_shapes(family, sizes, part).items()
        }
        tensors |= dump(family.rules(part, kind.dialect), own, sizes.shares)
        values |= own
    if container == "tf":
        (folder / "bert_config.json").write_text(json.dumps(config))
        write_tf_checkpoint(folder / "bert_model.ckpt", tensors)
    else:
        (folder / "config.json").write_text(json.dumps(config))
        save_file(tensors, folder / "model.safetensors")
    return values


def _words(count: int) -> list[str]:
    """Words of two characters, some of them such that a segmenter finds them."""
    found = ["北京", "大学", "两人", "一共", "多少", "苹果", "周末", "你好", "作者"]
    return found + [chr(0x4E00 + i) + chr(0x5E00 + i) for i in range(count)]


def _drawn(path: str, shape: Any, rng: np.random.Generator) -> np.ndarray:
    middle = 1.0 if path.endswith("gamma") else 0.0
    return rng.normal(middle, 0.05, shape).astype(np.float32)
