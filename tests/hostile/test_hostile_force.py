"""--force replaces its own kind of thing: no thesis, no source, nothing by a link."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from nlpcli.checkpoints.hf_folder import write_hf_folder
from nlpcli.checkpoints.rules import Rule
from nlpcli.config.loader import resolve
from nlpcli.engine.run_dir import RunDir
from nlpcli.errors import NlpcliError, UsageError
from nlpcli.files import swap
from tests.checkpoints.tiny_bert import write_hf
from tests.cli.fake_engine import call
from tests.hostile.planted import PRECIOUS, picture, precious

RULES = [Rule("a", "a.weight")]
CONFIG = {"model_type": "bert"}


def export(folder: Path, value: float = 1.0, **options: Any) -> None:
    """A model folder as `export` and `models convert` write it."""
    values = {"a": np.full(3, value, np.float32)}
    write_hf_folder(folder, values, RULES, CONFIG, **options)


def value_of(folder: Path) -> float:
    return float(load_file(folder / "model.safetensors")["a.weight"][0])


def thesis(folder: Path) -> None:
    precious(folder / "thesis", "chapter-1.md")


def model_and_notes(folder: Path) -> None:
    export(folder)
    precious(folder, "notes.md")


def model_and_folder(folder: Path) -> None:
    export(folder)
    (folder / "data").mkdir()


def model_by_links(folder: Path) -> None:
    export(folder.with_name("real"))
    folder.mkdir()
    for file in folder.with_name("real").iterdir():
        (folder / file.name).symlink_to(file)


def other_config(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text('{"editor": "vim"}')


def config_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))


def a_run(folder: Path) -> None:
    RunDir.create(folder, resolve("ner"))


FOREIGN: tuple[Callable[[Path], None], ...] = (
    *(thesis, model_and_notes, model_and_folder, model_by_links, other_config),
    *(config_alone, a_run),
)


@pytest.mark.parametrize("make", FOREIGN)
def test_a_folder_of_something_else_stays(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    """Protects the thesis that `export ner thesis --force` replaced."""
    make(tmp_path / "mine")
    before = picture(tmp_path)
    for force in (True, False):
        with pytest.raises(UsageError, match="mine: "):
            export(tmp_path / "mine", force=force)
    assert picture(tmp_path) == before


def test_an_export_and_an_empty_folder_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for value in (2.0, 3.0):
        export(tmp_path / "out", value, force=True)
        assert value_of(tmp_path / "out") == value
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_neighbours_of_an_export_stay(tmp_path: Path) -> None:
    """Protects folders that a repair of ours would have taken for its own."""
    for name in (".out.old", ".out.new", ".out.partial"):
        precious(tmp_path / name)
    before = picture(tmp_path)
    export(tmp_path / "out")
    export(tmp_path / "out", 2.0, force=True)
    assert value_of(tmp_path / "out") == 2.0
    shutil.rmtree(tmp_path / "out")
    assert picture(tmp_path) == before


def test_a_link_that_is_named_leads_to_the_export(tmp_path: Path) -> None:
    export(tmp_path / "real")
    (tmp_path / "latest").symlink_to("real")
    export(tmp_path / "latest", 2.0, force=True)
    assert (tmp_path / "latest").is_symlink()
    assert value_of(tmp_path / "real") == 2.0
    thesis(tmp_path / "mine")
    (tmp_path / "link").symlink_to("mine")
    with pytest.raises(UsageError, match="link: holds more than a model"):
        export(tmp_path / "link", force=True)
    (tmp_path / "lost").symlink_to("nowhere")
    with pytest.raises(UsageError, match="lost: a link to what is not there"):
        export(tmp_path / "lost", force=True)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("names_swap", [True, False])
def test_an_export_is_there_at_any_moment(
    names_swap: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the old export from one that is killed, or fails, at the end."""
    export(tmp_path / "out")
    if not names_swap:
        monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "out", 2.0, force=True, check=interrupted)
    assert value_of(tmp_path / "out") == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    export(tmp_path / "out", 2.0, force=True)
    assert value_of(tmp_path / "out") == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def interrupted(folder: Path) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("force", [True, False])
def test_a_folder_that_appeared_meanwhile_stays(force: bool, tmp_path: Path) -> None:
    """Protects what came while the export was written; the export is kept beside."""
    with pytest.raises(UsageError, match=r"out: appeared .* is in .*out-2$"):
        export(tmp_path / "out", force=force, check=lambda _: thesis(tmp_path / "out"))
    assert (tmp_path / "out/thesis/chapter-1.md").read_text() == PRECIOUS
    assert value_of(tmp_path / "out-2") == 1.0
    assert {path.name for path in tmp_path.iterdir()} == {"out", "out-2"}


def test_a_source_is_not_replaced(tmp_path: Path) -> None:
    """Protects the model that is read, also where its files are links elsewhere."""
    home = tmp_path / "models"
    export(home / "one")
    (tmp_path / "linked").mkdir()
    for file in (home / "one").iterdir():
        (tmp_path / "linked" / file.name).symlink_to(file)
    before = picture(tmp_path)
    for source in (home / "one", tmp_path / "linked", home / "one" / "config.json"):
        for target in (home / "one", home, tmp_path):
            with pytest.raises(UsageError, match="which is read from"):
                export(target, force=True, sources=[source])
    assert picture(tmp_path) == before


