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
    """``parts``: what the file has beside the backbone, of "mlm", "pooler", "nsp"."""

    dialect: str
    parts: tuple[str, ...] = ()
    nezha: bool = False
    words: bool = False
    decoder: str = ""  # the model_type of one that writes

    def __str__(self) -> str:
        family = "nezha" if self.nezha else "wobert" if self.words else "bert"
        family = self.decoder or family
        return "-".join((self.dialect, family, *self.parts))


PARTS = ((), ("mlm",), ("pooler",), ("mlm", "pooler", "nsp"))
KINDS = [
    *(Kind(dialect, parts) for dialect, parts in product(("hf", "tf"), PARTS)),
    *(Kind(dialect, PARTS[3], nezha=True) for dialect in ("hf", "tf")),
    Kind("tf", (), nezha=True),
    *(Kind("tf", parts, words=True) for parts in (PARTS[0], PARTS[3])),
]

DECODERS = [
    *(Kind("hf", decoder=name) for name in ("gpt2", "openai-gpt", "qwen2", "qwen3")),
    *(Kind("tf", decoder=name) for name in ("gpt2_ml", "openai-gpt")),
]
# What the configurations of those that write call the sizes.
_GPT = {
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": POSITIONS,
}
_DECODER_SIZES: dict[tuple[str, str], dict[str, Any]] = {
    ("gpt2", "hf"): _GPT,
    ("openai-gpt", "hf"): _GPT,
    ("qwen2", "hf"): {
        **SIZES,
        "hidden_act": "silu",
        "num_key_value_heads": 1,
        "tie_word_embeddings": True,
    },
    ("qwen3", "hf"): {
        **SIZES,
        "hidden_act": "silu",
        "num_key_value_heads": 2,
        "head_dim": 12,
        "tie_word_embeddings": True,
    },
}


def write_decoder(folder: Path, kind: Kind) -> dict[str, np.ndarray]:
    """A folder of a model that writes; the values of its backbone by our paths."""
    folder.mkdir()
    tokenizer = tiny_tokenizer()
    tokenizer.save(folder)
    sizes = _DECODER_SIZES.get((kind.decoder, kind.dialect), SIZES)
    raw = {**sizes, "vocab_size": len(tokenizer.vocab.tokens)}
    raw |= {"model_type": kind.decoder}
    family = family_of(kind.decoder)
    assert family is not None
    config = family.read(raw, "config.json", kind.dialect)
    rng = np.random.default_rng(3)
    values = {
        path: _drawn(path, shape, rng)
        for path, shape in part_shapes(family, config).items()
    }
    tensors = dump(family.tables["backbone"][kind.dialect], values, config.shares)
    (folder / "config.json").write_text(json.dumps(raw))
    if kind.dialect == "tf":
        write_tf_checkpoint(folder / "model.ckpt", tensors)
    else:
        save_file(tensors, folder / "model.safetensors")
    return values


def write_model(folder: Path, kind: Kind) -> dict[str, np.ndarray]:
    """A folder of that kind; the values of all its parts by our paths."""
    if kind.decoder:
        return write_decoder(folder, kind)
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


def _words(count: int) -> list[str]:
    """Words of two characters, some of them such that a segmenter finds them."""
    found = ["北京", "大学", "两人", "一共", "多少", "苹果", "周末", "你好", "作者"]
    return found + [chr(0x4E00 + i) + chr(0x5E00 + i) for i in range(count)]


def _drawn(path: str, shape: Any, rng: np.random.Generator) -> np.ndarray:
    middle = 1.0 if path.endswith("gamma") else 0.0
    return rng.normal(middle, 0.05, shape).astype(np.float32)
