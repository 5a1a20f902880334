"""brightmart's ALBERT: a BERT of transformers whose table is a product of two."""

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
PARTS = {"mlm": "prediction_logits", "sop": "seq_relationship_logits"}
ALL = {"backbone", "pooler", "mlm", "sop"}
WIDTH = 12


def models(path, shared=True):
    """A BERT, and a folder of brightmart's with the same numbers."""
    import torch

    config = transformers.BertConfig(**SIZES, hidden_act="gelu_new")
    bert = transformers.BertForPreTraining(config)
    save(path / "bert", bert)
    random = np.random.default_rng(3)
    table = random.normal(0, 0.4, (VOCAB, WIDTH)).astype(np.float32)
    second = random.normal(0, 0.4, (WIDTH, SIZES["hidden_size"])).astype(np.float32)
    layers = bert.bert.encoder.layer
    with torch.no_grad():
        words = bert.bert.embeddings.word_embeddings.weight
        words.copy_(torch.tensor(table @ second))
        if shared:
            for layer in layers[1:]:
                layer.load_state_dict(layers[0].state_dict())
    state = {k: v for k, v in bert.state_dict().items() if "decoder" not in k}
    if shared:
        state = {
            k: v for k, v in state.items() if "layer.1" not in k and "layer.2" not in k
        }
        state = {k.replace("layer.0", "layer_shared"): v for k, v in state.items()}
    named = google_names(state)
    named["bert/embeddings/word_embeddings"] = table
    named["bert/embeddings/word_embeddings_2"] = second
    told = {**SIZES, "embedding_size": WIDTH, "hidden_act": "gelu"}
    return bert, write_google(path / "model", named, told)


@pytest.mark.parity
@pytest.mark.parametrize(("shared", "dialect"), [(True, "tf"), (False, "tf-layers")])
def test_all_parts_equal_transformers(tmp_path, shared, dialect):
    bert, folder = models(tmp_path, shared)
    data = batch()
    expected = theirs(bert, data, **PARTS)
    assert_same(ours(folder, data), expected, data["padding_mask"])
    assert_inspected(folder, "albert-zh", dialect, ALL, set())


@pytest.mark.parametrize("shared", [True, False])
def test_the_round_trip_changes_no_number(tmp_path, shared):
    _, folder = models(tmp_path, shared)
    convert_model(folder, tmp_path / "out")
    data = batch()
    one, other = ours(folder, data), ours(tmp_path / "out", data)
    assert one.keys() == other.keys() == ALL
    for part, value in one.items():
        np.testing.assert_array_equal(value, other[part], err_msg=part)
    assert_inspected(tmp_path / "out", "albert-zh", "hf", ALL, set())


@pytest.mark.parametrize("attention", first_is_quick(["unilm", "causal"]))
def test_the_cache_changes_no_token(tmp_path, attention):
    _, folder = models(tmp_path)
    assert_cache_changes_nothing(writer(folder, attention), VOCAB)


def test_where_it_norms_is_asked_of_the_configuration(tmp_path):
    _, folder = models(tmp_path)
    path = folder / "bert_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "ln_type": "preln"}))
    assert open_published(folder).config.norm_place == "pre"
    path.write_text(json.dumps({**config, "ln_type": "none"}))
    with pytest.raises(CheckpointError, match="ln_type: expected postln or preln"):
        open_published(folder)


def test_a_configuration_that_disagrees_is_one_line(tmp_path):
    _, folder = models(tmp_path)
    path = folder / "bert_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 90}))
    with pytest.raises(CheckpointError, match="token_embedding") as caught:
        open_published(folder).check_sizes()
    assert len(str(caught.value).splitlines()) == 1


def test_it_is_recognised():
    assert recognise({"model_type": "albert-zh"}, ()).family.name == "albert-zh"
    names = ["bert/embeddings/word_embeddings", "bert/embeddings/word_embeddings_2"]
    assert recognise({}, names).family.name == "albert-zh"
