"""A Google checkpoint written as a Hugging Face folder keeps every value."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.rules import load
from nlpcli.checkpoints.safetensors import SafetensorsSource
from nlpcli.config.loader import resolve
from nlpcli.engine import build
from nlpcli.engine.convert import convert_model
from nlpcli.engine.inspect import inspect
from nlpcli.errors import CheckpointError, DataError, NlpcliError, UsageError
from nlpcli.text.tokenizers.load import load_tokenizer, tiny_tokenizer
from tests.bert_family import BERT, expected_shapes
from tests.engine.google_folder import write_google_folder
from tests.t5_family import write_t5

SHORT = {"data.max_length": 16, "data.stride": 4}


def test_every_value_is_in_the_new_folder(tmp_path: Path) -> None:
    parts = ["backbone", "pooler", "mlm", "nsp"]
    values = write_google_folder(tmp_path / "google", parts)
    report = convert_model(tmp_path / "google", tmp_path / "hf")
    assert report["parts"] == parts
    assert report["parameters"] == sum(value.size for value in values.values())
    source = open_checkpoint(tmp_path / "hf")
    for part in parts:
        shapes = {p: values[p].shape for p in expected_shapes(_config(tmp_path))[part]}
        found = load(BERT.tables[part]["hf"], shapes, source)
        for path in shapes:
            np.testing.assert_array_equal(found[path], values[path])


def test_google_s_gelu_is_named_as_transformers_names_it(tmp_path: Path) -> None:
    write_google_folder(tmp_path / "google", ["backbone"])
    report = convert_model(tmp_path / "google", tmp_path / "hf")
    config = _config(tmp_path)
    assert report["parts"] == ["backbone"]
    assert config["hidden_act"] == "gelu_new"
    assert config["architectures"] == ["BertModel"]


def test_a_gap_of_the_backbone_writes_nothing(tmp_path: Path) -> None:
    write_google_folder(tmp_path / "google", ["pooler", "mlm"])
    with pytest.raises(CheckpointError, match="token_embedding"):
        convert_model(tmp_path / "google", tmp_path / "hf")
    assert [path.name for path in tmp_path.iterdir()] == ["google"]


def test_a_destination_that_exists_is_refused(tmp_path: Path) -> None:
    write_google_folder(tmp_path / "google", ["backbone"])
    convert_model(tmp_path / "google", tmp_path / "hf")
    with pytest.raises(UsageError, match="--force"):
        convert_model(tmp_path / "google", tmp_path / "hf")
    convert_model(tmp_path / "google", tmp_path / "hf", force=True)
    with pytest.raises(UsageError, match="another folder"):
        convert_model(tmp_path / "hf", tmp_path / "hf", force=True)


def _config(folder: Path) -> dict:
    found: dict = json.loads((folder / "hf" / "config.json").read_text())
    return found


def _vocabulary(folder: Path, change: Callable[[list[str]], list[str]]) -> Path:
    """The folder with other lines in its vocab.txt."""
    path = folder / "vocab.txt"
    lines = change(path.read_text("utf-8").splitlines())
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def test_a_vocabulary_longer_than_the_table_is_refused(tmp_path: Path) -> None:
    write_google_folder(tmp_path / "google", ["backbone"])
    rows = len(_vocabulary(tmp_path / "google", lambda x: x).read_text().splitlines())
    _vocabulary(tmp_path / "google", lambda lines: [*lines, "新词", "旧词"])
    told = f"google: expected a vocabulary of at most {rows} tokens .* got {rows + 2} "
    with pytest.raises(CheckpointError, match=told):
        convert_model(tmp_path / "google", tmp_path / "hf")
    assert [path.name for path in tmp_path.iterdir()] == ["google"]


def test_a_token_that_stands_twice_keeps_its_lines(tmp_path: Path) -> None:
    values = write_google_folder(tmp_path / "google", ["backbone"])
    path = _vocabulary(tmp_path / "google", lambda x: [*x[:50], "$", *x[51:]])
    convert_model(tmp_path / "google", tmp_path / "hf")
    assert (tmp_path / "hf" / "vocab.txt").read_bytes() == path.read_bytes()
    table = values["token_embedding/embeddings"]
    for folder in (tmp_path / "google", tmp_path / "hf"):
        start = build.open_start(
            resolve("ner", flags={"backbone.model": str(folder), **SHORT})
        )
        used = start.tokenizer.encode("$上$").token_ids
        assert used[0] == used[2] == 50
        build.prune(start, used.tolist())
        assert start.rows.kept is not None
        rows = start.rows.kept[start.tokenizer.encode("$上$").token_ids]
        np.testing.assert_array_equal(table[rows], table[used])


def test_it_says_what_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "nlpcli")
    write_google_folder(tmp_path / "google", ["backbone", "mlm"])
    report = convert_model(tmp_path / "google", tmp_path / "hf")
    reading, absent, written = caplog.messages
    assert reading.startswith(f"reading {tmp_path / 'google'}")
    assert "(tensorflow): backbone, mlm; wordpiece tokenizer of " in reading
    assert absent == "not all there, so not written: pooler, nsp"
    parameters = report["parameters"]
    assert written == f"{tmp_path / 'hf'}: written, {parameters} parameters in float32"


@pytest.mark.parametrize("form", ["t5-1.0", "mt5"])  # the output tied, and apart
def test_only_the_pieces_that_a_file_needs(tmp_path: Path, form: str) -> None:
    write_t5(tmp_path / "t5", form, "hf", 0.05, tiny_tokenizer())
    (tmp_path / "text").write_text("春风又绿\n江南岸春\n", "utf-8")
    whole = convert_model(tmp_path / "t5", tmp_path / "whole")
    report = convert_model(
        tmp_path / "t5", tmp_path / "small", pieces=str(tmp_path / "text")
    )
    big, small = (load_tokenizer(tmp_path / name) for name in ("whole", "small"))
    ids, new = (each.encode("春江").token_ids for each in (big, small))
    assert report["pieces"] == len(small.vocab.tokens) < whole["pieces"] / 10
    before, after = (SafetensorsSource(tmp_path / name) for name in ("whole", "small"))
    assert before.describe().keys() == after.describe().keys()
    for name in before.describe():
        old, kept = before.read(name), after.read(name)
        if old.shape != kept.shape:
            assert len(kept) == report["pieces"]
            old, kept = old[ids], kept[new]
        np.testing.assert_array_equal(old, kept)
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert config["vocab_size"] == report["pieces"]
    assert config["decoder_start_token_id"] == small.vocab.pad_id
    twice = convert_model(
        tmp_path / "t5", tmp_path / "few", pieces=str(tmp_path / "text"), least=2
    )
    assert report["pieces"] - twice["pieces"] == 6  # all but 春


def test_pieces_of_nothing_are_refused(tmp_path: Path) -> None:
    write_google_folder(tmp_path / "google", ["backbone"])
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(DataError, match="lines of text"):
        convert_model(
            tmp_path / "google", tmp_path / "hf", pieces=str(tmp_path / "empty")
        )
    with pytest.raises(UsageError, match="--least"):
        convert_model(tmp_path / "google", tmp_path / "hf", pieces="chinese", least=2)
    assert not (tmp_path / "hf").exists()


def test_layers_that_the_configuration_does_not_tell_are_no_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_google_folder(tmp_path / "bert", ["backbone"])
    path = tmp_path / "bert" / "bert_config.json"
    config = json.loads(path.read_text())
    there = config["num_hidden_layers"]
    path.write_text(json.dumps({**config, "num_hidden_layers": there - 1}))
    told = f"{there} layers, {there - 1} by its configuration"
    with pytest.raises(CheckpointError, match=told):
        convert_model(tmp_path / "bert", tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
    assert any(told in note for note in inspect(tmp_path / "bert").notes)
    model = {"backbone.model": str(tmp_path / "bert"), **SHORT}
    build.open_start(resolve("ner", flags=model))
    assert told in caplog.text
    path.write_text(json.dumps(config))
    caplog.clear()
    build.open_start(resolve("ner", flags={**model, "backbone.num_hidden_layers": 1}))
    assert "by its configuration" not in caplog.text


def test_pieces_are_a_word_or_a_file_with_frequent_pieces(tmp_path: Path) -> None:
    write_google_folder(tmp_path / "bert", ["backbone"])
    with pytest.raises(UsageError, match="--pieces: expected"):
        convert_model(tmp_path / "bert", tmp_path / "hf", pieces="")
    (tmp_path / "text").write_text("北京\n", encoding="utf-8")
    with pytest.raises(DataError, match="found 99 times, the most frequent is found"):
        convert_model(
            tmp_path / "bert", tmp_path / "hf", pieces=str(tmp_path / "text"), least=99
        )


def test_a_destination_below_a_file_is_one_line(tmp_path: Path) -> None:
    write_google_folder(tmp_path / "bert", ["backbone"])
    (tmp_path / "file").touch()
    with pytest.raises(NlpcliError, match="cannot write"):
        convert_model(tmp_path / "bert", tmp_path / "file" / "hf")


def test_all_files_have_the_permissions_of_new_ones(tmp_path: Path) -> None:
    write_google_folder(tmp_path / "bert", ["backbone"])
    convert_model(tmp_path / "bert", tmp_path / "hf")
    modes = {path.stat().st_mode for path in (tmp_path / "hf").iterdir()}
    assert len(modes) == 1
