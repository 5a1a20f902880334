"""A run is resumed and evaluated from another working directory than it began in."""

import os
import shutil

import pytest

from nlpcli.config.loader import load_config, resolve
from nlpcli.engine.evaluate import evaluate_run
from nlpcli.engine.loop import Loop
from nlpcli.engine.scoring import Gold
from nlpcli.engine.train import train
from nlpcli.samples import sample


class Killed(BaseException):
    """Ends a training in the middle."""


def test_data_given_by_relative_paths_is_found_again(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for part in ("train", "dev"):
        shutil.copy(sample("ner", part), f"{part}.jsonl")
    config = resolve(
        "ner",
        flags={
            "data.train": "train.jsonl",
            "data.dev": "../here/dev.jsonl",
            "data.limit": 24,
            "data.dev_limit": 4,
            "train.max_steps": 4,
            "train.save_every": 2,
            "backbone.hidden_size": 32,
            "backbone.num_hidden_layers": 1,
        },
    )
    save = Loop._save_last

    def save_and_stop(self):
        save(self)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_save_last", save_and_stop)
        with pytest.raises(Killed):
            train(config, out=tmp_path / "run")
    kept = load_config(tmp_path / "run" / "config.yaml")
    assert kept.data.train == str(tmp_path / "here" / "train.jsonl")
    assert kept.backbone.model == "tiny"

    monkeypatch.chdir(tmp_path / "there")
    result = train(resolve("ner"), resume=tmp_path / "run")
    assert (result.status, result.steps) == ("finished", 4)
    scores = evaluate_run(tmp_path / "run", "ner")
    dev = tmp_path / "here" / "dev.jsonl"
    assert scores["examples"] == len(dev.read_text("utf-8").splitlines())

    # a pipe that nobody writes to: the run's own data is not opened for other data
    other = tmp_path / "other.jsonl"
    dev.rename(other)
    os.mkfifo(dev)
    scores = evaluate_run(tmp_path / "run", "ner", Gold(other))
    assert scores["data"] == str(other)


def test_a_model_folder_and_a_file_of_the_task_are_kept_in_full(tmp_path, monkeypatch):
    from nlpcli.engine.train import _with_whole_paths

    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-model").mkdir()
    config = resolve(
        "triple-extract",
        flags={"backbone.model": "my-model", "task.schema": "schema.json"},
    )
    whole = _with_whole_paths(config)
    assert whole.backbone.model == str(tmp_path / "my-model")
    assert whole.task.schema == str(tmp_path / "schema.json")
    assert (whole.data.train, whole.data.dev) == (None, None)
    named = resolve("ner", flags={"backbone.model": "rbt3"})
    assert _with_whole_paths(named).backbone.model == "rbt3"
