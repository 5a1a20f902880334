"""The standard streams of the process, which may be closed, full or broken."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

from nlpcli.errors import NlpcliError
from nlpcli.files.atomic import explained


def open_standard_streams() -> None:
    """Make stdout and stderr UTF-8, and give what was closed (``>&-``) a stand-in.

    The first file that is opened would take the number of a closed one, and what is
    printed would be written into it. The stand-ins cannot be read or written, as
    before; a closed stdin stays None.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number that is free
    if sys.stdout is None or type(sys.stdout) is io.TextIOWrapper:
        sys.stdout = _Stdout(sys.stdout)
    if sys.stderr is None or type(sys.stderr) is io.TextIOWrapper:
        sys.stderr = _Stderr(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # a lone surrogate is written as \\udXXX instead of stopping the output
            reconfigure(encoding="utf-8", errors="backslashreplace")


def drop(stream: Any) -> None:
    """Send what a stream still holds nowhere, so that the process ends quietly."""
    with suppress(ValueError, OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def drop_gone() -> None:
    """Send what goes to a terminal that is no longer there nowhere.

    A buffer that cannot be written would give the process another exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            os.write(stream.fileno(), b"")
        except (ValueError, OSError):
            drop(stream)


class _Standard(io.TextIOWrapper):
    """A standard stream as it was, or one on its number where it was closed."""

    number: int

    def __init__(self, old: io.TextIOWrapper | None) -> None:
        line_buffering = old is not None and old.line_buffering
        write_through = old is not None and old.write_through
        super().__init__(
            os.fdopen(self.number, "wb", closefd=False)
            if old is None
            else old.detach(),
            "utf-8",
            line_buffering=line_buffering,
            write_through=write_through,
        )


class _Stdout(_Standard):
    """stdout, where a full disk is an error that says so, whoever writes."""

    number = 1

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _told(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _told(error) from error


class _Stderr(_Standard):
    """stderr, which ends no work when its terminal is closed or its disk is full."""

    number = 2

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            drop(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            drop(self)


def _told(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return error  # ends the process quietly
    try:
        with explained("stdout"):
            raise error
    except NlpcliError as told:
        return told
