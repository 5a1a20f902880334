"""NEZHA's relative positions against bert4keras: encoder, UniLM and causal model."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from nlpcli.backbones.families.nezha import DISTANCE, FAMILY
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.rules import dump
from nlpcli.engine.published import backbone_variables
from nlpcli.heads.sequence_model import SequenceModel
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint
from tests.bert_family import load_folder

LENGTH = 90  # beyond 64 all distances are one, and beyond the 40 positions as well
CONFIG = {
    "vocab_size": 70,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "use_relative_position": True,
    # Larger than in life, so that a wrong formula shows.
    "initializer_range": 0.1,
}


@pytest.mark.parity
@pytest.mark.slow
def test_states_and_logits_equal_bert4keras(tmp_path):
    pytest.importorskip("bert4keras")
    (tmp_path / "bert_config.json").write_text(json.dumps(CONFIG))
    config = FAMILY.read(CONFIG, "bert_config.json", "tf")
    assert config.max_relative_position == DISTANCE
    models = {name: random_model(config, name) for name in ("unilm", "causal")}
    write_checkpoint(tmp_path, models["unilm"])
    batch = random_batch()
    theirs = bert4keras(tmp_path, batch)
    real = batch["padding_mask"]

    backbone = load_folder(tmp_path)
    states = backbone(
        batch["token_ids"], segment_ids=batch["segment_ids"], padding_mask=real
    )
    np.testing.assert_allclose(
        np.asarray(states)[real], theirs["encoder"][real], atol=1e-4
    )
    for name, application in (("unilm", "unilm"), ("causal", "lm")):
        logits = np.asarray(models[name](batch)["targets"])
        np.testing.assert_allclose(
            logits[real], theirs[application][real], atol=5e-4, err_msg=name
        )


def random_model(config, attention):
    """The same weights whatever the mask."""
    keras.utils.set_random_seed(3)
    model = SequenceModel(Transformer(config), SequenceOptions(), attention, (0, 1, 2))
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.path.endswith(("bias", "beta")):
            variable.assign(rng.normal(size=variable.shape))
    return model


def write_checkpoint(folder, model):
    variables = {
        **backbone_variables(model.backbone),
        **{variable.path: variable for variable in model.head.variables},
    }
    values = {path: np.asarray(variable) for path, variable in variables.items()}
    tables = FAMILY.tables
    tensors = dump(tables["backbone"]["tf"] + tables["mlm"]["tf"], values)
    write_tf_checkpoint(folder / "bert_model.ckpt", tensors)


def random_batch():
    """Sources and targets of several lengths, padded on the right."""
    rng = np.random.default_rng(0)
    sources, lengths = np.array([30, 85, 4, 1]), np.array([LENGTH, 86, 9, 2])
    places = np.arange(LENGTH)
    real = places < lengths[:, None]
    ids = rng.integers(1, CONFIG["vocab_size"], real.shape)
    segments = (places >= sources[:, None]) & real
    return {
        "token_ids": np.where(real, ids, 0).astype(np.int32),
        "segment_ids": segments.astype(np.int32),
        "padding_mask": real,
        "predict_at": np.tile(places.astype(np.int32), (len(real), 1)),
    }


def bert4keras(folder, batch):
    np.savez(folder / "in.npz", **{k: batch[k] for k in ("token_ids", "segment_ids")})
    script = Path(__file__).parent / "bert4keras_states.py"
    words = [folder, folder / "in.npz", folder / "out.npz", "nezha"]
    done = subprocess.run(
        [sys.executable, script, *words, "encoder", "unilm", "lm"],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return np.load(folder / "out.npz")
