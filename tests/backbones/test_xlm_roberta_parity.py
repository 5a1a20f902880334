"""XLM-RoBERTa's form against transformers: positions from row 2, one segment."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nlpcli.backbones import recognise
from nlpcli.engine.embed import Embedder
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.text.tokenizers.load import load_tokenizer
from tests.backbones.parity import (
    SIZES,
    assert_inspected,
    assert_same,
    batch,
    converted,
    ours,
    save,
    theirs,
)
from tests.tiny_unigram import write_unigram

transformers = pytest.importorskip("transformers")


def model(activation="gelu", pad_id=1):
    config = transformers.XLMRobertaConfig(
        **SIZES, type_vocab_size=1, hidden_act=activation, pad_token_id=pad_id
    )
    return transformers.XLMRobertaForMaskedLM(config)


def unigram(folder):
    """The folder with a Unigram tokenizer instead of its vocab.txt."""
    (folder / "vocab.txt").unlink()
    write_unigram(folder, SIZES["vocab_size"])
    return folder


@pytest.mark.parity
@pytest.mark.parametrize(
    ("activation", "pad_id", "model_type"),
    [
        ("gelu", 1, "xlm-roberta"),
        ("relu", 1, "xlm-roberta"),
        ("gelu", 0, "xlm-roberta"),
        ("gelu", 1, "roberta"),
    ],
)
def test_all_parts_equal_transformers(tmp_path, activation, pad_id, model_type):
    made, data = model(activation, pad_id), batch(pad_id)
    folder = unigram(save(tmp_path / "model", made))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "model_type": model_type})
    )
    expected = theirs(made, data, mlm="logits")
    assert_same(ours(folder, data), expected, data["padding_mask"])
    assert_inspected(folder, "xlm-roberta", "hf", {"backbone", "mlm"}, {"pooler"})
    again = converted(folder, tmp_path / "out", transformers.XLMRobertaForMaskedLM)
    assert_same(theirs(again, data, mlm="logits"), expected, data["padding_mask"])
    assert_same(ours(tmp_path / "out", data), expected, data["padding_mask"])


@pytest.mark.parity
def test_an_encoder_without_prefix_has_its_pooler(tmp_path):
    made, data = model().roberta, batch(1)
    made = transformers.XLMRobertaModel(made.config)
    folder = unigram(save(tmp_path / "model", made))
    expected = theirs(made, data, pooler="pooler_output")
    assert_same(ours(folder, data), expected, data["padding_mask"])
    assert_inspected(folder, "xlm-roberta", "hf", {"backbone", "pooler"}, {"mlm"})


@pytest.mark.parity
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_its_vectors_are_those_of_transformers(tmp_path, pooling):
    """As E5 and BGE-M3 are used: embed --model DIR."""
    made = model().roberta
    folder = unigram(save(tmp_path / "model", made))
    texts = ["北京大学", "今天天气不错", "我"]
    found = Embedder.open(folder, pooling=pooling).encode(texts)
    tokenizer = load_tokenizer(folder)
    for text, vector in zip(texts, found, strict=True):
        inner = tokenizer.encode(text).token_ids.tolist()
        ids = np.array([[0, *inner, 2]], np.int32)  # <s> ... </s>
        data = {
            "token_ids": ids,
            "segment_ids": np.zeros_like(ids),
            "padding_mask": np.ones(ids.shape, bool),
        }
        states = theirs(made, data)["backbone"][0]
        expected = states[0] if pooling == "cls" else states.mean(0)
        expected = expected / np.linalg.norm(expected)
        np.testing.assert_allclose(vector, expected, atol=1e-4)


def test_the_rows_before_the_first_position_are_no_room(tmp_path):
    folder = save(tmp_path / "model", model())
    published = open_published(folder)
    assert published.config.longest == SIZES["max_position_embeddings"] - 2
    published.check_sizes()


def test_a_tokenizer_that_cannot_be_read_is_said(tmp_path):
    folder = save(tmp_path / "model", model())
    (folder / "vocab.txt").unlink()
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "vocab.json").write_text("{}")
    with pytest.raises((NotFoundError, CheckpointError)) as caught:
        load_tokenizer(folder)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pad_token_id": "1"}, "pad_token_id: expected a number"),
        ({"pad_token_id": 10**9}, "pad_token_id: expected a number"),
        ({"max_position_embeddings": 2}, "expected more than the 2 rows"),
        ({"max_position_embeddings": 50}, r"position_embedding.*\(50, 32\)"),
        ({"type_vocab_size": 2}, r"segment_embedding.*\(2, 32\)"),
    ],
)
def test_a_configuration_that_cannot_be_is_one_line(tmp_path, change, message):
    folder = save(tmp_path / "model", model())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=message) as caught:
        open_published(folder).check_sizes()
    assert len(str(caught.value).splitlines()) == 1


def test_google_s_names_are_no_file_of_it(tmp_path):
    folder = save(tmp_path / "model", model())
    state = load_file(folder / "model.safetensors")
    named = {"bert/embeddings/word_embeddings": next(iter(state.values()))}
    save_file(named, folder / "model.safetensors")
    with pytest.raises(CheckpointError):
        open_published(folder).check_sizes()


def test_it_is_recognised():
    for given in ("xlm-roberta", "roberta"):
        assert recognise({"model_type": given}, ()).family.name == "xlm-roberta"
    names = ["roberta.embeddings.word_embeddings.weight"]
    assert recognise({}, names).family.name == "xlm-roberta"
    names = [
        "embeddings.word_embeddings.weight",
        "embeddings.position_embeddings.weight",
    ]
    found = recognise({"model_type": "xlm-roberta"}, names)
    assert found.family.name == "xlm-roberta"
