"""Texts into an index and questions to it, through whatever embeds them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nlpcli.engine.index.store import Store
from nlpcli.engine.index.table import LONGEST_ID, LONGEST_TEXT, PROBES, Hit
from nlpcli.errors import DataError, NlpcliError
from nlpcli.progress import SILENT, Progress

logger = logging.getLogger(__name__)


class Embeds(Protocol):
    """What an index needs of a model; ``nlpcli.engine.embed.Embedder`` is one."""

    @property
    def dimension(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, dimension) float32, rows of length 1."""


class Line(Protocol):
    """A line of input: where it stands, its text and id, or the error in its place."""

    @property
    def origin(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def id(self) -> Any: ...

    @property
    def error(self) -> NlpcliError | None: ...


@dataclass
class Filled:
    """What became of the lines; ``same`` were there already, word for word."""

    lines: int = 0
    added: int = 0
    updated: int = 0
    same: int = 0
    empty: int = 0
    bad: int = 0


def fill(
    store: Store,
    embedder: Embeds,
    chunks: Iterable[Sequence[Line]],
    on_error: str = "stop",
    progress: Progress = SILENT,
) -> Filled:
    """Put lines into an index, a chunk at a time; again is the same as once.

    A line without an id has the hash of its text, so a repeated line is one entry, and
    a run that was cut short goes on: what is there already is not embedded again.
    Raises CheckpointError for another model's index and, under ``on_error`` "stop",
    DataError for a bad line when those before it are stored.
    """
    store.check_model(embedder.fingerprint)
    filled = Filled()
    failure: NlpcliError | None = None
    progress.start("index", None)
    try:
        for chunk in chunks:
            rows, failure = _rows(chunk, on_error, filled)
            _put(store, embedder, rows, filled)
            progress.update(filled.lines, added=str(filled.added))
            if failure is not None:
                break
    finally:
        progress.finish()
    store.settle()
    if failure is not None:
        raise failure
    return filled


def search(
    store: Store,
    embedder: Embeds,
    texts: Sequence[str],
    top: int = 5,
    exact: bool = False,
    probes: int = PROBES,
) -> list[list[Hit]]:
    """The nearest entries of each text, best first; none for an empty text."""
    store.check_model(embedder.fingerprint)
    answers: list[list[Hit]] = [[] for _ in texts]
    asked = [i for i, text in enumerate(texts) if text.strip()]
    if asked:
        vectors = embedder.encode([texts[i] for i in asked])
        for i, hits in zip(
            asked, store.search(vectors, top, exact, probes), strict=True
        ):
            answers[i] = hits
    return answers


def remove(store: Store, ids: Sequence[str]) -> tuple[int, list[str]]:
    """Take entries out; how many there were, and the ids that were not there."""
    asked = dict.fromkeys(ids)
    known = store.texts_of([name for name in asked if _is_utf8(name)])
    if known:
        store.remove(list(known))
        store.settle()
    return len(known), [name for name in asked if name not in known]


def id_of(text: str) -> str:
    """The id of a text that came without one: 16 hexadecimal digits of its hash."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()


def _rows(
    chunk: Sequence[Line], on_error: str, filled: Filled
) -> tuple[dict[str, str], NlpcliError | None]:
    """Texts by id, the last of equal ids, and the error to stop at."""
    rows: dict[str, str] = {}
    for line in chunk:
        filled.lines += 1
        if line.error is None and not line.text.strip():
            filled.empty += 1
            continue
        try:
            name = _checked(line)
        except NlpcliError as error:
            if on_error == "stop":
                filled.lines -= 1
                return rows, error
            filled.bad += 1
            logger.warning("%s", error)
            continue
        if name in rows:
            filled.same += rows[name] == line.text
            filled.updated += rows[name] != line.text
        rows[name] = line.text
    return rows, None


def _checked(line: Line) -> str:
    """The id of a line that an index can hold."""
    if line.error is not None:
        raise line.error
    if not _is_utf8(line.text):
        raise DataError(f"{line.origin}: expected UTF-8, got half of a surrogate pair")
    size = len(line.text.encode("utf-8"))
    if size > LONGEST_TEXT:
        raise DataError(
            f"{line.origin}: expected at most {LONGEST_TEXT} bytes of text, got {size}"
        )
    if line.id is None:
        return id_of(line.text)
    if isinstance(line.id, bool) or not isinstance(line.id, (str, int)):
        raise DataError(
            f"{line.origin}: expected a string or a whole number as id, got "
            f"{str(line.id)[:40]}"
        )
    name = str(line.id)
    if not _is_utf8(name):
        raise DataError(
            f"{line.origin}: expected UTF-8 as id, got half of a surrogate pair"
        )
    if not name or len(name.encode("utf-8")) > LONGEST_ID:
        raise DataError(
            f"{line.origin}: expected an id of 1 to {LONGEST_ID} bytes, "
            f"got {name[:40]!r}"
        )
    return name


def _is_utf8(text: str) -> bool:
    """Whether a text is one to a store; half of a surrogate pair is not."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _put(store: Store, embedder: Embeds, rows: dict[str, str], filled: Filled) -> None:
    """Embed and store what is not there in the same words."""
    known = store.texts_of(list(rows)) if rows else {}
    fresh = {name: text for name, text in rows.items() if known.get(name) != text}
    if fresh:
        store.put(fresh, embedder.encode(list(fresh.values())), known)
    changed = sum(name in known for name in fresh)
    filled.updated += changed
    filled.added += len(fresh) - changed
    filled.same += len(rows) - len(fresh)


def plain_hits(found: Sequence[Sequence[Hit]]) -> Iterator[list[dict[str, Any]]]:
    """Hits as plain values, scores to 6 places."""
    for hits in found:
        yield [
            {"id": hit.id, "text": hit.text, "score": round(hit.score, 6)}
            for hit in hits
        ]
