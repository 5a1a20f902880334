"""ELECTRA against transformers and bert4keras: discriminator and generator."""

import json

import numpy as np
import pytest

from nlpcli.backbones import recognise
from nlpcli.config.loader import resolve
from nlpcli.engine import build
from nlpcli.engine.fill import Filler
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError, ConfigError
from tests.backbones.parity import (
    SIZES,
    assert_inspected,
    assert_same,
    batch,
    bert4keras,
    converted,
    google_names,
    ours,
    save,
    theirs,
    write_google,
)

transformers = pytest.importorskip("transformers")
WIDTHS = [12, 32]  # of the token table: narrower than hidden states, and as wide
DISCRIMINATOR = ("ElectraForPreTraining", "discriminator")
GENERATOR = ("ElectraForMaskedLM", "mlm")


def model(kind, width, activation="gelu", **more):
    config = transformers.ElectraConfig(
        **{**SIZES, **more}, embedding_size=width, hidden_act=activation
    )
    return getattr(transformers, kind)(config)


def google(made, path):
    """A file of Google's with a discriminator, and its configuration as HFL has it."""
    renamed = (
        "discriminator_predictions.dense_prediction",
        "discriminator_predictions.dense_1",
    )
    named = google_names(made.state_dict(), renamed)
    config = {**SIZES, "embedding_size": made.config.embedding_size}
    return write_google(path, named, {**config, "hidden_act": "gelu"})


def google_generator(made, path, electra=None):
    """A file of Google's with a generator on the embeddings of its discriminator."""
    renamed = [
        ("electra.encoder", "generator.encoder"),
        ("electra.embeddings_project", "generator.embeddings_project"),
        ("generator_lm_head.bias", "generator_predictions.output_bias"),
    ]
    state = {
        k: v for k, v in made.state_dict().items() if k != "generator_lm_head.weight"
    }
    named = google_names(state, *renamed)
    bias = named.pop("generator_predictions/bias", None)
    if bias is None:
        bias = np.asarray(made.state_dict()["generator_lm_head.bias"])
        named = {k: v for k, v in named.items() if "output_bias" not in k}
    named["generator_predictions/output_bias"] = bias
    if electra is not None:
        other = google_names(electra.state_dict())
        named |= {k: v for k, v in other.items() if "electra/encoder" in k}
    width = made.config.embedding_size
    return write_google(path, named, {**SIZES, "embedding_size": width})


@pytest.mark.parity
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize(("kind", "part"), [DISCRIMINATOR, GENERATOR])
def test_all_parts_equal_transformers(tmp_path, kind, part, width, activation):
    made, data = model(kind, width, activation), batch()
    folder = save(tmp_path / "model", made)
    expected = theirs(made, data, **{part: "logits"})
    assert_same(ours(folder, data), expected, data["padding_mask"])
    absent = {"mlm", "discriminator"} - {part}
    assert_inspected(folder, "electra", "hf", {"backbone", part}, absent)
    again = converted(folder, tmp_path / "out", getattr(transformers, kind))
    assert_same(theirs(again, data, **{part: "logits"}), expected, data["padding_mask"])


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_google_s_discriminator_equals_bert4keras(tmp_path, width):
    pytest.importorskip("bert4keras")
    made, data = model(DISCRIMINATOR[0], width), batch()
    save(tmp_path / "model", made)
    folder = google(made, tmp_path / "google")
    found = ours(folder, data)
    expected = bert4keras(folder, data, "electra", "encoder", "discriminator")
    expected = {
        "backbone": expected["encoder"],
        "discriminator": expected["discriminator"][..., 0],
    }
    assert_same(found, expected, data["padding_mask"])


@pytest.mark.parity
@pytest.mark.parametrize("width", WIDTHS)
def test_google_s_names_are_read(tmp_path, width):
    made, data = model(DISCRIMINATOR[0], width), batch()
    save(tmp_path / "model", made)
    folder = google(made, tmp_path / "google")
    expected = theirs(made, data, discriminator="logits")
    assert_same(ours(folder, data), expected, data["padding_mask"])
    parts = {"backbone", "discriminator"}
    assert_inspected(folder, "electra", "tf", parts, {"mlm"})
    again = converted(folder, tmp_path / "out", transformers.ElectraForPreTraining)
    again = theirs(again, data, discriminator="logits")
    assert_same(again, expected, data["padding_mask"])


