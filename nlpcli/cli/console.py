"""What goes to stderr: messages, errors and progress."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlpcli.cli.standard import drop
from nlpcli.errors import ConfigError, NlpcliError
from nlpcli.files.json_text import escaped, in_a_cell, in_one_line, readable
from nlpcli.files.programs import keep_programs
from nlpcli.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PLAIN_SECONDS = 30.0

# bytes of a name that the locale did not decode, as repr writes them
_QUOTED = re.compile(r"(?:\\udc[89a-f][0-9a-f])+")


@dataclass
class Settings:
    """The options that hold for every verb."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    json_logs: bool = False


settings = Settings()


def configure(chosen: Settings) -> None:
    """Make ``chosen`` hold: log level and form, and what TensorFlow may say.

    Must run before TensorFlow is imported, which reads its variables once.
    """
    settings.__dict__.update(chosen.__dict__)
    logger = logging.getLogger("nlpcli")
    logger.handlers = [_StderrHandler()]
    logger.propagate = False
    if chosen.debug or chosen.verbose:
        logger.setLevel(logging.DEBUG)
    else:
        logger.setLevel(logging.WARNING if chosen.quiet else logging.INFO)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if not (chosen.verbose or chosen.debug):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        for name in ("tensorflow", "absl", "jieba", "h5py"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
    if chosen.quiet:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Hold back what libraries print while they load, unless -v; a failure shows it.

    TensorFlow 2.21 looks for CUDA before its log level counts, and says so. What XLA
    compiles is kept for the next process.
    """
    keep_programs()
    if settings.verbose or settings.debug:
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception as error:
            if not isinstance(error, NlpcliError):
                held.seek(0)
                os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def error_lines(error: BaseException) -> list[str]:
    """The lines that tell an error: each problem of a ConfigError on its own."""
    if isinstance(error, ConfigError):
        return [f"nlpcli: error: {problem}" for problem in error.problems]
    first, *rest = (str(error) or type(error).__name__).split("\n")
    return [f"nlpcli: error: {first}", *(f"  {line.strip()}" for line in rest)]


def show_error(lines: list[str], code: int) -> None:
    """Print the lines of an error on stderr, as JSON when the log is JSON."""
    if settings.json_logs:
        message = "\n".join(line.removeprefix("nlpcli: error: ") for line in lines)
        _write(_json_log("error", message, code=code))
        return
    for line in lines:
        _write(in_one_line(line))


def show_traceback() -> None:
    """The traceback of the error that is being handled, on stderr."""
    _write(traceback.format_exc().rstrip("\n"))


def open_progress() -> Progress:
    """Rich bars on a terminal, one plain line every 30 s elsewhere."""
    if settings.quiet:
        return SILENT
    if sys.stderr.isatty() and not settings.json_logs:
        return RichBar()
    return PlainLines()


class PlainLines:
    """A line of text every ``seconds``, and one at the end if any was due."""

    def __init__(self, seconds: float = PLAIN_SECONDS) -> None:
        self.seconds = seconds
        self.title = ""
        self.total: int | None = None
        self.started = self.last = 0.0
        self.done = 0

    def start(self, title: str, total: int | None) -> None:
        self.title, self.total, self.done = title, total, 0
        self.started = self.last = time.monotonic()

    def update(self, done: int, **stats: float | str) -> None:
        self.done = done
        now = time.monotonic()
        if now - self.last < self.seconds:
            return
        self.last = now
        parts = [_fraction(done, self.total), *_stat_texts(stats)]
        if self.total and done:
            left = (now - self.started) / done * (self.total - done)
            parts.append(f"{duration(left)} left")
        logging.getLogger("nlpcli").info(
            "%s: %s",
            self.title,
            ", ".join(parts),
            extra={
                "fields": {
                    "task": self.title,
                    "done": done,
                    "total": self.total,
                    **stats,
                }
            },
        )

    def finish(self) -> None:
        pass


class RichBar:
    """A live bar with the stats, the time gone and the time left."""

    def __init__(self) -> None:
        self.bar: RichProgress | None = None
        self.task: Any = None

    def start(self, title: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        self.finish()
        self.bar = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[stats]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=False,  # answers go to stdout, not through the bar
            expand=True,
        )
        self.task = self.bar.add_task(in_one_line(title), total=total, stats="")
        self.bar.start()

    def update(self, done: int, **stats: float | str) -> None:
        if self.bar is not None:
            shown = {"stats": ", ".join(_stat_texts(stats))} if stats else {}
            self.bar.update(self.task, completed=done, **shown)

    def finish(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42s, 3m05s, 2h14m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def _fraction(done: int, total: int | None) -> str:
    return f"{done}/{total} ({done / total:.0%})" if total else str(done)


def _stat_texts(stats: dict[str, float | str]) -> list[str]:
    texts = []
    for name, value in stats.items():
        if name.endswith("_per_second"):
            unit = name.removesuffix("_per_second").replace("_", " ")
            texts.append(f"{float(value):,.0f} {unit}/s")
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            texts.append(in_a_cell(f"{name.replace('_', ' ')} {shown}"))
    return texts


class _StderrHandler(logging.Handler):
    """Writes to whatever stderr is now, so a live bar moves out of the way."""

    def emit(self, record: logging.LogRecord) -> None:
        message, trace = record.getMessage(), ""
        if record.exc_info and settings.debug:
            trace = "\n" + logging.Formatter().formatException(record.exc_info)
        if settings.json_logs:
            fields = getattr(record, "fields", {})
            _write(_json_log(record.levelname.lower(), message + trace, **fields))
        elif record.levelno >= logging.WARNING:
            line = f"nlpcli: {record.levelname.lower()}: {message}"
            _write(in_one_line(line) + trace)
        else:
            _write(in_one_line(message) + trace)


def _json_log(level: str, message: str, **fields: Any) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    row = {"time": stamp, "level": level, "message": message, **fields}
    shown = {k: _told(v) if isinstance(v, str) else v for k, v in row.items()}
    return escaped(json.dumps(shown, ensure_ascii=True, default=str))


def _told(text: str) -> str:
    """A message with names as they are, also where it quotes one by its repr."""
    named = _QUOTED.sub(
        lambda match: "".join(chr(int(code, 16)) for code in match[0].split("\\u")[1:]),
        text,
    )
    return readable(named)


def _write(line: str) -> None:
    """A line, or the lines of a traceback: a data line that a message quotes must not
    move the cursor, clear the screen or look like another message."""
    try:
        sys.stderr.write(_told(line) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        # nobody reads the messages any more, or the disk is full; the work goes on
        drop(sys.stderr)