def test_models_convert_refuses_its_source_and_what_is_not_a_model(
    tmp_path: Path,
) -> None:
    """Protects SRC and the folder around it: `models convert SRC DST --force`."""
    (tmp_path / "models").mkdir()
    write_hf(tmp_path / "models/bert")
    thesis(tmp_path / "mine")
    (tmp_path / "link").symlink_to(tmp_path / "models")
    before = picture(tmp_path)
    for name in ("models/bert", "models", "link", "mine"):
        words = (str(tmp_path / "models/bert"), str(tmp_path / name), "--force")
        result = call("models", "convert", *words)
        assert result.exit_code == 2, result.output
        assert result.stderr.count("\n") == 1
    assert picture(tmp_path) == before


def test_export_refuses_its_run(tmp_path: Path) -> None:
    """Protects runs/, the run and its best/: `export ner runs --force`."""
    run = RunDir.create(tmp_path / "runs/a", resolve("ner"))
    run.save_best(lambda folder: None, {"f1": 0.5})
    run.mark_finished({})
    before = picture(tmp_path)
    for name in ("runs", "runs/a", "runs/a/best"):
        words = (str(tmp_path / name), "--run", str(run.path), "--force")
        result = call("export", "ner", *words)
        assert result.exit_code == 2, result.output
    assert picture(tmp_path) == before


OWN_NAMES = ("config.yaml", "best", "last", "metrics.jsonl", ".best.old", "run.json")


@pytest.mark.parametrize("name", OWN_NAMES)
def test_a_project_is_no_run(name: str, tmp_path: Path) -> None:
    """Protects a project's own config.yaml and best/: `train --out . --force`."""
    if name in ("best", "last", ".best.old"):
        precious(tmp_path / name)
    else:
        precious(tmp_path, name)
    precious(tmp_path, "main.py")
    before = picture(tmp_path)
    for force in (True, False):
        words = ["--force"] if force else []
        result = call("train", "ner", "--out", str(tmp_path), *words)
        assert result.exit_code == 2, result.output
        assert name in result.stderr and result.stderr.count("\n") == 1
    assert picture(tmp_path) == before


@pytest.mark.parametrize(
    "state", ['{"status": "finished"}', "{", "[]", '{"nlpcli": 1}']
)
def test_a_run_json_of_others_is_no_run(state: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(state)
    precious(tmp_path / "best")
    before = picture(tmp_path)
    with pytest.raises(UsageError, match="no run that --force may replace"):
        RunDir.create(tmp_path, resolve("ner"), force=True)
    assert picture(tmp_path) == before


def test_a_run_json_that_is_a_link_is_no_run(tmp_path: Path) -> None:
    """Protects best/ beside a link to somebody's real run."""
    RunDir.create(tmp_path / "real", resolve("ner"))
    precious(tmp_path / "mine/best")
    (tmp_path / "mine/run.json").symlink_to(tmp_path / "real/run.json")
    before = picture(tmp_path)
    with pytest.raises(UsageError, match="no run that --force may replace"):
        RunDir.create(tmp_path / "mine", resolve("ner"), force=True)
    assert picture(tmp_path) == before


def test_a_run_that_is_named_by_a_link(tmp_path: Path) -> None:
    """The folder is the user's own choice; a link to nothing is none."""
    old = RunDir.create(tmp_path / "real", resolve("ner"))
    old.append_metrics({"step": 1})
    precious(tmp_path / "real", "notes.txt")
    (tmp_path / "link").symlink_to("real")
    RunDir.create(tmp_path / "link", resolve("ner"), force=True)
    assert (tmp_path / "link").is_symlink()
    names = {path.name for path in (tmp_path / "real").iterdir()}
    assert names == {".lock", "run.json", "config.yaml", "notes.txt"}
    (tmp_path / "lost").symlink_to("nowhere")
    with pytest.raises(UsageError, match="lost: a link to what is not there"):
        RunDir.create(tmp_path / "lost", resolve("ner"), force=True)


def test_training_does_not_replace_what_it_starts_from(tmp_path: Path) -> None:
    """Protects the old run: `train --model runs/old/best --out runs/old --force`."""
    run = RunDir.create(tmp_path / "old", resolve("ner"))
    run.save_best(lambda folder: write_hf(folder / "model"), {"f1": 0.5})
    data = run.path / "best/train.jsonl"
    data.write_text('{"text": "王", "entities": []}\n' * 9, "utf-8")
    (tmp_path / "link").symlink_to(run.path / "best/model")
    before = picture(tmp_path)
    for words in (
        ("--model", str(run.path / "best/model")),
        ("--model", str(tmp_path / "link")),
        ("--data", str(data)),
        ("--dev", str(data)),
    ):
        result = call("train", "ner", *words, "--out", str(run.path), "--force")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
        assert "would be gone" in result.stderr
    assert picture(tmp_path) == before


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_a_foreseen_name_stays(
    force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects what another has under the name that the work would have had."""
    precious(tmp_path / "taken")
    before = picture(tmp_path)
    monkeypatch.setattr(swap, "beside", lambda path: tmp_path / "taken")
    with pytest.raises(NlpcliError, match="out: cannot write, File exists"):
        export(tmp_path / "out", force=force)
    assert picture(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners of files")
def test_the_link_of_another_user_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects ~/.bashrc from out -> ~/.bashrc in a folder that all may write to."""
    from nlpcli.files.named import write_lines

    file = precious(tmp_path)
    (tmp_path / "out").symlink_to(file)
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 4321)
    if os.getuid() == 0:  # the system's own links are followed
        os.lchown(tmp_path / "out", 1234, 1234)
    with pytest.raises(UsageError, match="out: a link of another user"):
        write_lines(tmp_path / "out", ["mine\n"], force=True)
    assert file.read_text() == PRECIOUS
