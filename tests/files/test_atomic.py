"""Files appear whole or not at all, also when the disk is full."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nlpcli.errors import NlpcliError, NotFoundError, UsageError
from nlpcli.files.atomic import explained, write_atomic
from nlpcli.files.named import write_lines

ROOT = Path(__file__).resolve().parents[2]


def test_text_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "你好\n")
    assert path.read_bytes() == "你好\n".encode()
    write_atomic(str(path), b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NlpcliError, match=r"a\.txt: cannot write, no space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_real_limit_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import resource, sys; from nlpcli.files.atomic import write_atomic\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomic(sys.argv[1], 'x' * 5000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert f"NlpcliError: {path}: cannot write, no space left" in done.stderr
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.txt", "x")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no folder .*absent"):
        write_atomic(tmp_path / "absent" / "a.txt", "x")
    with pytest.raises(UsageError, match=f"{tmp_path}: cannot write, Is a directory"):
        write_atomic(tmp_path, "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write, Not a directory"):
        write_atomic(tmp_path / "file" / "a.txt", "x")


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EACCES, 2), (errno.EROFS, 2), (errno.ENAMETOOLONG, 2), (errno.EIO, 1)],
)
def test_a_place_that_cannot_be_written_is_wrong_usage(number: int, code: int) -> None:
    with pytest.raises(NlpcliError, match="x: cannot write, ") as told, explained("x"):
        raise OSError(number, os.strerror(number))
    assert told.value.exit_code == code


def test_a_link_that_a_person_names_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_lines(tmp_path / "link.txt", ["new"], force=True)
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_device_is_never_replaced() -> None:
    write_atomic("/dev/null", "x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_long_name_still_fits(tmp_path: Path) -> None:
    path = tmp_path / ("名" * 80)  # 240 bytes; names end at 255
    write_atomic(path, "x")
    assert list(tmp_path.iterdir()) == [path]


def test_errors_of_rust_libraries_are_told_the_same_way(tmp_path: Path) -> None:
    full = RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(NlpcliError, match="x: cannot write, no space"), explained("x"):
        raise full
    with pytest.raises(RuntimeError, match="a bug"), explained("x"):
        raise RuntimeError("a bug")
