"""A folder's lock is held by one, told of, and never somebody else's file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nlpcli.errors import NlpcliError, UsageError
from nlpcli.files.lock import LOCK, exclusive, is_held

ROOT = Path(__file__).resolve().parents[2]
PRECIOUS = "别人的文件\n"


def take(folder: Path) -> None:
    with exclusive(folder, patience=0):
        pass


def test_one_at_a_time_and_again(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    for _ in range(2):
        with exclusive(tmp_path):
            assert is_held(tmp_path)
            assert (tmp_path / LOCK).read_text() == str(os.getpid())
            with pytest.raises(UsageError, match=f"in use by process {os.getpid()}$"):
                take(tmp_path)
            assert is_held(tmp_path)
        assert not is_held(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_longer_number_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("12345678901234567890")
    with exclusive(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())


def test_patience(tmp_path: Path) -> None:
    started = time.monotonic()
    with (
        exclusive(tmp_path),
        pytest.raises(UsageError),
        exclusive(tmp_path, patience=0.3),
    ):
        pass
    assert time.monotonic() - started >= 0.3


def test_released_however_the_process_ends(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from nlpcli.files.lock import exclusive\n"
        "with exclusive(Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    line = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert is_held(tmp_path)
        with pytest.raises(UsageError, match=f"in use by process {holder.pid}$"):
            take(tmp_path)
        holder.send_signal(signal.SIGKILL)
    assert not is_held(tmp_path)
    take(tmp_path)


def test_a_child_that_was_forked_meanwhile_does_not_keep_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with exclusive(tmp_path):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    try:
        assert not is_held(tmp_path)
        take(tmp_path)
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


def test_who_may_only_read_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    with exclusive(tmp_path):
        (tmp_path / LOCK).chmod(0o444)
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_replaced_file_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened the old file and gets its lock holds nothing."""
    import filelock

    path, real, turns = tmp_path / LOCK, filelock.lock_descriptor, []

    def replaced(descriptor: int, **options: bool) -> bool:
        if not turns:
            path.unlink()
            path.write_text("")
        turns.append(descriptor)
        return real(descriptor, **options)

    monkeypatch.setattr(filelock, "lock_descriptor", replaced)
    with exclusive(tmp_path):
        assert len(turns) == 2
        assert path.read_text() == str(os.getpid())


def link(path: Path) -> None:
    path.with_name("precious").write_text(PRECIOUS)
    path.symlink_to("precious")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (link, "a link"),
        (dangling, "a link"),
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a pipe"),
        (listening, "a socket"),
    ],
)
def test_what_is_no_plain_file(
    make: Callable[[Path], None],
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    make(Path(LOCK))
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(NlpcliError, match=rf"\.lock: expected a plain .*, got {kind}$"):
        take(tmp_path)
    assert not is_held(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == before
    if make is link:
        assert (tmp_path / "precious").read_text() == PRECIOUS


def test_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nlpcli.files.lock.LOCK", "null")
    with pytest.raises(NlpcliError, match=r"null: expected a plain file .*a device"):
        take(Path("/dev"))


@pytest.mark.parametrize("swapped", [link, os.mkfifo])
def test_what_takes_the_name_while_it_is_opened(
    swapped: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / LOCK, os.open

    def late(name: Path, *rest: int) -> int:
        if not path.exists():
            swapped(path)
        return real(name, *rest)

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(NlpcliError, match=r"\.lock: "):
        take(tmp_path)
    if swapped is link:
        assert (tmp_path / "precious").read_text() == PRECIOUS


@pytest.mark.parametrize("content", [PRECIOUS, "7" * 100, "12 34"])
def test_a_file_of_something_else_stays(content: str, tmp_path: Path) -> None:
    """It may be a name that a hard link gave to a file somewhere else."""
    (tmp_path / "precious").write_text(content)
    (tmp_path / LOCK).hardlink_to(tmp_path / "precious")
    with pytest.raises(NlpcliError, match=r"\.lock: expected a lock of nlpcli"):
        take(tmp_path)
    assert (tmp_path / "precious").read_text() == content
    assert not is_held(tmp_path)


@pytest.mark.parametrize("content", [b"", b"123", b"\0\0\0"])
def test_what_an_earlier_process_left(content: bytes, tmp_path: Path) -> None:
    (tmp_path / LOCK).write_bytes(content)
    take(tmp_path)
    assert (tmp_path / LOCK).read_text() == str(os.getpid())


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(NlpcliError, match="there is no folder"):
        take(tmp_path / "absent")
    assert not is_held(tmp_path / "absent")


def test_it_imports_where_there_is_no_fcntl() -> None:
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "import nlpcli.files.lock; print('filelock' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