@pytest.mark.parity
@pytest.mark.parametrize("width", WIDTHS)
def test_google_s_generator_is_read_where_it_stands_alone(tmp_path, width):
    made, data = model(GENERATOR[0], width), batch()
    save(tmp_path / "model", made)
    folder = google_generator(made, tmp_path / "google")
    expected = theirs(made, data, mlm="logits")
    assert_same(ours(folder, data), expected, data["padding_mask"])
    parts = {"backbone", "mlm"}
    assert_inspected(folder, "electra", "tf-generator", parts, {"discriminator"})
    again = converted(folder, tmp_path / "out", transformers.ElectraForMaskedLM)
    assert_same(theirs(again, data, mlm="logits"), expected, data["padding_mask"])


@pytest.mark.parity
def test_of_both_in_a_file_of_google_s_the_discriminator_is_read(tmp_path):
    electra, data = model(DISCRIMINATOR[0], 12), batch()
    save(tmp_path / "model", electra)
    generator = model(GENERATOR[0], 12, hidden_size=16)
    generator.electra.embeddings.load_state_dict(
        electra.electra.embeddings.state_dict()
    )
    named = google_names(electra.state_dict())
    folder = google_generator(generator, tmp_path / "google", electra)
    from nlpcli.runtime.tf_checkpoint import open_tf_checkpoint, write_tf_checkpoint

    source = open_tf_checkpoint(folder)
    there = {name: source.read(name) for name in source.describe()}
    write_tf_checkpoint(folder / "bert_model.ckpt", {**there, **named})
    expected = theirs(electra, data)
    assert_same(ours(folder, data), expected, data["padding_mask"])


@pytest.mark.parity
def test_its_generator_fills(tmp_path):
    made = model(GENERATOR[0], 12, hidden_size=16)
    folder = save(tmp_path / "model", made)
    from nlpcli.records.row import Row

    text = "一丁[MASK]丄"
    (answer,) = Filler(folder).fill([Row({"text": text}, "a:1")], top=3)
    (mask,) = answer["masks"]
    assert mask["start"] == 2 and len(mask["tokens"]) == 3


def test_a_discriminator_fills_nothing(tmp_path):
    folder = save(tmp_path / "model", model(DISCRIMINATOR[0], 12))
    with pytest.raises(CheckpointError, match="expected a masked-token head"):
        Filler(folder)


@pytest.mark.parametrize("kind", ["ElectraForPreTraining", "ElectraForMaskedLM"])
def test_it_is_refused_where_it_would_write(tmp_path, kind):
    folder = save(tmp_path / "model", model(kind, 12))
    told = r"ELECTRA.*replaced tokens"
    with pytest.raises(ConfigError, match=told):  # before its length is
        build.open_start(resolve("couplet", flags={"backbone.model": str(folder)}))
    flags = {"backbone.model": str(folder), "data.max_length": 32, "data.stride": 2}
    config = resolve("simbert", flags=flags)
    start = build.open_start(config)
    recipe = build.open_recipe(config, start.tokenizer, start.config)
    with pytest.raises(ConfigError, match=told):
        build.build_model(recipe, start)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding_size": 16}, "token_embedding"),
        ({"embedding_size": "12"}, "embedding_size: expected int"),
        ({"hidden_act": "mish"}, "hidden_act: expected one of"),
    ],
)
def test_a_configuration_that_disagrees(tmp_path, change, message):
    folder = save(tmp_path / "model", model(DISCRIMINATOR[0], 12))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=message):
        open_published(folder).check_sizes()


def test_it_is_recognised():
    assert recognise({"model_type": "electra"}, ()).family.name == "electra"
    for name in (
        "electra.embeddings.word_embeddings.weight",
        "electra/embeddings/word_embeddings",
        "generator/encoder/layer_0/x",
        "discriminator_predictions/dense/kernel",
    ):
        assert recognise({}, [name]).family.name == "electra"
