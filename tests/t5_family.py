"""Tiny T5 folders of every form, with random values."""

import json

import numpy as np
from safetensors.numpy import save_file

from nlpcli.backbones import family_of
from nlpcli.checkpoints.rules import dump
from nlpcli.engine.shapes import part_shapes
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint

T5 = family_of("t5")
SIZES = {
    "vocab_size": 60,
    "d_model": 32,
    "d_kv": 12,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "dropout_rate": 0.1,
    "decoder_start_token_id": 0,
}
FORMS = {
    "t5-1.0": {"model_type": "t5", "feed_forward_proj": "relu"},
    "t5-1.1": {
        "model_type": "t5",
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    },
    "mt5": {"model_type": "mt5", "feed_forward_proj": "gated-gelu"},
}
PEGASUS = {
    "vocab_size": 60,
    "hidden_size": 32,
    "attention_head_size": 12,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_act": ["gelu", "linear"],
    "hidden_dropout_prob": 0.1,
}


def write_t5(folder, form, dialect="hf", spread=0.15, tokenizer=None, **sizes):
    """A folder of a form, "hf" or "tf", with a tokenizer or none; values by our paths.

    ``form``: one of FORMS, or "pegasus" in bert4keras's configuration.
    """
    folder.mkdir(exist_ok=True)
    raw = {**SIZES, **FORMS[form]} if form in FORMS else PEGASUS
    raw = {**raw, **sizes}
    if tokenizer is not None:
        tokenizer.save(folder)
        raw["vocab_size"] = len(tokenizer.vocab.tokens)
    (folder / "config.json").write_text(json.dumps(raw))
    plain = "-plain-tied" if form == "t5-1.0" else ""
    config = T5.read(raw, "test", dialect + plain)
    rng = np.random.default_rng(3)
    values, tensors = {}, {}
    for part in T5.tables:
        own = {
            path: draw(path, shape, rng, spread)
            for path, shape in part_shapes(T5, config, part).items()
        }
        tensors |= dump(T5.rules(part, dialect + plain), own, config.shares)
        values |= own
    if dialect == "hf":
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return values
    if form in ("mt5", "pegasus"):
        tensors = {renamed(name): value for name, value in tensors.items()}
    write_tf_checkpoint(folder / "model.ckpt", tensors)
    return values


def draw(path, shape, rng, spread):
    if path.endswith("gamma"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return rng.normal(0, spread, shape).astype(np.float32)


def renamed(name):
    """As mT5's and T5-PEGASUS's files write the norms."""
    return name.replace("final_layer_norm", "rms_norm").replace(
        "layer_norm", "rms_norm"
    )
