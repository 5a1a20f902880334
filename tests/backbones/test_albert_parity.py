"""ALBERT against transformers and bert4keras: shared layers, groups, its heads."""

import json

import numpy as np
import pytest

from nlpcli.backbones import recognise
from nlpcli.config.loader import resolve
from nlpcli.engine import build
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError, ConfigError
from tests.backbones.parity import (
    SIZES,
    VOCAB,
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
    writer,
)
from tests.decoders.rereading import assert_cache_changes_nothing
from tests.slow import first_is_quick

transformers = pytest.importorskip("transformers")
PARTS = {"mlm": "prediction_logits", "sop": "sop_logits"}
ALL = {"backbone", "pooler", "mlm", "sop"}
GROUPS = [(4, 1, 1), (4, 2, 1), (4, 4, 1), (2, 1, 3), (4, 2, 2)]


def model(layers=4, groups=1, inner=1, activation="gelu_new"):
    sizes = {**SIZES, "num_hidden_layers": layers, "initializer_range": 0.3}
    config = transformers.AlbertConfig(
        **sizes,
        embedding_size=12,
        num_hidden_groups=groups,
        inner_group_num=inner,
        hidden_act=activation,
    )
    return transformers.AlbertForPreTraining(config)


def google(made, path):
    """The same weights under Google's names, its GELU called "gelu"."""
    ffn = "ffn_1.intermediate"
    named = google_names(
        {k: v for k, v in made.state_dict().items() if "decoder" not in k},
        ("albert.pooler.", "bert.pooler.dense."),
        ("albert_layer_groups.", "transformer.group_"),
        ("albert_layers.", "inner_group_"),
        ("albert.", "bert."),
        ("attention.LayerNorm", "LayerNorm"),
        ("full_layer_layer_norm", "LayerNorm_1"),
        ("attention.dense", "attention_1.output.dense"),
        ("attention.", "attention_1.self."),
        ("ffn_output.", f"{ffn}.output.dense."),
        ("ffn.", f"{ffn}.dense."),
        ("predictions.dense", "cls.predictions.transform.dense"),
        ("predictions.LayerNorm", "cls.predictions.transform.LayerNorm"),
        ("sop_classifier.classifier", "cls.seq_relationship"),
    )
    named["cls/predictions/output_bias"] = named.pop("predictions/bias")
    config = json.loads(made.config.to_json_string())
    kept = {k: v for k, v in config.items() if k in {*SIZES, "embedding_size"}}
    kept |= {k: config[k] for k in ("num_hidden_groups", "inner_group_num")}
    return write_google(path, named, {**kept, "hidden_act": "gelu"})


@pytest.mark.parity
@pytest.mark.parametrize(("layers", "groups", "inner"), GROUPS)
def test_all_parts_equal_transformers(tmp_path, layers, groups, inner):
    made, data = model(layers, groups, inner), batch()
    folder = save(tmp_path / "model", made)
    expected = theirs(made, data, **PARTS)
    assert_same(ours(folder, data), expected, data["padding_mask"])
    assert_inspected(folder, "albert", "hf", ALL, set())
    again = converted(folder, tmp_path / "out", transformers.AlbertForPreTraining)
    assert_same(theirs(again, data, **PARTS), expected, data["padding_mask"])


@pytest.mark.parity
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_the_activation_is_that_of_the_configuration(tmp_path, activation):
    made, data = model(activation=activation), batch()
    folder = save(tmp_path / "model", made)
    expected = theirs(made, data, **PARTS)
    assert_same(ours(folder, data), expected, data["padding_mask"])


@pytest.mark.parity
def test_an_encoder_alone_without_prefix(tmp_path):
    made, data = model().albert, batch()
    made = transformers.AlbertModel(made.config)
    folder = save(tmp_path / "model", made)
    expected = theirs(made, data, pooler="pooler_output")
    assert_same(ours(folder, data), expected, data["padding_mask"])
    again = converted(folder, tmp_path / "out", transformers.AlbertModel)
    again = theirs(again, data, pooler="pooler_output")
    assert_same(again, expected, data["padding_mask"])


