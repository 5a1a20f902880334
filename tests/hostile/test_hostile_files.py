"""Files beside ours: names nobody foresees, modes kept, nothing replaced unasked."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlpcli.cli.output import open_output
from nlpcli.errors import UsageError
from nlpcli.files import atomic
from nlpcli.files.atomic import write_atomic
from nlpcli.files.named import named_file, refuse_existing, write_lines
from nlpcli.files.npy import open_npy
from nlpcli.files.programs import keep_programs
from tests.cli.fake_engine import Engine, call
from tests.hostile.planted import PRECIOUS, picture, precious

ROOT = Path(__file__).resolve().parents[2]


def text(path: Path, force: bool = True) -> None:
    with open_output(path, force) as out:
        out.write("答案")


def lines(path: Path, force: bool = True) -> None:
    write_lines(path, ["答案\n"], force)


def matrix(path: Path, force: bool = True) -> None:
    with open_npy(path, 2, force) as rows:
        rows.write(np.ones((1, 2), np.float32))


def inner(path: Path, force: bool = True) -> None:
    write_atomic(path, "答案\n")


WRITERS = (text, lines, matrix, inner)
Writer = Callable[..., None]


@pytest.mark.parametrize("write", WRITERS)
def test_a_planted_name_is_not_written_through(write: Writer, tmp_path: Path) -> None:
    """Protects what .out.PID.partial -> ... led to: that name could be foreseen."""
    file = precious(tmp_path / "home")
    for name in (f".out.{os.getpid()}.partial", ".out.partial", "out.tmp"):
        (tmp_path / name).symlink_to(file)
    before = picture(tmp_path / "home")
    write(tmp_path / "out")
    assert (tmp_path / "out").is_file()
    assert picture(tmp_path / "home") == before
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("kind", ["link", "file"])
def test_even_a_foreseen_name_is_not_used(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects from a name that is taken in the last moment."""
    file = precious(tmp_path)
    taken = tmp_path / "taken"
    if kind == "link":
        taken.symlink_to(tmp_path / "absent")
    else:
        taken.hardlink_to(file)
    monkeypatch.setattr(atomic, "beside", lambda path: taken)
    for write in (text, lines, inner):
        with pytest.raises(Exception, match="out: cannot write, File exists"):
            write(tmp_path / "out")
    assert os.path.lexists(taken)
    assert file.read_text() == PRECIOUS
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_the_mode_of_the_file_replaced_is_kept(
    write: Writer, mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects a file that only its owner may read, also while it is written."""
    path = precious(tmp_path)
    path.chmod(mode)
    seen = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert seen[0] == mode


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "name",
    ["名" * 80, "名" * 85, "a" * 255, os.fsdecode("名".encode("gbk") * 120)],
    ids=["80", "85", "255 of one byte", "no UTF-8"],
)
def test_a_long_name_is_counted_in_bytes(
    write: Writer, name: str, tmp_path: Path
) -> None:
    """Protects from a failure at the end: 80 characters of Chinese are 240 bytes."""
    write(tmp_path / name)
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - as the system spells it


@pytest.mark.parametrize("write", [text, lines, matrix])
@pytest.mark.parametrize("links", [True, False])
def test_what_appeared_meanwhile_stays(
    write: Writer, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects a file that came while the work went on, and the work."""
    path = tmp_path / "out.jsonl"
    precious(tmp_path, "out-2.jsonl")
    appears(monkeypatch, path, links)
    with pytest.raises(UsageError, match=r"out\.jsonl: appeared .*out-3\.jsonl$"):
        write(path, force=False)
    assert path.read_text() == (tmp_path / "out-2.jsonl").read_text() == PRECIOUS
    assert (tmp_path / "out-3.jsonl").stat().st_size > 0
    assert len(list(tmp_path.iterdir())) == 3


def appears(monkeypatch: pytest.MonkeyPatch, path: Path, links: bool = True) -> None:
    """Have another's file of that name come when ours is all written."""
    real = os.fsync

    def late(descriptor: int) -> None:
        real(descriptor)
        if not path.exists():
            precious(path.parent, path.name)

    monkeypatch.setattr(os, "fsync", late)
    if not links:

        def cannot(*_: object) -> None:
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", cannot)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("links", [True, False])
def test_where_nothing_appears_the_name_is_taken(
    write: Writer, links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1)))
    write(tmp_path / "out", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").stat().st_nlink == 1


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    from tests.cli.fake_engine import installed

    yield from installed(monkeypatch, tmp_path)


def test_predict_keeps_its_answers_beside(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects as above, through the command: exit code 2, and the name is told."""
    appears(monkeypatch, Path("o"))
    result = call("predict", "ner", "--output", "o", "北京")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.rstrip().endswith("o-2")
    assert Path("o").read_text() == PRECIOUS
    assert "北京" in Path("o-2").read_text()


def test_answers_do_not_replace_their_questions(engine: Engine) -> None:
    """Protects the input: `predict ner --input a --output a --force`."""
    Path("a").write_text("北京\n")
    Path("b").symlink_to("a")
    Path("c").hardlink_to("a")
    for name in ("a", "b", "c"):
        words = ("--input", "a", "--output", name, "--force")
        result = call("predict", "ner", *words)
        assert result.exit_code == 2, result.output
        result = call(
            "evaluate", "ner", "--data", "a", "--predictions", name, "--force"
        )
        assert result.exit_code == 2, result.output
    assert Path("a").read_text() == "北京\n"
    assert engine.calls == []


def test_a_link_to_nothing_is_not_written_through(tmp_path: Path) -> None:
    """Protects ~/.not-there-yet from out -> ~/.not-there-yet in a shared folder."""
    (tmp_path / "out").symlink_to(tmp_path / "absent")
    for force in (True, False):
        with pytest.raises(UsageError, match="out: a link to what is not there"):
            refuse_existing(tmp_path / "out", force)
        with pytest.raises(UsageError), named_file(tmp_path / "out", force):
            pass
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UsageError, match=r"not there|without end"):
        refuse_existing(tmp_path / "a", True)
    assert not (tmp_path / "absent").exists()


def test_an_inner_file_replaces_a_link_and_follows_none(tmp_path: Path) -> None:
    """Protects what a link in one of our own folders leads to."""
    file = precious(tmp_path)
    (tmp_path / "state.json").symlink_to(file)
    write_atomic(tmp_path / "state.json", "{}")
    assert file.read_text() == PRECIOUS
    assert not (tmp_path / "state.json").is_symlink()


def test_an_inner_file_does_not_wait_at_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.json")
    with pytest.raises(Exception, match="cannot write, No such device"):
        write_atomic(tmp_path / "state.json", "{}")


WRITE = """
import sys
from pathlib import Path
from nlpcli.files.named import refuse_existing, write_lines
refuse_existing(Path(sys.argv[1]), False)
write_lines(sys.argv[1], ["答案\\n"])
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_the_output_of_the_process_is_added_to(name: str, tmp_path: Path) -> None:
    """Protects the log that stdout was appended to, which was emptied."""
    line = [sys.executable, "-c", WRITE, name]
    where: dict[str, Any] = {"cwd": ROOT, "timeout": 60, "check": True}
    log = precious(tmp_path)
    with log.open("a") as stream:
        subprocess.run(line, stdout=stream, **where)
    assert log.read_text() == PRECIOUS + "答案\n"
    assert subprocess.run(line, stdout=subprocess.PIPE, **where).stdout.decode() == (
        "答案\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == [log.name]


@pytest.mark.parametrize(
    ("where", "mode"),
    [
        ("", 0o777), ("nlpcli", 0o770), ("nlpcli/programs", 0o702), ("PROGRAMS", 0o720),
        ("PROGRAMS", 0o1777),
    ],
)  # fmt: skip
def test_programs_that_others_can_change_are_not_run(
    where: str,
    mode: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Protects from compiled programs that another user put into the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    first = keep_programs()
    assert first is not None
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    folder = first if where == "PROGRAMS" else tmp_path / "cache" / where
    folder.chmod(mode)
    caplog.set_level(logging.DEBUG, "nlpcli")
    assert keep_programs() is None
    assert os.environ["TF_XLA_FLAGS"] == ""
    assert f"others can write in {folder}" in caplog.text
    folder.chmod(0o700)
    assert keep_programs() == first


def test_programs_of_another_user_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    folder = keep_programs()
    assert folder is not None
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    monkeypatch.setattr("nlpcli.files.owners.is_trusted", lambda _: False)
    assert keep_programs() is None


def test_folders_of_the_cache_are_private_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    old = os.umask(0)
    try:
        folder = keep_programs()
    finally:
        os.umask(old)
    assert folder is not None
    for path in (folder, *folder.parents):
        if path == tmp_path:
            break
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_sticky_folder_may_stand_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /tmp does: nobody renames what is another's there."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared/mine"))
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    assert keep_programs() is not None
