"""NEZHA's relative positions against bert4keras, and one model in every dialect."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nlpcli.backbones import recognise
from nlpcli.backbones.families.nezha import DISTANCE, FAMILY
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.rules import dump
from nlpcli.engine.convert import convert_model
from nlpcli.engine.inspect import inspect
from nlpcli.engine.published import backbone_variables, open_published
from nlpcli.errors import CheckpointError
from nlpcli.heads.sequence_model import SequenceModel
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint
from tests.backbones.opened import Opened, batch_of, write_google
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


# -- dialects

PARTS = ("backbone", "pooler", "mlm", "nsp")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One random model: Huawei's names, those of transformers 4, ``bert.``, bare."""
    root = tmp_path_factory.mktemp("nezha")
    write_google(root / "tf", FAMILY, CONFIG, PARTS)
    convert_model(root / "tf", root / "hf")
    made = load_file(root / "hf" / "model.safetensors")
    distances = np.zeros((129, 129, 12), np.float32)
    at = "encoder.layer.0.attention.self.relative_positions_encoding.positions_encoding"
    for name, prefix in (("hf-bert", "bert."), ("bare", "")):
        convert_model(root / "tf", root / name)
        tensors = {prefix + k.removeprefix("nezha."): v for k, v in made.items()}
        if not prefix:
            tensors = {k: v for k, v in tensors.items() if not k.startswith("cls.")}
        else:
            heads = [k for k in tensors if k.startswith("bert.cls.")]
            tensors |= {k.removeprefix("bert."): tensors.pop(k) for k in heads}
        tensors[f"{prefix}{at}"] = distances  # older files hold the sinusoids
        save_file(tensors, root / name / "model.safetensors")
    return root


@pytest.mark.parametrize("name", ["tf", "hf", "hf-bert", "bare"])
def test_every_dialect_is_inspected(folders, name):
    report = inspect(folders / name)
    assert report.family == "nezha" and report.loads
    assert not report.missing_tensors and not report.unused
    whole = {part for part, state in report.parts.items() if state == "complete"}
    assert whole == ({"backbone", "pooler"} if name == "bare" else set(PARTS))


@pytest.mark.parametrize("name", ["hf", "hf-bert", "bare"])
def test_every_dialect_gives_the_same_numbers(folders, name):
    batch = batch_of(70)
    one, other = Opened(folders / "tf"), Opened(folders / name)
    states = one.states(batch)
    np.testing.assert_array_equal(states, other.states(batch))
    if other.has_head:
        np.testing.assert_array_equal(one.logits(states), other.logits(states))
    assert one.has_pooler and other.has_pooler
    np.testing.assert_array_equal(
        np.asarray(one.pooler(states)), np.asarray(other.pooler(states))
    )
    assert (other.config.longest, other.config.hidden_act) == (None, "gelu_new")


@pytest.mark.parametrize("name", ["tf", "hf", "hf-bert", "bare"])
def test_every_dialect_is_written_as_transformers_4_had_it(folders, name, tmp_path):
    convert_model(folders / name, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["model_type"], config["max_relative_position"]) == ("nezha", 64)
    bare = name == "bare"
    wanted = "NezhaModel" if bare else "NezhaForPreTraining"
    assert config["architectures"] == [wanted]
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    whole = load_file(folders / "hf" / "model.safetensors")
    assert all(k.startswith(("nezha.", "cls.")) for k in tensors)
    assert set(whole) - set(tensors) == {k for k in whole if bare and "cls." in k}
    for key, value in tensors.items():
        np.testing.assert_array_equal(value, whole[key], err_msg=key)


def test_what_names_and_configurations_say():
    names = ["nezha.encoder.layer.0.attention.self.query.weight"]
    assert recognise({}, names).family is FAMILY
    assert recognise({"model_type": "nezha"}, []).family is FAMILY
    google = ["bert/embeddings/word_embeddings", "bert/pooler/dense/bias"]
    for told in ({"use_relative_position": True}, {"max_relative_position": 64}):
        assert recognise(told, google).family is FAMILY


def test_a_configuration_that_its_tensors_are_not(folders, tmp_path):
    write_google(tmp_path / "tf", FAMILY, CONFIG, ["backbone"])
    path = tmp_path / "tf" / "bert_config.json"
    path.write_text(json.dumps({**CONFIG, "type_vocab_size": 3}))
    with pytest.raises(CheckpointError) as caught:
        open_published(tmp_path / "tf").check_sizes()
    (line,) = str(caught.value).splitlines()
    assert line.startswith("segment_embedding/embeddings: expected (3, 48)")
