"""Where answers go: stdout, flushed as they come, or a file that appears whole."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from nlpcli.files.atomic import explained, is_special, sync_folder
from nlpcli.files.json_text import escaped, named, readable


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
def open_output(path: Path | None) -> Iterator[Output]:
    """Lines to stdout, or to a file that is renamed into place at the end.

    After an error the file is not there, and one that was there before is untouched.
    A device or a pipe is written to as it is.
    """
    if path is None:
        yield Output(sys.stdout, None)
        return
    direct = is_special(path)
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name[:200]}.{os.getpid()}.partial")
    with explained(path):
        stream = (path if direct else partial).open(
            "w", encoding="utf-8", errors="backslashreplace"
        )
    try:
        yield Output(stream, path)
        with explained(path):
            stream.flush()
            if not direct:
                os.fsync(stream.fileno())
                partial.replace(target)
                sync_folder(target.parent)
    finally:
        with suppress(OSError):
            stream.close()
        if not direct:
            with suppress(FileNotFoundError):
                partial.unlink()


def print_json(value: Any, beside: Path | None = None) -> None:
    """One JSON value for machines, indented; where to as ``print_text``."""
    import json

    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    _beside(beside).write(escaped(named(text)) + "\n")


def print_text(text: str, beside: Path | None = None) -> None:
    """Text for people on stdout, none of which a terminal obeys; on stderr where stdout
    is ``beside``, the output that was written (``/dev/stdout``)."""
    if text:
        _beside(beside).write(readable(text) + "\n")


def _beside(output: Path | None) -> TextIO:
    with suppress(OSError):
        if output and os.path.samestat(output.stat(), os.fstat(1)):
            return sys.stderr
    return sys.stdout


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
