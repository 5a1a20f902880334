"""A Google checkpoint written as a Hugging Face folder keeps every value."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nlpcli.backbones.bert_rules import BERT
from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.rules import load
from nlpcli.engine.convert import convert_model
from nlpcli.errors import CheckpointError, UsageError
from tests.engine.google_folder import write_google_folder


def test_every_value_is_in_the_new_folder(tmp_path: Path) -> None:
    parts = ["backbone", "pooler", "mlm", "nsp"]
    values = write_google_folder(tmp_path / "google", parts)
    report = convert_model(tmp_path / "google", tmp_path / "hf")
    assert report["parts"] == parts
    assert report["parameters"] == sum(value.size for value in values.values())
    source = open_checkpoint(tmp_path / "hf")
    for part in parts:
        shapes = {p: values[p].shape for p in BERT.shapes(_config(tmp_path))[part]}
        found = load(BERT.parts[part]["hf"], shapes, source)
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
