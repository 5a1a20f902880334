"""Zhuiyi's tiny and small models, and their forms with a "+", against bert4keras."""

import json

import numpy as np
import pytest

from nlpcli.backbones import recognise
from nlpcli.engine.convert import convert_model
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError
from tests.backbones.parity import (
    SIZES,
    VOCAB,
    assert_inspected,
    assert_same,
    batch,
    bert4keras,
    ours,
    write_google,
    writer,
)
from tests.decoders.rereading import assert_cache_changes_nothing
from tests.slow import first_is_quick

WIDTH, HIDDEN, HEADS, INNER, LAYERS = 12, 32, 4, 48, 3
KEYS = [None, 24]  # of a head: as wide as values (8), and wider


def write(folder, keys, head=True):
    """A random file of Zhuiyi's, names and shapes as its README's models have them."""
    random = np.random.default_rng(5)
    named = {}

    def dense(name, inputs, units):
        named[f"{name}/kernel"] = random.normal(0, 0.2, (inputs, units))
        named[f"{name}/bias"] = random.normal(0, 0.2, units)

    def norm(name, size):
        named[f"{name}/LayerNorm/gamma"] = random.normal(1, 0.2, size)
        named[f"{name}/LayerNorm/beta"] = random.normal(0, 0.2, size)

    for name, rows in (("word", VOCAB), ("token_type", 2), ("position", 40)):
        table = random.normal(0, 0.5, (rows, WIDTH))
        named[f"bert/embeddings/{name}_embeddings"] = table
    norm("bert/embeddings", WIDTH)
    dense("bert/encoder/embedding_hidden_mapping_in", WIDTH, HIDDEN)
    for index in range(LAYERS):
        layer = f"bert/encoder/layer_{index}"
        wide = HEADS * (keys or HIDDEN // HEADS)
        dense(f"{layer}/attention/self/query", HIDDEN, wide)
        dense(f"{layer}/attention/self/key", HIDDEN, wide)
        dense(f"{layer}/attention/self/value", HIDDEN, HIDDEN)
        dense(f"{layer}/attention/output/dense", HIDDEN, HIDDEN)
        norm(f"{layer}/attention/output", HIDDEN)
        dense(f"{layer}/intermediate/dense", HIDDEN, INNER)
        dense(f"{layer}/output/dense", INNER, HIDDEN)
        norm(f"{layer}/output", HIDDEN)
    if head:
        dense("bert/pooler/dense", HIDDEN, HIDDEN)
        dense("cls/predictions/transform/dense", HIDDEN, WIDTH)
        norm("cls/predictions/transform", WIDTH)
        named["cls/predictions/output_bias"] = random.normal(0, 0.2, VOCAB)
    config = {**SIZES, "type_vocab_size": 2, "embedding_size": WIDTH}
    config |= {"hidden_act": "gelu"} | ({"attention_key_size": keys} if keys else {})
    return write_google(folder, named, config)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("keys", KEYS)
def test_states_and_logits_equal_bert4keras(tmp_path, keys):
    pytest.importorskip("bert4keras")
    folder, data = write(tmp_path / "model", keys), batch()
    found = bert4keras(folder, data, "bert", "encoder", "mlm", "unilm", "lm")
    expected = {"backbone": found["encoder"], "mlm": found["mlm"]}
    assert_same(ours(folder, data), expected, data["padding_mask"])
    places = np.arange(data["token_ids"].shape[1], dtype=np.int32)
    data["segment_ids"] = np.sort(data["segment_ids"], axis=1)
    data["predict_at"] = np.tile(places, (len(data["token_ids"]), 1))
    found = bert4keras(folder, data, "bert", "unilm", "lm")
    for attention, application in (("unilm", "unilm"), ("causal", "lm")):
        logits = np.asarray(writer(folder, attention)(data)["targets"])
        assert_same(
            {attention: logits},
            {attention: found[application]},
            data["padding_mask"],
        )


@pytest.mark.parametrize("keys", KEYS)
def test_the_round_trip_changes_no_number(tmp_path, keys):
    folder, data = write(tmp_path / "model", keys), batch()
    convert_model(folder, tmp_path / "out")
    one, other = ours(folder, data), ours(tmp_path / "out", data)
    assert one.keys() == other.keys() == {"backbone", "pooler", "mlm"}
    for part, value in one.items():
        np.testing.assert_array_equal(value, other[part], err_msg=part)
    parts = {"backbone", "pooler", "mlm"}
    assert_inspected(folder, "zhuiyi", "tf", parts, {"nsp"})
    assert_inspected(tmp_path / "out", "zhuiyi", "hf", parts, {"nsp"})


@pytest.mark.parametrize("attention", first_is_quick(["unilm", "causal"]))
def test_the_cache_changes_no_token(tmp_path, attention):
    model = writer(write(tmp_path / "model", KEYS[1]), attention)
    assert_cache_changes_nothing(model, VOCAB)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention_key_size": 16}, "attention/qkv/kernel"),
        ({"attention_key_size": "24"}, "attention_key_size: expected int"),
        ({"embedding_size": 16}, "token_embedding"),
        ({"embedding_size": 10**9}, "embedding_size: expected a positive size"),
    ],
)
def test_a_configuration_that_disagrees(tmp_path, change, message):
    folder = write(tmp_path / "model", KEYS[1])
    config = json.loads((folder / "bert_config.json").read_text())
    (folder / "bert_config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=message):
        open_published(folder).check_sizes()


def test_it_is_recognised():
    assert recognise({"model_type": "zhuiyi"}, ()).family.name == "zhuiyi"
    names = ["bert/encoder/embedding_hidden_mapping_in/kernel"]
    assert recognise({}, names).family.name == "zhuiyi"
