"""Lines in, as they arrive: what verbs read from stdin, a file or arguments."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError, NlpcliError, NotFoundError
from nlpcli.records.lines import parse_object, where

BLOCK = 1 << 16
QUEUED_LINES = 4096
LINGER_SECONDS = 0.02
BOM = b"\xef\xbb\xbf"
TURNS_KEY = "turns"

PAIR_KEYS = ("text_a", "text_b")

JoinTurns = Callable[[Sequence[str]], str]
JoinPair = Callable[[str, str], str]


@dataclass(frozen=True)
class Request:
    """One input line: its text, or the error in its place; ``line`` is "name:12"."""

    line: str
    text: str = ""
    id: Any = None
    error: NlpcliError | None = None


def from_texts(texts: Iterable[str]) -> Iterator[Request]:
    """The words of the command line, each one text."""
    for number, text in enumerate(texts, start=1):
        yield Request(f"TEXT {number}", text)


def from_lines(
    lines: Iterable[bytes],
    name: str,
    text_key: str = "text",
    id_key: str = "id",
    join_turns: JoinTurns | None = None,
    plain: bool = False,
    join_pair: JoinPair | None = None,
) -> Iterator[Request]:
    """Plain text, or JSON Lines when the first non-blank byte is ``{``.

    A request for every line: an empty one asks for the answer to the empty text. A
    line that cannot be read carries its error. With ``join_turns`` an object may hold
    "turns" instead of a text, with ``join_pair`` "text_a" and "text_b"; ``plain`` takes
    every line as it is.
    """
    as_json: bool | None = False if plain else None
    for number, raw in enumerate(lines, start=1):
        place = where(name, number)
        if number == 1:
            raw = raw.removeprefix(BOM)
        if as_json is None and raw.strip():
            as_json = raw.lstrip().startswith(b"{")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            yield Request(place, error=_undecodable(place, raw, error))
            continue
        if not as_json or not text.strip():
            yield Request(place, text if not as_json else "")
            continue
        try:
            row = parse_object(text, place)
        except DataError as error:
            yield Request(place, error=error)
        else:
            pair = [row[key] for key in PAIR_KEYS if isinstance(row.get(key), str)]
            if join_pair is not None and len(pair) == 2:
                yield Request(place, join_pair(pair[0], pair[1]), row.get(id_key))
                continue
            yield _from_row(row, place, text_key, id_key, join_turns)


def open_lines(source: str) -> Iterator[bytes]:
    """Lines of a file, or of stdin for ``-``, without their ends.

    Raises NotFoundError or DataError, before the first line, for what is no file.
    """
    if source == "-":
        return split_lines(_stdin_blocks())
    path = Path(source)
    if path.is_dir():
        raise DataError(f"{source}: expected a file, got a folder")
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
    except FileNotFoundError:
        raise NotFoundError(f"{source}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}") from error
    return split_lines(_file_blocks(path, packed))


def split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut blocks at line feeds; a carriage return before one goes with it."""
    pending: list[bytes] = []
    for block in blocks:
        *whole, rest = block.split(b"\n")
        for line in whole:
            yield b"".join([*pending, line]).removesuffix(b"\r")
            pending = []
        if rest:
            pending.append(rest)
    if pending:
        yield b"".join(pending).removesuffix(b"\r")


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
        except Exception as error:  # noqa: BLE001 - raised again by chunks()
            end = error
        self._put(end)

    def _put(self, item: Any) -> bool:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=0.5)
                return True
        return False


def _from_row(
    row: dict[str, Any],
    place: str,
    text_key: str,
    id_key: str,
    join_turns: JoinTurns | None,
) -> Request:
    text = row.get(text_key)
    if isinstance(text, str):
        return Request(place, text, row.get(id_key))
    turns = row.get(TURNS_KEY)
    if text_key in row:
        told = f'expected a string for "{text_key}", got {str(text)[:40]}'
    elif join_turns is not None and TURNS_KEY in row:
        if isinstance(turns, list) and all(isinstance(turn, str) for turn in turns):
            return Request(place, join_turns(turns), row.get(id_key))
        told = f'expected a list of strings for "{TURNS_KEY}", got {str(turns)[:40]}'
    else:
        keys = ", ".join(f'"{key}"' for key in row) or "none"
        wanted = f'the key "{text_key}" (--text-key)'
        if join_turns is not None:
            wanted += f' or "{TURNS_KEY}"'
        told = f"expected {wanted}, got the keys {keys}"
    return Request(place, id=row.get(id_key), error=DataError(f"{place}: {told}"))


def _undecodable(place: str, raw: bytes, error: UnicodeDecodeError) -> DataError:
    return DataError(
        f"{place}: expected UTF-8, got byte 0x{raw[error.start]:02x} "
        f"at position {error.start + 1}"
    )


def _stdin_blocks() -> Iterator[bytes]:
    """Blocks of stdin as they come.

    Read below the buffered object: a daemon thread that waits inside it holds its
    lock, and Python aborts when it meets that lock at exit.
    """
    try:
        number = sys.stdin.fileno()
    except (OSError, ValueError):  # not a real file: a test's or a notebook's
        yield sys.stdin.buffer.read()
        return
    while block := os.read(number, BLOCK):
        yield block


def _file_blocks(path: Path, packed: bool) -> Iterator[bytes]:
    import gzip
    import zlib

    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            while block := stream.read(BLOCK):
                yield block
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
