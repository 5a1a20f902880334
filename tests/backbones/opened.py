"""Models of folders as the engine opens them, and random folders to open, for tests."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from nlpcli.checkpoints.rules import dump
from nlpcli.engine.published import open_published
from nlpcli.engine.shapes import part_shapes
from nlpcli.heads.language_model import language_model_head
from nlpcli.heads.published_parts import PARTS
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Opened:
    """The backbone and the heads of a folder, all filled from its files."""

    def __init__(self, folder):
        published = open_published(folder)
        published.check_sizes()
        self.config, self.family = published.config, published.family
        self.backbone = published.family.build(self.config)
        published.fill_backbone(self.backbone)
        self.head = language_model_head(self.config)
        self.has_head = published.fill_part("mlm", self.head) is not None
        self.pooler = PARTS["pooler"][1](self.config)
        self.has_pooler = published.fill_part("pooler", self.pooler) is not None

    def states(self, batch, mask=True):
        real = batch["padding_mask"] if mask else None
        return np.asarray(self.backbone(batch["token_ids"], batch["segment_ids"], real))

    def logits(self, states):
        table = self.backbone.token_embedding.embeddings
        return np.asarray(self.head(states, token_table=table))


def batch_of(vocab_size, length=23, seed=0):
    rng = np.random.default_rng(seed)
    real = np.arange(length) < np.array([length, 9, 3, 1])[:, None]
    ids = rng.integers(len(SPECIAL), vocab_size, real.shape)
    segments = rng.integers(0, 2, real.shape)
    return {
        "token_ids": np.where(real, ids, 0).astype(np.int32),
        "segment_ids": np.where(real, segments, 0).astype(np.int32),
        "padding_mask": real,
    }


def write_vocab(folder, count):
    tokens = [*SPECIAL, *map(str, range(len(SPECIAL), count))]
    text = "".join(f"{token}\n" for token in tokens)
    (folder / "vocab.txt").write_text(text, encoding="utf-8")


def write_google(folder, family, config, parts, scale=0.2, **more):
    """Random weights as bert_model.ckpt, the configuration as bert_config.json."""
    folder.mkdir(exist_ok=True)
    keras.utils.set_random_seed(1)
    sizes = family.read({**config, **more}, "test", "tf")
    rng = np.random.default_rng(5)
    tensors = {}
    for part in parts:
        values = {
            path: (path.endswith("gamma") + scale * rng.normal(size=shape))
            for path, shape in part_shapes(family, sizes, part).items()
        }
        values = {path: value.astype(np.float32) for path, value in values.items()}
        tensors |= dump(family.tables[part]["tf"], values)
    write_tf_checkpoint(folder / "bert_model.ckpt", tensors)
    (folder / "bert_config.json").write_text(json.dumps({**config, **more}))
    write_vocab(folder, config["vocab_size"])
    return tensors


def bert4keras(folder, batch, name, *applications):
    """What bert4keras computes from a Google folder, by application."""
    np.savez(folder / "in.npz", **{k: batch[k] for k in ("token_ids", "segment_ids")})
    script = Path(__file__).parent / "bert4keras_states.py"
    words = [folder, folder / "in.npz", folder / "out.npz", name, *applications]
    done = subprocess.run(
        [sys.executable, script, *words], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(folder / "out.npz")
