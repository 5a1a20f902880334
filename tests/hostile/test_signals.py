"""SIGTERM, as schedulers send it, and SIGHUP, as a terminal does that is closed: what
was begun goes, what was learnt stays."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
import types
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.test_cli_process import FAKE, environment, start_predict
from tests.hostile.planted import precious


@pytest.fixture(autouse=True)
def _signals_as_a_shell_leaves_them() -> Iterator[None]:
    """A process that is started from here inherits what is ignored here."""
    sent = (signal.SIGTERM, signal.SIGHUP)
    known = [signal.signal(number, signal.SIG_DFL) for number in sent]
    yield
    for number, handler in zip(sent, known, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("there", [True, False])
def test_an_unfinished_output_goes(
    sent: signal.Signals, there: bool, tmp_path: Path
) -> None:
    """Protects the folder from .out.*.partial for ever, and the old file."""
    old = precious(tmp_path, "out") if there else tmp_path / "out"
    process = start_predict("--output", "out", "--force", cwd=tmp_path)
    assert process.stdin and process.stderr
    process.stdin.write(b"one\n" * 1000)
    process.stdin.flush()
    while not list(tmp_path.glob(".out.*.partial")):
        assert process.poll() is None
    process.send_signal(sent)
    assert process.wait(timeout=60) == 128 + sent
    assert process.stderr.read() == b""
    assert list(tmp_path.iterdir()) == ([old] if there else [])


SLOW = FAKE.replace(
    "def predict(texts):",
    """
import time

def predict(texts):
    try:
        print("at work", flush=True)
        time.sleep(60)
    finally:
        print("cleaning up", flush=True)
        time.sleep(SECONDS)
        print("clean", flush=True)
""",
)


def start(tmp_path: Path, seconds: float) -> subprocess.Popen[bytes]:
    code = SLOW.replace("SECONDS", str(seconds))
    return subprocess.Popen(
        [sys.executable, "-c", code, "predict", "ner", "北京"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(("seconds", "code"), [(60, -signal.SIGTERM), (0, 143)])
def test_the_second_leaves_at_once(seconds: float, code: int, tmp_path: Path) -> None:
    """Protects from a process that no scheduler gets rid of."""
    process = start(tmp_path, seconds)
    assert process.stdout
    assert process.stdout.readline() == b"at work\n"
    process.terminate()
    assert process.stdout.readline() == b"cleaning up\n"
    if seconds:
        process.terminate()
    assert process.wait(timeout=30) == code


@pytest.mark.parametrize(
    "together",
    [
        (signal.SIGHUP, signal.SIGHUP),  # the system and the shell
        (signal.SIGTERM, signal.SIGHUP),  # a session that systemd ends
        (signal.SIGHUP, signal.SIGTERM),
    ],
)
def test_a_hangup_is_never_the_second(
    together: tuple[signal.Signals, signal.Signals], tmp_path: Path
) -> None:
    """Protects what is cleaned up from the signals that come along with a hangup."""
    process = start(tmp_path, seconds=0.5)
    assert process.stdout
    assert process.stdout.readline() == b"at work\n"
    process.send_signal(together[0])
    assert process.stdout.readline() == b"cleaning up\n"
    process.send_signal(together[1])
    assert process.stdout.readline() == b"clean\n"
    assert process.wait(timeout=30) == 128 + together[0]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_ignored_stays_ignored(sent: signal.Signals, tmp_path: Path) -> None:
    """Protects a choice of the caller: trap '' TERM, nohup."""
    signal.signal(sent, signal.SIG_IGN)
    process = start_predict(cwd=tmp_path)
    assert process.stdin and process.stdout
    for _ in range(2):
        process.stdin.write("北京\n".encode())
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(sent)
    process.stdin.close()
    assert process.wait(timeout=60) == 0


def on_a_terminal(words: list[str], cwd: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A process whose terminal is its own, and the end that closes it."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd,
        env=environment(TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    return process, ours


def test_a_terminal_that_is_closed(tmp_path: Path) -> None:
    """Protects the folder, and the exit code from what can no longer be printed."""
    lines = tmp_path / "lines"
    os.mkfifo(lines)
    code = FAKE.replace(
        "def predict(texts):", "def predict(texts):\n    print('held', end='')"
    )
    words = ["predict", "ner", "--input", "lines", "--output", "out"]
    process, terminal = on_a_terminal(["-c", code, *words], tmp_path)
    with lines.open("wb", buffering=0) as stream:
        stream.write("北京\n".encode())
        while not list(tmp_path.glob(".out.*.partial")):
            assert process.poll() is None
        os.close(terminal)
        assert process.wait(timeout=60) == 129
    assert list(tmp_path.iterdir()) == [lines]


@pytest.mark.slow
@pytest.mark.parametrize("deaf", [False, True])
def test_training_on_a_terminal_that_is_closed(deaf: bool, tmp_path: Path) -> None:
    """Protects the last step, and under nohup the rest, from a bar without a screen."""
    if deaf:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    words = ["-m", "nlpcli", "train", "ner", "--out", "run", "--batch-size", "4"]
    words += ["--set", "data.limit=60", "--set", "train.save_every=2", "--max-steps"]
    process, terminal = on_a_terminal([*words, "80" if deaf else "100000"], tmp_path)
    reader = threading.Thread(target=read_all, args=(terminal,), daemon=True)
    reader.start()
    while not (tmp_path / "run/last/state.json").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.close(terminal)
    code = process.wait(timeout=120)
    state = json.loads((tmp_path / "run/run.json").read_text())
    last = json.loads((tmp_path / "run/last/state.json").read_text())
    assert state["status"] == ("finished" if deaf else "interrupted")
    assert state["steps"] == last["step"]
    assert deaf or code == 129


def read_all(terminal: int) -> None:
    with suppress(OSError):
        while os.read(terminal, 4096):
            pass


@pytest.mark.parametrize("hangups", [0, 1, 2])
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_training_takes_all_alike(
    first: signal.Signals, second: signal.Signals, hangups: int
) -> None:
    """Protects the last step: it is finished and saved; the second one leaves."""
    from nlpcli.engine.loop import Loop

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    loop = types.SimpleNamespace(stop=threading.Event(), stopped_by=signal.SIGINT)
    left = SystemExit if second == signal.SIGTERM else KeyboardInterrupt
    with pytest.raises(left) as caught, Loop._graceful_interrupt(loop):  # type: ignore[arg-type]
        for _ in range(hangups):
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), first)
        assert loop.stop.is_set()
        assert loop.stopped_by == (signal.SIGHUP if hangups else first)
        os.kill(os.getpid(), second)
    if second == signal.SIGTERM:
        assert caught.value.code == 143  # type: ignore[attr-defined]
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_training_that_was_terminated_exits_with_the_signal(
    sent: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.cli.fake_engine import call, installed

    for engine in installed(monkeypatch, tmp_path):
        engine.status, engine.stopped_by = "interrupted", sent
        assert call("train", "ner").exit_code == 128 + sent
