"""A resumed training notices that its data or the code is not what it began with."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from nlpcli import __version__
from nlpcli.config.loader import resolve
from nlpcli.engine.run_dir import RunDir
from nlpcli.engine.state import State, fingerprint, read_state, refuse_changes
from nlpcli.errors import CheckpointError, ConfigError
from nlpcli.records.lines import reusable
from tests.cli.fake_engine import call, installed

LINE = (
    '{"text": "王小明在北京", "entities": [{"start": 0, "end": 3, "label": "PER"}]}\n'
)


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    paths = {"data.train": tmp_path / "train.jsonl", "data.dev": tmp_path / "dev.jsonl"}
    for path in paths.values():
        path.write_text(LINE * 9, "utf-8")
    return paths


@pytest.fixture
def run(tmp_path: Path, data: dict[str, Path]) -> RunDir:
    run = RunDir.create(tmp_path / "run", resolve("ner"), data=prints(data))
    state = State(step=3, pending_losses=[0.5])
    run.save("last", lambda folder: write(folder / "state.json", state.text()))
    return run


def write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def prints(data: dict[str, Path]) -> dict[str, Any]:
    return {name: fingerprint(path) for name, path in data.items()}


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_what_did_not_change_goes_on(run: RunDir, data: dict[str, Path]) -> None:
    refuse_changes(run, prints(data), accepted=False)
    os.utime(data["data.train"], (1, 1))
    copy = data["data.train"].with_name("elsewhere.jsonl")
    copy.write_bytes(data["data.train"].read_bytes())
    refuse_changes(run, prints({**data, "data.train": copy}), accepted=False)


@pytest.mark.parametrize("name", ["data.train", "data.dev"])
@pytest.mark.parametrize("size", ["same", "other"])
def test_another_file_is_noticed(
    name: str,
    size: str,
    run: RunDir,
    data: dict[str, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Protects from weights learnt from half of one file and half of another."""
    text = data[name].read_text("utf-8")
    other = text.replace("北京", "上海") if size == "same" else text * 2
    data[name].write_text(other, "utf-8")
    with pytest.raises(ConfigError) as caught:
        refuse_changes(run, prints(data), accepted=False)
    (problem,) = caught.value.problems
    assert f"{name}: expected the file that training began with (" in problem
    assert problem.endswith("; --accept-changes goes on")
    assert caught.value.exit_code == 3
    refuse_changes(run, prints(data), accepted=True)
    assert len(caplog.records) == 1
    assert name in caplog.text


def test_another_version_and_strange_keys_are_noticed(
    run: RunDir, data: dict[str, Path]
) -> None:
    """Protects from a state that means something else to this code."""
    change(run.path / "run.json", nlpcli="0.0.9")
    change(run.path / "last/state.json", momentum_of_tomorrow=1)
    with pytest.raises(ConfigError) as caught:
        refuse_changes(run, prints(data), accepted=False)
    version, state = caught.value.problems
    assert f"began with nlpcli 0.0.9, expected that, this is {__version__}" in version
    assert "got also momentum_of_tomorrow" in state
    refuse_changes(run, prints(data), accepted=True)
    assert read_state(run.path / "last").step == 3


def test_other_libraries_are_told(
    run: RunDir, data: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    run.write_environment({"versions": {"keras": "2.0.0"}})
    refuse_changes(run, prints(data), accepted=False)
    assert "began with keras 2.0.0" in caplog.text


def test_a_run_of_before_has_no_fingerprints(
    run: RunDir, data: dict[str, Path]
) -> None:
    state = json.loads((run.path / "run.json").read_text())
    del state["data"]
    write(run.path / "run.json", json.dumps(state))
    data["data.train"].write_text("other")
    refuse_changes(run, prints(data), accepted=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step", "3"), ("step", -1), ("step", True), ("best", "good"),
        ("random_states", [1]), ("random_states", [["a"]]), ("pending_losses", {}),
        ("pending_losses", ["a"]), ("loss_scale", None), ("seconds", [1]),
    ],
)  # fmt: skip
def test_a_state_of_other_types(name: str, value: Any, run: RunDir) -> None:
    """Protects from an internal error, or worse, deep in the training."""
    change(run.path / "last/state.json", **{name: value})
    with pytest.raises(CheckpointError, match=rf"state\.json: {name}: "):
        read_state(run.path / "last")


def test_losses_that_are_not_finite_are_kept(tmp_path: Path) -> None:
    """Protects a float16 run that was stopped right after a step that was skipped."""
    state = State(step=1, pending_losses=[0.5, float("inf"), float("nan")])
    write(tmp_path / "state.json", state.text())
    losses = read_state(tmp_path).pending_losses
    assert losses[0] == 0.5
    assert [loss != loss for loss in losses] == [False, True, True]


def test_what_came_by_a_pipe_has_the_fingerprint_of_its_bytes(tmp_path: Path) -> None:
    """Protects the pipe: it is read once, and kept."""
    os.mkfifo(tmp_path / "pipe")
    content = LINE.encode() * 5000
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,)).start()
    source = reusable(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(content)
    for _ in range(2):
        assert fingerprint(source) == fingerprint(tmp_path / "file")


def test_it_is_asked_for_where_it_is_of_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for engine in installed(monkeypatch, tmp_path):
        result = call("train", "ner", "--accept-changes")
        assert (result.exit_code, engine.calls) == (2, [])
        assert "--resume" in result.stderr
        call("train", "ner", "--resume", "runs/x", "--accept-changes")
        assert engine.calls[0][1]["accept_changes"] is True
        assert "--accept-changes" in call("train", "--help").stdout


@pytest.mark.slow
def test_through_the_command(tmp_path: Path, data: dict[str, Path]) -> None:
    """Protects as above: exit code 3, one line, nothing written; then it goes on."""
    from nlpcli.runtime.step import TrainStep

    words = [
        *("--data", data["data.train"], "--dev", data["data.dev"]),
        *("--batch-size", "3", "--max-steps", "4", "--out", tmp_path / "out"),
    ]
    whole = TrainStep.__call__

    def stopped(self: Any, *values: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return whole(self, *values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStep, "__call__", stopped)
        assert call("train", "ner", *map(str, words)).exit_code == 143
    state = json.loads((tmp_path / "out/run.json").read_text())
    assert state["data"] == prints(data)
    assert state["status"] == "interrupted"
    data["data.train"].write_text(LINE.replace("小明", "大明") * 9, "utf-8")
    before = (tmp_path / "out/run.json").read_bytes()
    resume = ("train", "ner", "--resume", str(tmp_path / "out"))
    result = call(*resume)
    assert result.exit_code == 3, result.output
    assert result.stderr.count("data.train: expected the file") == 1
    assert (tmp_path / "out/run.json").read_bytes() == before
    assert call(*resume, "--accept-changes").exit_code == 0
    state = json.loads((tmp_path / "out/run.json").read_text())
    assert (state["status"], state["data"]) == ("finished", prints(data))
