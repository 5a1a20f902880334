"""Which run a command opens: the one named, the newest finished, the shipped one."""

from pathlib import Path

import pytest

from nlpcli.config.loader import resolve
from nlpcli.engine.run_dir import RunDir, choose_run
from nlpcli.errors import NotFoundError
from nlpcli.samples import shipped_run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished(path: str, recipe: str) -> RunDir:
    run = RunDir.create(Path(path), resolve(recipe))
    run.mark_finished({"score_name": "f1", "score": 0.5})
    return run


def test_a_run_that_is_named(folder: Path) -> None:
    run = RunDir.create(Path("elsewhere/x"), resolve("ner"))
    for named in (run.path, str(run.path), folder / "elsewhere/x"):
        assert choose_run(named, "ner").path.resolve() == folder / "elsewhere/x"
    assert choose_run(run, "ner") is run, "opened once"
    assert choose_run(run, None) is run
    assert choose_run(run.path, None).config.recipe == "ner"


def test_a_run_of_another_recipe_is_refused() -> None:
    run = finished("runs/x", "ner")
    for named in (run, run.path):
        with pytest.raises(NotFoundError) as caught:
            choose_run(named, "couplet")
        assert str(caught.value) == (
            "runs/x: expected a run of couplet, found one of ner"
        )
    with pytest.raises(NotFoundError):
        choose_run("runs/none", "ner")


def test_the_newest_finished_comes_before_the_shipped_one() -> None:
    assert choose_run(None, "couplet").path == shipped_run("couplet")
    RunDir.create(Path("runs/begun"), resolve("couplet"))
    finished("runs/of-ner", "ner")
    assert choose_run(None, "couplet").path == shipped_run("couplet")
    finished("runs/own", "couplet")
    assert choose_run(None, "couplet").path == Path("runs/own")


def test_without_a_run_and_without_a_shipped_one() -> None:
    with pytest.raises(NotFoundError, match="expected a finished run of ner"):
        choose_run(None, "ner")
