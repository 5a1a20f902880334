"""Where answers go: stdout, flushed as they come, or a file that appears whole."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from nlpcli.files.atomic import explained
from nlpcli.files.json_text import escaped, named, plain, readable
from nlpcli.files.named import descriptor_of, named_file


@dataclass
class Output:
    """A stream of lines, and the file to name when it cannot be written."""

    stream: TextIO
    path: Path | None

    def write(self, line: str) -> None:
        """Add a line."""
        if self.path is None:
            self.stream.write(line + "\n")
        else:
            with explained(self.path):
                self.stream.write(line + "\n")

    def flush(self) -> None:
        """Let readers see what was written."""
        if self.path is None:
            self.stream.flush()
        else:
            with explained(self.path):
                self.stream.flush()


@contextmanager
def open_output(path: Path | None, force: bool = False) -> Iterator[Output]:
    """Lines to stdout, or to a file that is there, whole, when all are written.

    After an error the file is not there, and one that was there before is untouched.
    A device or a pipe is written to as it is. Raises as ``named_file`` does.
    """
    if path is None or descriptor_of(path) == 1:
        yield Output(sys.stdout, None)
        return
    with named_file(path, force) as stream:
        text = io.TextIOWrapper(stream, "utf-8", "backslashreplace")
        try:
            yield Output(text, path)
            with explained(path):
                text.flush()
        finally:
            # left to itself it would close the stream, and fail on a full disk
            with suppress(OSError, ValueError):
                text.detach()


def print_json(value: Any, beside: Path | None = None) -> None:
    """One JSON value for machines, indented; NaN and infinities are null; where to as
    ``print_text``."""
    import json

    text = json.dumps(
        plain(value), ensure_ascii=False, indent=2, default=str, allow_nan=False
    )
    _beside(beside).write(escaped(named(text)) + "\n")


def print_text(text: str, beside: Path | None = None) -> None:
    """Text for people on stdout, none of which a terminal obeys; on stderr where stdout
    is ``beside``, the output that was written (``/dev/stdout``)."""
    if text:
        _beside(beside).write(readable(text) + "\n")


def _beside(output: Path | None) -> TextIO:
    return sys.stderr if output and descriptor_of(output) == 1 else sys.stdout


def stdout_columns() -> int:
    """Width to draw in: the terminal's or COLUMNS, 80 elsewhere, 100 at most."""
    return min(shutil.get_terminal_size((80, 24)).columns, 100)


def stdout_has(characters: str) -> bool:
    """Whether stdout can show ``characters`` rather than escapes of them."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
