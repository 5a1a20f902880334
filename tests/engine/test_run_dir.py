"""A run's folder is whole whenever it is read, whatever happened to its writer."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nlpcli.config import RunConfig
from nlpcli.config.loader import resolve
from nlpcli.engine.run_dir import RunDir, default_out, list_runs, newest_finished
from nlpcli.engine.run_files import METRICS
from nlpcli.errors import DataError, NlpcliError, NotFoundError, UsageError
from nlpcli.files.atomic import write_atomic

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return resolve("ner", sets=["train.lr=1e-5", "data.train=语料.jsonl"])


@pytest.fixture
def run(tmp_path: Path, config: RunConfig) -> RunDir:
    return RunDir.create(tmp_path / "run", config)


def content(text: str) -> Callable[[Path], None]:
    """A checkpoint of two files and a folder that all say the same."""

    def write(folder: Path) -> None:
        (folder / "vocab").mkdir()
        for name in ("model", "state", "vocab/words"):
            (folder / name).write_text(text)

    return write


def said(folder: Path) -> str:
    """What a checkpoint says; it must be complete and of one mind."""
    words = {(folder / n).read_text() for n in ("model", "state", "vocab/words")}
    (word,) = words
    return word


def names(run: RunDir) -> set[str]:
    return {path.name for path in run.path.iterdir()}


def test_a_run_is_read_back(run: RunDir, config: RunConfig) -> None:
    opened = RunDir.open(run.path)
    assert opened.config == config
    assert opened.path == run.path
    assert not opened.finished
    assert opened.read_metrics() == []
    assert opened.read_scores() == {}
    run.mark_finished({"score_name": "f1", "score": 0.5, "seconds": 3.0, "steps": 9})
    assert opened.finished
    assert opened.state["model"] == "tiny"


def test_names_that_are_no_utf8_are_kept(tmp_path: Path) -> None:
    name = os.fsdecode("模型".encode("gbk"))
    flags = {"backbone.model": name, "data.train": f"{name}/语料.jsonl"}
    run = RunDir.create(tmp_path / name, resolve("ner", flags=flags))
    opened = RunDir.open(tmp_path / name)
    assert opened.config == run.config
    assert opened.state["model"] == name
    assert [found.model for found in list_runs(tmp_path)] == [name]


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"found no run\.json"):
        RunDir.open(tmp_path)
    with pytest.raises(NotFoundError):
        RunDir.open(tmp_path / "absent")


def test_a_used_folder_is_refused(run: RunDir, config: RunConfig) -> None:
    run.save_best(content("old"), {"f1": 0.5})
    run.append_metrics({"step": 1})
    (run.path / "notes.txt").write_text("mine")
    (run.path / "tensorboard").mkdir()
    with pytest.raises(UsageError, match=r"--force .*--resume"):
        RunDir.create(run.path, config)
    assert said(run.folder("best")) == "old"
    again = RunDir.create(run.path, config, force=True)
    assert names(again) == {".lock", "run.json", "config.yaml", "notes.txt"}


def test_a_folder_with_other_files(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "best").mkdir()
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="expected a new or empty folder, found best"):
        RunDir.create(tmp_path, config)
    (tmp_path / "best").rmdir()
    with pytest.raises(UsageError, match=r"found thesis\.txt; give --force to use it"):
        RunDir.create(tmp_path, config)
    RunDir.create(tmp_path, config, force=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="got a file"):
        RunDir.create(tmp_path / "thesis.txt", config, force=True)


def test_save_replaces_as_a_whole(run: RunDir) -> None:
    with pytest.raises(NotFoundError, match="last: expected a checkpoint, found none"):
        run.folder("last")
    for word in ("one", "two", "three"):
        run.save("last", content(word))
        assert said(run.folder("last")) == word
    assert run.folder("last") == run.path / "last"
    assert names(run) == {".lock", "run.json", "config.yaml", "last"}


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_one(run: RunDir, error: BaseException) -> None:
    run.save("last", content("old"))

    def fail(folder: Path) -> None:
        (folder / "model").write_text("half")
        raise error

    with pytest.raises(type(error)):
        run.save("last", fail)
    assert said(run.folder("last")) == "old"
    assert names(run) == {".lock", "run.json", "config.yaml", "last"}


def test_a_full_disk_leaves_the_old_one(run: RunDir) -> None:
    run.save("last", content("old"))
    code = (
        "import resource, sys; import numpy as np\n"
        "from nlpcli.engine.run_dir import RunDir\n"
        "from safetensors.numpy import save_file\n"
        "run = RunDir.open(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "array = {'a': np.zeros(5000, np.float32)}\n"
        "writers = {'rust': lambda f: save_file(array, f / 'model'),\n"
        "  'python': lambda f: (f / 'model').write_text('x' * 5000)}\n"
        "for write in writers.values():\n"
        "    try: run.save('last', write)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
        "run.append_metrics({'step': 1})\n"
        "try: run.append_metrics({'step': 2, 'text': 'x' * 2000})\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "run.append_metrics({'step': 3})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout + done.stderr
    for line, name in zip(lines, ["last", "last", "metrics.jsonl"], strict=True):
        assert line.startswith(
            f"NlpcliError {run.path / name}: cannot write, no space left"
        )
    assert said(run.folder("last")) == "old"
    assert [row["step"] for row in run.read_metrics()] == [1, 3]
    assert not [name for name in names(run) if name.startswith(".last")]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"last": "old", ".last.partial": None}, "old"),  # writing
        ({".last.partial": None}, None),  # writing the first one
        ({"last": "old", ".last.new": "new"}, "new"),  # written, not in place
        ({".last.new": "new"}, "new"),  # the first one, not in place
        ({".last.old": "old", ".last.new": "new"}, "new"),  # between the renames
        ({"last": "new", ".last.old": "old"}, "new"),  # in place
        ({"last": "new", ".last.old": None}, "new"),  # removing the old one
        ({".last.old": "old"}, "old"),  # a disk that reordered
        ({".last.old": "old", ".last.partial": None}, "old"),
        ({"last": "old", ".last.new": "new", ".last.old": "older"}, "new"),
    ],
)
def test_every_state_of_a_swap_is_mended(
    run: RunDir, state: dict[str, str | None], expected: str | None
) -> None:
    for name, word in state.items():
        folder = run.path / name
        folder.mkdir()
        if word is None:
            (folder / "model").write_text("half")
        else:
            content(word)(folder)
    there = names(run)
    if expected is None:
        with pytest.raises(NotFoundError):
            RunDir.open(run.path).folder("last")
    else:  # a reader does not mend
        assert said(RunDir.open(run.path).folder("last")) in (
            expected,
            state.get("last"),
        )
    assert names(run) == there
    with run.lock():
        if expected is not None:
            assert run.folder("last") == run.path / "last"
            assert said(run.folder("last")) == expected
    assert not [name for name in names(run) if name.startswith(".last")]
    run.save("last", content("next"))
    assert said(run.folder("last")) == "next"


SAVER = """
import sys
from pathlib import Path
from nlpcli.engine.run_dir import RunDir

