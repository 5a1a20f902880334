"""Command lines in forked processes, which start at once and can be killed.

The libraries are imported once, here. What nlpcli computes with is begun only in the
child: `start` refuses where TensorFlow has threads already.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nlpcli.cli.console import Settings, configure

KILLED = -signal.SIGKILL
PAUSE = 0.05  # seconds: the longest wait of a save


def import_all() -> None:
    """What the commands import; not LanceDB, which begins a thread when imported."""
    configure(Settings(quiet=True))
    import nlpcli.cli.index
    import nlpcli.cli.runs
    import nlpcli.cli.train
    import nlpcli.engine.embed
    import nlpcli.engine.index.search
    import nlpcli.engine.train  # noqa: F401


def command(*words: str | Path) -> Callable[[], Any]:
    """`nlpcli` with these words."""

    def work() -> None:
        from nlpcli.cli.main import run

        sys.argv = ["nlpcli", *map(str, words)]
        run()

    return work


def start(work: Callable[[], Any], out: Path, log: Path) -> int:
    """The number of a process that does the work, its stdout and stderr in files."""
    from tensorflow.python.eager import context

    if context.context()._context_handle is not None:
        raise RuntimeError("TensorFlow has begun to compute: no fork is safe")
    sys.stdout.flush()
    sys.stderr.flush()
    number = os.fork()
    if number:
        return number
    code: Any = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream, path in ((1, out), (2, log)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), stream)
        work()
        code = 0
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:  # noqa: BLE001 - the child must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def end(
    number: int,
    after: float | None = None,
    pause: float = 0.0,
    watch: Callable[[], Any] = lambda: None,
) -> tuple[int, float]:
    """The exit code of a process, and the CPU seconds that it took.

    The code is KILLED where it came to ``after`` CPU seconds and then, since a process
    also waits, to ``pause`` seconds more by the clock. ``watch`` is called meanwhile.
    """
    until: float | None = None
    while True:
        done, status, used = os.wait4(number, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        if until is None and after is not None and cpu_seconds(number) >= after:
            until = time.monotonic() + pause
        if until is not None and time.monotonic() >= until:
            os.kill(number, signal.SIGKILL)
            _, status, used = os.wait4(number, 0)
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        watch()
        time.sleep(0.002)


def cpu_seconds(number: int) -> float:
    """The CPU seconds of a process so far; other work on the machine adds none."""
    return time.clock_gettime((~number << 3) | 2)  # as clock_getcpuclockid(3) has it


def finish(work: Callable[[], Any], out: Path, log: Path) -> float:
    """Do the work undisturbed; its CPU seconds. Raises RuntimeError where it fails."""
    code, seconds = end(start(work, out, log))
    if code:
        raise RuntimeError(f"exit {code}: {log.read_text()[-2000:]}")
    return seconds
