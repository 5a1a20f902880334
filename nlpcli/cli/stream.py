"""Lines in, as they arrive: what verbs read from stdin, a file or arguments."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from nlpcli.errors import DataError, NlpcliError
from nlpcli.records.lines import BadLine, Lines
from nlpcli.records.row import Row, parse_object

QUEUED_LINES = 4096
LINGER_SECONDS = 0.02
NOTHING = Row({})


@dataclass(frozen=True)
class Request:
    """One input line as a row, or the error in its place; ``origin`` is "name:12"."""

    origin: str
    row: Row = NOTHING
    id: Any = None
    error: NlpcliError | None = None

    @property
    def text(self) -> str:
        """The text of the row; "" where it has keys of its own."""
        text = self.row.get("text")
        return text if isinstance(text, str) else ""


def from_texts(texts: Iterable[str]) -> Iterator[Request]:
    """The words of the command line, each one text."""
    for number, text in enumerate(texts, start=1):
        yield Request(f"TEXT {number}", Row({"text": _decoded(text)}))


def _decoded(text: str) -> str:
    """A word of the command line; a locale without UTF-8 leaves its bytes as halves of
    surrogate pairs (PEP 383)."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return text


def from_lines(
    lines: Lines, text_key: str = "text", id_key: str = "id", plain: bool = False
) -> Iterator[Request]:
    """Plain text, or JSON Lines when the first non-blank byte is ``{``.

    A request for every line: an empty one asks for the answer to the empty text. A
    line that cannot be read carries its error. ``text_key`` is what a row's text is
    called; ``plain`` takes every line as it is.
    """
    hint = "" if text_key != "text" else " (--text-key names another)"
    names = {} if text_key == "text" else {"text": text_key}
    as_json: bool | None = False if plain else None
    for number, text in lines:
        origin = lines.origin(number)
        if as_json is None and (begins := _begins(text)):
            as_json = begins == "{"
        if isinstance(text, BadLine):
            yield Request(origin, error=text)
        elif not as_json or not text.strip():
            yield Request(origin, Row({"text": text if not as_json else ""}))
        else:
            try:
                values = parse_object(text, origin)
            except DataError as error:
                yield Request(origin, error=error)
            else:
                yield Request(origin, Row(values, "", hint, names), values.get(id_key))


def with_text(request: Request) -> Request:
    """The request, or its error where a verb that takes one text has none."""
    if request.error is None:
        try:
            request.row.string("text")
        except DataError as error:
            return replace(request, error=DataError(f"{request.origin}: {error}"))
    return request


def _begins(line: str | BadLine) -> str:
    if isinstance(line, BadLine):
        return line.begins.decode("latin-1")
    return line.lstrip()[:1]


class Arrivals:
    """Reads ahead in a thread; ``chunks`` gives what is there, never waiting to fill.

    So `tail -f | nlpcli predict` answers a line when it comes, and a fast pipe or a
    file still fills its batches while the model works.
    """

    def __init__(self, requests: Iterator[Request]) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(QUEUED_LINES)
        self._stopped = threading.Event()
        threading.Thread(
            target=self._read, args=(requests,), daemon=True, name="nlpcli-input"
        ).start()

    def chunks(self, size: int) -> Iterator[list[Request]]:
        """Lists of 1 to ``size`` requests; raises what the reader raised."""
        ended: Any = None
        while ended is None:
            item = self._queue.get()
            chunk: list[Request] = []
            deadline = time.monotonic() + LINGER_SECONDS
            while isinstance(item, Request):
                chunk.append(item)
                if len(chunk) == size:
                    break
                try:
                    item = self._queue.get(timeout=max(deadline - time.monotonic(), 0))
                except queue.Empty:
                    break
            else:
                ended = item
            if chunk:
                yield chunk
        if isinstance(ended, BaseException):
            raise ended

    def close(self) -> None:
        """Let the reader end."""
        self._stopped.set()

    def _read(self, requests: Iterator[Request]) -> None:
        end: Any = StopIteration
        try:
            for request in requests:
                if not self._put(request):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by chunks()
            end = error
        self._put(end)

    def _put(self, item: Any) -> bool:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=0.5)
                return True
        return False
