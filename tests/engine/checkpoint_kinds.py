"""Tiny published models of every kind that training may start from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from nlpcli.backbones import family_of
from nlpcli.checkpoints.rules import dump
from nlpcli.engine.published import part_shapes
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint
from nlpcli.text.tokenizers.load import tiny_tokenizer
from nlpcli.text.tokenizers.vocab import WORDS_OF_A_WORD_VOCABULARY
from tests.bert_family import BERT, expected_shapes

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
    what else its family has."""

    dialect: str
    parts: tuple[str, ...] = ()
    nezha: bool = False
    words: bool = False
    family: str = "bert"

    def __str__(self) -> str:
        family = "nezha" if self.nezha else "wobert" if self.words else self.family
        return "-".join((self.dialect, family, *self.parts))


PARTS = ((), ("mlm",), ("pooler",), ("mlm", "pooler", "nsp"))
KINDS = [
    *(Kind(dialect, parts) for dialect, parts in product(("hf", "tf"), PARTS)),
    *(Kind(dialect, PARTS[3], nezha=True) for dialect in ("hf", "tf")),
    Kind("tf", (), nezha=True),
    *(Kind("tf", parts, words=True) for parts in (PARTS[0], PARTS[3])),
]
# Kinds of other families, and what their configurations have beside SIZES.
OTHERS = [
    Kind("hf", ("mlm", "pooler"), family="ernie"),
    Kind("hf", ("mlm", "pooler", "sop"), family="albert"),
    Kind("tf", ("mlm", "pooler", "sop"), family="albert"),
    Kind("tf", ("mlm", "pooler"), family="albert-zh"),
    Kind("tf", ("mlm", "pooler"), family="zhuiyi"),
    Kind("hf", ("mlm",), family="xlm-roberta"),
    Kind("hf", ("discriminator",), family="electra"),
    Kind("tf", ("discriminator",), family="electra"),
]
MORE: dict[str, dict[str, Any]] = {
    "ernie": {"use_task_id": True, "task_type_vocab_size": 3},
    "albert": {"embedding_size": 12},
    "albert-zh": {"embedding_size": 12},
    "zhuiyi": {"embedding_size": 12, "attention_key_size": 12},
    "xlm-roberta": {"type_vocab_size": 1, "max_position_embeddings": POSITIONS + 2},
    "electra": {"embedding_size": 12},
}


def write_model(folder: Path, kind: Kind) -> dict[str, np.ndarray]:
    """A folder of that kind; the values of all its parts by our paths."""
    folder.mkdir()
    tokenizer = tiny_tokenizer()
    tokenizer.save(folder)
    if kind.family != "bert":
        return _write_other(folder, kind, len(tokenizer.vocab.tokens))
    size = len(tokenizer.vocab.tokens)
    if kind.words:
        # What nlpcli saved says WordPiece; a published vocab.txt stands alone.
        for path in folder.iterdir():
            path.unlink()
        tokens = [*tokenizer.vocab.tokens, *_words(WORDS_OF_A_WORD_VOCABULARY + 1)]
        content = "".join(f"{token}\n" for token in tokens)
        (folder / "vocab.txt").write_text(content, encoding="utf-8")
        size = len(tokens)
    config: dict[str, Any] = {**SIZES, "vocab_size": size}
    if kind.nezha:
        config["use_relative_position"] = True
    rng = np.random.default_rng(3)
    values: dict[str, np.ndarray] = {}
    tensors: dict[str, np.ndarray] = {}
    for part in ("backbone", *kind.parts):
        own = {
            path: _drawn(path, shape, rng)
            for path, shape in expected_shapes(config)[part].items()
        }
        tensors |= dump(BERT.tables[part][kind.dialect], own)
        values |= own
    if kind.nezha:  # its distances have no table
        del values["position_embedding/embeddings"]
        tensors = {k: v for k, v in tensors.items() if "position_embeddings" not in k}
    if kind.dialect == "tf":
        (folder / "bert_config.json").write_text(json.dumps(config))
        write_tf_checkpoint(folder / "bert_model.ckpt", tensors)
    else:
        (folder / "config.json").write_text(
            json.dumps({**config, "model_type": "nezha" if kind.nezha else "bert"})
        )
        save_file(tensors, folder / "model.safetensors")
    return values


def _write_other(folder: Path, kind: Kind, size: int) -> dict[str, np.ndarray]:
    """A model of another family, its tokenizer there."""
    family = family_of(kind.family)
    assert family is not None
    raw = {**SIZES, "vocab_size": size, **MORE[kind.family]}
    config = family.read(raw, "test", kind.dialect)
    rng = np.random.default_rng(3)
    values: dict[str, np.ndarray] = {}
    tensors: dict[str, np.ndarray] = {}
    for part in ("backbone", *kind.parts):
        shapes = part_shapes(family, config, part)
        own = {path: _drawn(path, shape, rng) for path, shape in shapes.items()}
        tensors |= dump(family.rules(part, kind.dialect), own, config.shares)
        values |= own
    if kind.dialect == "tf":
        (folder / "bert_config.json").write_text(json.dumps(raw))
        write_tf_checkpoint(folder / "bert_model.ckpt", tensors)
    else:
        told = family.publish(config, ("backbone", *kind.parts))
        (folder / "config.json").write_text(json.dumps(told))
        save_file(tensors, folder / "model.safetensors")
    return values


def _words(count: int) -> list[str]:
    """Words of two characters, some of them such that a segmenter finds them."""
    found = ["北京", "大学", "两人", "一共", "多少", "苹果", "周末", "你好", "作者"]
    return found + [chr(0x4E00 + i) + chr(0x5E00 + i) for i in range(count)]


def _drawn(path: str, shape: Any, rng: np.random.Generator) -> np.ndarray:
    middle = 1.0 if path.endswith("gamma") else 0.0
    return rng.normal(middle, 0.05, shape).astype(np.float32)
