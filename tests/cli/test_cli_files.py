"""runs and data, over real folders and files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.config.loader import resolve
from nlpcli.engine.run_dir import RunDir
from tests.checkpoints.h5_file import write_h5
from tests.checkpoints.tiny_bert import write_hf

ROOT = Path(__file__).resolve().parents[2]
GOOD = '{"text": "王小明在北京", "entities": [{"start": 0, "end": 3, "label": "PER"}]}'


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    yield


def call(*words: str) -> Any:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "60"})


def make_run(path: str) -> None:
    run = RunDir.create(Path(path), resolve("ner"))
    for step in range(10, 60, 10):
        run.append_metrics({"step": step, "loss": 1 / step, "lr": 1e-5})
    run.append_metrics({"step": 50, "dev": {"f1": 0.5, "precision": None, "gold": 3}})
    scores = {"f1": 0.5, "per_label": {"PER": {"f1": 0.5}}}
    run.save_best(lambda folder: None, scores)
    run.mark_finished({"seconds": 73, "score_name": "f1", "score": 0.5, "steps": 50})


def test_runs_are_listed() -> None:
    assert call("runs").stdout.startswith("no runs yet")
    assert json.loads(call("runs", "--json").stdout) == []
    make_run("runs/a")
    make_run("runs/b")
    lines = call("runs").stdout.splitlines()
    assert lines[0].split() == [
        *("run", "recipe", "model", "status", "score", "time", "started")
    ]
    assert lines[2].split()[:7] == [
        *("runs/a", "ner", "tiny", "finished", "f1", "0.5000", "1m13s")
    ]
    rows = json.loads(call("runs", "list", "--json").stdout)
    assert [row["run"] for row in rows] == ["runs/b", "runs/a"]
    assert rows == json.loads(call("runs", "--json").stdout)


def test_a_run_is_shown_with_its_curves() -> None:
    make_run("runs/a")
    shown = call("runs", "show", "runs/a").stdout
    assert "loss by step" in shown and "dev f1 by step" in shown
    assert "dev gold" not in shown, "a count that does not change is no curve"
    assert max(map(len, shown.splitlines())) <= 60
    found = json.loads(call("runs", "show", "runs/a", "--json").stdout)
    assert found["scores"]["f1"] == 0.5
    assert len(found["metrics"]) == 6
    assert call("runs", "show", "runs/none").exit_code == 6


def test_data_check_reports_every_bad_line() -> None:
    Path("d.jsonl").write_text(f'{GOOD}\n{{\n{GOOD}\n{{"text": 3}}\n', encoding="utf-8")
    result = call("data", "check", "d.jsonl", "--task", "ner")
    assert result.exit_code == 4
    assert "2 bad lines" in result.stdout
    assert "d.jsonl:2: " in result.stdout
    assert "d.jsonl:4: " in result.stdout
    assert "d.jsonl:3 repeats d.jsonl:1" in result.stdout
    report = json.loads(
        call("data", "check", "d.jsonl", "--task", "ner", "--json").stdout
    )
    assert report["labels"][0]["label"] == "PER"
    assert (report["examples"], len(report["bad_lines"])) == (2, 2)


def test_data_check_tells_what_is_longer() -> None:
    Path("d.jsonl").write_text(GOOD + "\n", encoding="utf-8")
    words = ("data", "check", "d.jsonl", "--task", "ner", "--max-length")
    assert "no texts exceed 8 characters" in call(*words, "8").stdout
    Path("d.jsonl").write_text(
        GOOD.replace("北京", "北京北京") + "\n", encoding="utf-8"
    )
    result = call(*words, "8")
    assert (result.exit_code, "1 texts exceed 8 characters" in result.stdout) == (
        0,
        True,
    )
    assert "tokens" in call(*words, "8", "--model", "tiny").stdout


def test_data_convert_goes_there_and_back() -> None:
    Path("a.jsonl").write_text(GOOD + "\n", encoding="utf-8")
    there = (
        "data",
        "convert",
        "--task",
        "ner",
        "a.jsonl",
        "b.bmes",
        "--scheme",
        "BMES",
    )
    assert call(*there).exit_code == 0
    assert (
        Path("b.bmes").read_text(encoding="utf-8").startswith("王\tB-PER\n小\tM-PER\n")
    )
    assert call(*there).exit_code == 2, "an output that exists is refused"
    result = call("data", "convert", "--task", "ner", "b.bmes", "c.jsonl", "--json")
    assert json.loads(result.stdout)["from"] == "BMES"
    assert json.loads(Path("c.jsonl").read_text()) == json.loads(GOOD)
    assert call("data", "convert", "--task", "ner", "none", "d.jsonl").exit_code == 6


def test_a_file_that_can_be_read_once_is_read_whole() -> None:
    lines = (GOOD + "\n") * 2000
    for words in (
        ("check", "/dev/stdin", "--task", "ner", "--json"),
        ("convert", "/dev/stdin", "b.bio", "--task", "ner", "--json"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "nlpcli", "data", *words],
            input=lines.encode(),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout)["examples"] == 2000


def test_data_convert_takes_names_of_formats() -> None:
    Path("a").write_text(GOOD + "\n", encoding="utf-8")
    words = ("data", "convert", "--task", "ner", "a")
    assert call(*words, "b.txt", "--to", "jsonl", "--json").exit_code == 0
    assert json.loads(Path("b.txt").read_text("utf-8")) == json.loads(GOOD)
    report = call(*words, "c.jsonl", "--to", "columns", "--json").stdout
    assert json.loads(report)["to"] == "BIO"
    assert Path("c.jsonl").read_text("utf-8").startswith("王\tB-PER\n")
    for flag in ("--to", "--from"):
        result = call(*words, "d.jsonl", flag, "xml")
        assert (result.exit_code, Path("d.jsonl").exists()) == (2, False)
        assert f"{flag}: expected one of jsonl" in result.stderr
        assert "got xml" in result.stderr
    assert call(*words, "e.jsonl", "--from", "columns").exit_code == 4


def test_overlapping_answers_are_allowed_when_asked() -> None:
    two = '{"start": 0, "end": 2, "label": "X"}, '
    Path("d.jsonl").write_text(GOOD.replace("[{", f"[{two}{{"), encoding="utf-8")
    words = ("data", "check", "d.jsonl", "--task", "ner", "--json")
    assert call(*words).exit_code == 4
    result = call(*words, "--nested")
    assert (result.exit_code, json.loads(result.stdout)["nested"]) == (0, 1)


def test_a_flag_of_another_task_s_data_is_wrong_usage() -> None:
    Path("d.jsonl").write_text('{"first": "天", "second": "地"}\n', encoding="utf-8")
    result = call("data", "check", "d.jsonl", "--task", "couplet", "--nested")
    assert result.exit_code == 2
    assert result.stderr == (
        "nlpcli: error: --nested: recipe couplet has no such option for data check\n"
    )
    words = ("data", "convert", "--task", "couplet", "d.jsonl", "e.jsonl")
    flags = ("--scheme", "BIO", "--from-scheme", "BMES", "--repair", "--joiner", " ")
    result = call(*words, *flags)
    assert (result.exit_code, Path("e.jsonl").exists()) == (2, False)
    for flag in ("--scheme", "--from-scheme", "--repair", "--joiner"):
        assert f" {flag}: recipe couplet has no such option" in result.stderr


def test_the_schemes_offered_are_those_that_are_read() -> None:
    from typing import get_args

    from nlpcli.cli.data import Scheme
    from nlpcli.records.tag_schemes import SCHEMES

    assert get_args(Scheme) == SCHEMES


def test_models_are_listed_and_shown() -> None:
    rows = json.loads(call("models", "--json").stdout)
    assert rows == json.loads(call("models", "list", "--json").stdout)
    tiny = next(row for row in rows if row["name"] == "tiny")
    assert tiny["on_disk"]
    assert len(call("models").stdout.splitlines()) == len(rows) + 1
    shown = json.loads(call("models", "show", "wobert", "--json").stdout)
    assert shown.pop("found") is None and shown in rows
    assert shown["needs_torch"] and "nlpcli[torch]" in shown["loaded"]
    assert shown["architecture"]["vocabulary"] == 33586
    result = call("models", "show", "wobrt")
    assert result.exit_code == 6
    assert "wobert" in result.stderr


def test_a_model_on_disk_is_shown_with_what_it_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NLPCLI_MODELS", str(Path("home").resolve()))
    folder = Path("home/rbt3")
    folder.parent.mkdir()
    write_hf(folder)
    (folder / "model.safetensors").unlink()
    write_h5(folder / "tf_model.h5")
    row = json.loads(call("models", "show", "rbt3", "--json").stdout)
    assert (row["on_disk"], row["path"]) == (True, str(folder.resolve()))
    assert row["loaded"] == "from tf_model.h5, without PyTorch"
    assert row["found"]["container"] == "h5" and row["found"]["loads"]
    assert row["found"]["parts"]["mlm"] == "complete"
    assert "container" in call("models", "show", "rbt3").stdout
    (folder / "tf_model.h5").write_bytes(b"not one")
    row = json.loads(call("models", "show", "rbt3", "--json").stdout)
    assert "not an HDF5 file" in row["found"]["problem"]


def test_a_model_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLPCLI_MODELS", str(Path("none").resolve()))
    result = call("models", "inspect", "none")
    assert (result.exit_code, len(result.stderr.splitlines())) == (6, 1)
    assert call("models", "remove", "tiny").exit_code == 2
    assert call("models", "convert", "./none", "dst").exit_code == 6
    Path("folder").mkdir()
    Path("folder/model.safetensors").write_bytes(b"\xff" * 20)
    result = call("models", "inspect", "folder")
    assert result.exit_code == 5
    assert result.stderr.startswith("nlpcli: error: folder/model.safetensors")