@pytest.mark.parity
@pytest.mark.parametrize(("layers", "groups", "inner"), GROUPS)
def test_google_s_names_are_read(tmp_path, layers, groups, inner):
    made, data = model(layers, groups, inner), batch()
    save(tmp_path / "model", made)
    folder = google(made, tmp_path / "google")
    expected = theirs(made, data, **PARTS)
    assert_same(ours(folder, data), expected, data["padding_mask"])
    assert_inspected(folder, "albert", "tf", ALL, set())
    again = converted(folder, tmp_path / "out", transformers.AlbertForPreTraining)
    assert_same(theirs(again, data, **PARTS), expected, data["padding_mask"])


@pytest.mark.parity
@pytest.mark.slow
def test_google_s_file_equals_bert4keras(tmp_path):
    pytest.importorskip("bert4keras")
    made, data = model(), batch()
    save(tmp_path / "model", made)
    folder = google(made, tmp_path / "google")
    data["segment_ids"] = np.sort(data["segment_ids"], axis=1)
    found = bert4keras(folder, data, "albert", "encoder", "mlm", "unilm", "lm")
    expected = {"backbone": found["encoder"], "mlm": found["mlm"]}
    assert_same(ours(folder, data), expected, data["padding_mask"])
    places = np.arange(data["token_ids"].shape[1], dtype=np.int32)
    data["predict_at"] = np.tile(places, (len(data["token_ids"]), 1))
    for attention, application in (("unilm", "unilm"), ("causal", "lm")):
        logits = {attention: np.asarray(writer(folder, attention)(data)["targets"])}
        expected = {attention: found[application]}
        assert_same(logits, expected, data["padding_mask"])


@pytest.mark.parametrize("groups", first_is_quick([1, 2]))
@pytest.mark.parametrize("attention", first_is_quick(["unilm", "causal"]))
def test_the_cache_changes_no_token(tmp_path, attention, groups):
    folder = save(tmp_path / "model", model(4, groups))
    assert_cache_changes_nothing(writer(folder, attention), VOCAB)


@pytest.mark.parametrize(
    ("groups", "layers", "left"), [(1, 3, 1), (2, 2, 1), (2, 1, 1), (4, 3, 3)]
)
def test_its_lowest_layers_are_those_of_its_lowest_groups(
    tmp_path, groups, layers, left
):
    folder = save(tmp_path / "model", model(4, groups))
    flags = {"backbone.model": str(folder), "data.max_length": 32, "data.stride": 2}
    flags["backbone.num_hidden_layers"] = layers
    start = build.open_start(resolve("ner", flags=flags))
    assert start.config.num_hidden_groups == left
    whole = open_published(folder)
    full, cut = (whole.family.build(c) for c in (whole.config, start.config))
    assert [b.name for b in full.road[:layers]] == [b.name for b in cut.road]


def test_layers_that_cut_a_group_are_refused(tmp_path):
    folder = save(tmp_path / "model", model(4, 2))
    flags = {"backbone.model": str(folder), "data.max_length": 32, "data.stride": 2}
    flags["backbone.num_hidden_layers"] = 3
    with pytest.raises(ConfigError, match="at most 2 or a multiple of it"):
        build.open_start(resolve("ner", flags=flags))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_groups": 3}, "is not a multiple of num_hidden_groups 3"),
        ({"num_hidden_groups": 2}, "albert_layer_groups.1"),
        ({"inner_group_num": 9}, "inner_group_num: expected at most 4"),
        ({"embedding_size": 32}, "embedding_size below hidden_size"),
        ({"embedding_size": 16}, "token_embedding"),
        ({"embedding_size": 10**9}, "embedding_size: expected a positive size"),
        ({"num_hidden_groups": 10**9}, "num_hidden_groups: expected a positive size"),
    ],
)
def test_a_configuration_that_disagrees(tmp_path, change, message):
    folder = save(tmp_path / "model", model())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=message):
        open_published(folder).check_sizes()


def test_it_is_recognised():
    assert recognise({"model_type": "albert"}, ()).family.name == "albert"
    for name in (
        "albert.embeddings.word_embeddings.weight",
        "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight",
        "bert/encoder/transformer/group_0/inner_group_0/LayerNorm/gamma",
    ):
        assert recognise({}, [name]).family.name == "albert"
