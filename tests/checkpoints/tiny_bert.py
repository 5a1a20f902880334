"""A random BERT of three layers in both dialects, made without our rules."""

import json

import numpy as np
from safetensors.numpy import save_file

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
HIDDEN, INNER, VOCAB, LAYERS = 8, 16, 30, 3
CONFIG = {
    "model_type": "bert",
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": INNER,
    "max_position_embeddings": 12,
    "type_vocab_size": 2,
}
# Hugging Face name -> shape, for one layer and for the rest.
_LAYER = {
    **{f"attention.self.{p}": (HIDDEN, HIDDEN) for p in ("query", "key", "value")},
    "attention.output.dense": (HIDDEN, HIDDEN),
    "intermediate.dense": (INNER, HIDDEN),
    "output.dense": (HIDDEN, INNER),
}
_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


def hf_tensors(seed=0):
    """Names and values as BertForPreTraining saves them."""
    random = np.random.default_rng(seed)
    made = {
        f"bert.embeddings.{name}_embeddings.weight": random.normal(size=(rows, HIDDEN))
        for name, rows in (("word", VOCAB), ("position", 12), ("token_type", 2))
    }

    def dense(name, shape):
        made[f"{name}.weight"] = random.normal(size=shape)
        made[f"{name}.bias"] = random.normal(size=shape[:1])

    def norm(name):
        made[f"{name}.weight"] = random.normal(size=HIDDEN)
        made[f"{name}.bias"] = random.normal(size=HIDDEN)

    norm("bert.embeddings.LayerNorm")
    for i in range(LAYERS):
        for name, shape in _LAYER.items():
            dense(f"bert.encoder.layer.{i}.{name}", shape)
        for name in _NORMS:
            norm(f"bert.encoder.layer.{i}.{name}")
    dense("bert.pooler.dense", (HIDDEN, HIDDEN))
    dense("cls.predictions.transform.dense", (HIDDEN, HIDDEN))
    norm("cls.predictions.transform.LayerNorm")
    made["cls.predictions.bias"] = random.normal(size=VOCAB)
    dense("cls.seq_relationship", (2, HIDDEN))
    return {name: value.astype(np.float32) for name, value in made.items()}


def tf_tensors(seed=0):
    """The same values under Google's names, linear weights turned."""
    made = {}
    for name, value in hf_tensors(seed).items():
        if name == "cls.seq_relationship.weight":
            made["cls/seq_relationship/output_weights"] = value
            continue
        path, ending = name.replace("encoder.layer.", "encoder/layer_").rsplit(".", 1)
        path = path.replace(".", "/")
        if "LayerNorm" in name:
            ending = {"weight": "/gamma", "bias": "/beta"}[ending]
        elif "_embeddings" in name:
            ending = ""
        elif path in ("cls/predictions", "cls/seq_relationship"):
            ending = "/output_bias"
        elif ending == "weight":
            value, ending = value.T, "/kernel"
        else:
            ending = "/bias"
        made[path + ending] = np.ascontiguousarray(value)
    return made


def write_hf(folder, tensors=None, config=CONFIG, vocabulary=VOCAB):
    """A Hugging Face folder."""
    folder.mkdir(exist_ok=True)
    save_file(
        hf_tensors() if tensors is None else tensors, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps(config))
    tokens = [*SPECIAL, *map(str, range(len(SPECIAL), vocabulary))]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    return folder