run = RunDir.open(sys.argv[1])
with run.lock():
    print("ready", flush=True)
    for number in range(100000):
        def write(folder):
            (folder / "vocab").mkdir()
            for name in ("model", "state", "vocab/words"):
                (folder / name).write_text(f"{number}")
        run.save("last", write)
        run.append_metrics({"step": number})
"""


def test_kill_9_at_any_moment(run: RunDir) -> None:
    run.save("last", content("first"))
    dice = random.Random(7)
    touched = 0
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(run.path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(dice.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        touched += any(name.startswith(".last") for name in names(run))
        opened = RunDir.open(run.path)
        said(opened.folder("last"))
        with opened.lock():
            assert opened.folder("last") == run.path / "last"
            said(opened.folder("last"))
            assert names(run) <= {".lock", "run.json", "config.yaml", "last", METRICS}
        opened.read_metrics()
        opened.append_metrics({"step": -1})
        assert opened.read_metrics()[-1] == {"step": -1}
        assert list_runs(run.path.parent)[0].status == "interrupted"
        assert opened.state["status"] == "interrupted"
    assert touched, "no kill fell into a swap; the test shows nothing"


def test_a_reader_beside_a_trainer(run: RunDir) -> None:
    run.save("last", content("0"))
    process = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(run.path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        assert list_runs(run.path.parent)[0].status == "running"
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            opened = RunDir.open(run.path)
            opened.folder("last")
            opened.read_metrics()
        assert process.poll() is None, "the reader broke the trainer"
        with pytest.raises(UsageError, match=f"in use by process {process.pid}"):
            RunDir.create(run.path, run.config, force=True)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with run.lock():
        pass


def test_only_one_process_trains_into_a_run(run: RunDir) -> None:
    (run.path / ".lock").write_text("999999999")  # left by a process that is dead
    with run.lock():
        assert (run.path / ".lock").read_text() == str(os.getpid())
        with pytest.raises(UsageError, match="in use by process"), run.lock():
            pass
    with run.lock():
        pass


def test_an_error_inside_the_lock_stays_what_it_is(run: RunDir) -> None:
    with pytest.raises(ConnectionError, match="mine"), run.lock():
        raise ConnectionError(104, "mine")


def test_metrics(run: RunDir) -> None:
    run.append_metrics({"step": 1, "loss": np.float32(0.5), "dev": {"f1": None}})
    run.append_metrics({"step": 2, "loss": math.nan, "grad_norm": np.inf})
    run.append_metrics({"step": 3, "名": "王"})
    assert run.read_metrics() == [
        {"step": 1, "loss": 0.5, "dev": {"f1": None}},
        {"step": 2, "loss": None, "grad_norm": None},
        {"step": 3, "名": "王"},
    ]
    path = run.path / "metrics.jsonl"
    whole = path.read_bytes()
    with path.open("ab") as stream:
        stream.write(b'{"step": 4, "lo')
    assert [row["step"] for row in run.read_metrics()] == [1, 2, 3]
    run.append_metrics({"step": 5})
    assert path.read_bytes() == whole + b'{"step": 5}\n'
    run.trim_metrics(2)
    assert [row["step"] for row in run.read_metrics()] == [1, 2]
    path.write_bytes(b'{"step": 1}\nbroken\n{"step": 2}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl:2: expected a JSON object"):
        run.read_metrics()


def test_a_torn_only_line(run: RunDir) -> None:
    path = run.path / "metrics.jsonl"
    path.write_bytes(b'{"step"')
    assert run.read_metrics() == []
    run.append_metrics({"step": 1})
    assert run.read_metrics() == [{"step": 1}]


def test_scores_and_environment(run: RunDir) -> None:
    scores = {"f1": np.float64(0.25), "precision": None, "per_label": {}}
    run.save_best(content("new"), scores)
    assert run.read_scores() == {"f1": 0.25, "precision": None, "per_label": {}}
    run.write_environment({"seed": 42, "precision": "bfloat16", "versions": {"x": "1"}})
    found = json.loads((run.path / "environment.json").read_text("utf-8"))
    assert found["seed"] == 42
    assert found["precision"] == "bfloat16"
    assert found["cpus"] == os.cpu_count()
    assert {"nlpcli", "python", "tensorflow", "keras", "numpy", "x"} <= set(
        found["versions"]
    )
    assert found["versions"]["numpy"] == np.__version__


def test_the_list_of_runs(tmp_path: Path, config: RunConfig) -> None:
    assert list_runs(tmp_path / "absent") == []
    with pytest.raises(NotFoundError, match="expected a finished run of ner"):
        newest_finished("ner", root=tmp_path)
    first = RunDir.create(tmp_path / "first", config)
    time.sleep(0.002)
    second = RunDir.create(tmp_path / "second", config)
    time.sleep(0.002)
    third = RunDir.create(tmp_path / "third", config)
    second.mark_finished({"score_name": "f1", "score": 0.5, "seconds": 2.0, "steps": 7})
    time.sleep(0.002)
    first.mark_finished({"score_name": "f1", "score": 0.75})
    third.mark("failed", {})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    (tmp_path / "other").mkdir()
    found = list_runs(tmp_path)
    assert [run.path.name for run in found] == ["third", "second", "first"]
    assert [run.status for run in found] == ["failed", "finished", "finished"]
    assert (found[1].score_name, found[1].score, found[1].seconds) == ("f1", 0.5, 2.0)
    assert (found[1].recipe, found[1].model, found[1].steps) == ("ner", "tiny", 7)
    assert newest_finished("ner", root=tmp_path).path == first.path
    assert newest_finished(root=tmp_path).path == first.path
    with pytest.raises(NotFoundError):
        newest_finished("other", root=tmp_path)
    shutil.rmtree(first.path)
    assert newest_finished("ner", root=tmp_path).path == second.path


def test_default_out_is_free(tmp_path: Path) -> None:
    seen = set()
    for _ in range(3):
        path = default_out("ner", tmp_path)
        assert not path.exists()
        path.mkdir()
        seen.add(path)
        assert path.name.startswith("ner-20")
    assert len(seen) == 3


def test_a_folder_that_cannot_be_made(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NlpcliError, match="cannot write, Not a directory"):
        RunDir.create(tmp_path / "file" / "run", config)


def test_the_engine_room_of_runs_starts_without_keras() -> None:
    code = (
        "import sys; from nlpcli.engine.run_dir import list_runs; list_runs();"
        "print(sorted({'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_scores_are_always_those_of_the_best_weights(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two writes: the copy is old, and mended by the next writer."""
    run.save_best(content("old"), {"step": 10, "f1": 0.5})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("nlpcli.engine.run_dir.write_atomic", writes_but(1, killed))
        with pytest.raises(KeyboardInterrupt):
            run.save_best(content("new"), {"step": 20, "f1": 0.75})
    copy = run.path / "scores.json"
    assert said(run.folder("best")) == "new"
    assert json.loads(copy.read_text())["step"] == 10
    assert run.read_scores() == {"step": 20, "f1": 0.75}
    assert RunDir.open(run.path).read_scores() == {"step": 20, "f1": 0.75}
    assert json.loads(copy.read_text())["step"] == 10
    with run.lock():
        pass
    assert json.loads(copy.read_text()) == {"step": 20, "f1": 0.75}
    with monkeypatch.context() as patch:
        patch.setattr("nlpcli.engine.run_dir.write_atomic", writes_but(0, killed))
        with pytest.raises(KeyboardInterrupt):
            run.save_best(content("newer"), {"step": 30, "f1": 0.9})
    assert said(run.folder("best")) == "new"
    assert RunDir.open(run.path).read_scores()["step"] == 20


def writes_but(number: int, stop: Callable[..., None]) -> Callable[..., None]:
    """write_atomic that does its first ``number`` writes and stops at the next."""
    done: list[Path] = []

    def write(path: Path, text: str) -> None:
        if len(done) == number:
            stop()
        done.append(path)
        write_atomic(path, text)

    return write


def test_a_run_of_before_has_its_scores_beside_best(run: RunDir) -> None:
    run.save("best", content("old"))
    write_atomic(run.path / "scores.json", '{"f1": 0.5}')
    assert RunDir.open(run.path).read_scores() == {"f1": 0.5}
