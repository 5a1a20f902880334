"""A fabricated Google checkpoint folder with known values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nlpcli.checkpoints.rules import dump
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint
from nlpcli.text.tokenizers.load import tiny_tokenizer
from tests.bert_family import BERT, expected_shapes

CONFIG = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02,
}


def write_google_folder(folder: Path, parts: list[str]) -> dict[str, np.ndarray]:
    """A fabricated checkpoint with these parts; the values by our paths."""
    folder.mkdir()
    tokenizer = tiny_tokenizer()
    tokenizer.save(folder)
    config = {**CONFIG, "vocab_size": len(tokenizer.vocab.tokens)}
    (folder / "bert_config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(3)
    values: dict[str, np.ndarray] = {}
    tensors: dict[str, np.ndarray] = {}
    for part in parts:
        own = {
            path: rng.normal(size=shape).astype(np.float32)
            for path, shape in expected_shapes(config)[part].items()
        }
        tensors |= dump(BERT.tables[part]["tf"], own)
        values |= own
    write_tf_checkpoint(folder / "bert_model.ckpt", tensors)
    return values
