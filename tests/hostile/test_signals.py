"""SIGTERM, as schedulers send it: what was begun goes, what was learnt stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cli_process import FAKE, environment, start_predict
from tests.hostile.planted import precious


@pytest.fixture(autouse=True)
def _signals_as_a_shell_leaves_them() -> Iterator[None]:
    """A process that is started from here inherits what is ignored here."""
    known = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, known)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
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


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """Protects a choice of the caller: trap '' TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    process = start_predict(cwd=tmp_path)
    assert process.stdin and process.stdout
    for _ in range(2):
        process.stdin.write("北京\n".encode())
        process.stdin.flush()
        assert process.stdout.readline()
        process.terminate()
    process.stdin.close()
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_training_takes_both_alike(
    first: signal.Signals, second: signal.Signals
) -> None:
    """Protects the last step: it is finished and saved; the second one leaves."""
    from nlpcli.engine.loop import Loop

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    loop = types.SimpleNamespace(stop=threading.Event(), stopped_by=signal.SIGINT)
    left = SystemExit if second == signal.SIGTERM else KeyboardInterrupt
    with pytest.raises(left) as caught, Loop._graceful_interrupt(loop):  # type: ignore[arg-type]
        os.kill(os.getpid(), first)
        assert loop.stop.is_set()
        assert loop.stopped_by == first
        os.kill(os.getpid(), second)
    if second == signal.SIGTERM:
        assert caught.value.code == 143  # type: ignore[attr-defined]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_training_that_was_terminated_exits_with_143(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.cli.fake_engine import call, installed

    for engine in installed(monkeypatch, tmp_path):
        engine.status, engine.stopped_by = "interrupted", signal.SIGTERM
        assert call("train", "ner").exit_code == 143
