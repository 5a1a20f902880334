"""Lines in, as they arrive: what verbs read from stdin, a file or arguments."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from nlpcli.errors import DataError, NlpcliError
from nlpcli.records.lines import BadLine, Lines
from nlpcli.records.row import Row, parse_object

QUEUED_LINES = 4096
QUEUED_BYTES = 32 * 2**20  # of their text; one line may be more
LINGER_SECONDS = 0.02
NOTHING = Row({})


@dataclass(frozen=True)
class Request:
    """One input line as a row, or the error in its place; ``origin`` is "name:12",
    ``size`` the bytes that its text takes."""

    origin: str
    row: Row = NOTHING
    id: Any = None
    error: NlpcliError | None = None
    size: int = 0

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
            continue
        size = sys.getsizeof(text)
        if not as_json or not text.strip():
            row = Row({"text": text if not as_json else ""})
            yield Request(origin, row, size=size)
        else:
            try:
                values = parse_object(text, origin)
            except DataError as error:
                yield Request(origin, error=error)
            else:
                row = Row(values, "", hint, names)
                yield Request(origin, row, values.get(id_key), size=size)


def with_text(request: Request) -> Request:
    """The request, or its error where a verb that takes one text has none."""
    if request.error is None:
        try:
            request.row.string("text")
        except DataError as error:
            return replace(request, error=DataError(f"{request.origin}: {error}"))
    return request


def typed() -> bool:
    """Whether somebody types at stdin; it may also be closed, and then is None."""
    return sys.stdin is not None and sys.stdin.isatty()


def _begins(line: str | BadLine) -> str:
    if isinstance(line, BadLine):
        return line.begins.decode("latin-1")
    return line.lstrip()[:1]


class Arrivals:
    """Reads ahead in a thread; ``chunks`` gives what is there, never waiting to fill.

    What is read and not yet taken, as what a chunk holds, is bounded in lines and in
    bytes. So `tail -f | nlpcli predict` answers a line when it comes, and a fast pipe
    or a file still fills its batches while the model works.
    """

    def __init__(self, requests: Iterator[Request]) -> None:
        self._queue = _Weighed(QUEUED_BYTES)
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
            held = 0
            deadline = time.monotonic() + LINGER_SECONDS
            while isinstance(item, Request):
                chunk.append(item)
                held += item.size
                if len(chunk) == size or held >= QUEUED_BYTES:
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


class _Weighed(queue.Queue[Any]):
    """A queue whose items weigh what their texts take, each at least its share."""

    def _init(self, maxsize: int) -> None:
        self.items: deque[Any] = deque()
        self.weight = 0

    def _qsize(self) -> int:
        return self.weight

    def _put(self, item: Any) -> None:
        self.items.append(item)
        self.weight += _weight(item)

    def _get(self) -> Any:
        item = self.items.popleft()
        self.weight -= _weight(item)
        return item


def _weight(item: Any) -> int:
    return max(getattr(item, "size", 0), QUEUED_BYTES // QUEUED_LINES)
