"""An index of texts by their vectors, in a folder or on a server.

A folder is LanceDB's, an address a Milvus server's; why: docs/index.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from nlpcli.errors import CheckpointError, DataError, NlpcliError, UsageError
from nlpcli.files.atomic import explained

LONGEST_ID, LONGEST_TEXT = 256, 65_535  # bytes of UTF-8; Milvus has no longer strings
PROBES = 64  # clusters that an approximate search reads

EXISTS = "exists already; --resume goes on with it, --force replaces it"

_ADDRESS = re.compile(r"(https?|tcp)://", re.IGNORECASE)
_ERRNO = re.compile(r"Errno (\d+)")
_STORES = {"lancedb", "lance", "pymilvus", "pyarrow", "grpc"}


@dataclass(frozen=True)
class Meta:
    """What an index remembers: the model behind its vectors, and whether it is whole.

    ``source``, ``pooling`` and ``prefix`` are how the model is opened again;
    ``building`` holds until its first build has come to its end.
    """

    fingerprint: str
    dimension: int
    source: str
    pooling: str | None = None
    prefix: str | None = None
    building: bool = True


class Hit(NamedTuple):
    """An answer of a search; ``score`` is the cosine of the two vectors."""

    id: str
    text: str
    score: float


class Table(Protocol):
    """What a store has to do; ids are never repeated in one call."""

    def read_meta(self) -> str: ...

    def write_meta(self, text: str) -> None: ...

    def count(self) -> int: ...

    def texts_of(self, ids: Sequence[str]) -> dict[str, str]: ...

    def add(self, rows: Mapping[str, str], vectors: np.ndarray) -> None: ...

    def replace(self, rows: Mapping[str, str], vectors: np.ndarray) -> None: ...

    def remove(self, ids: Sequence[str]) -> None: ...

    def settle(self) -> None: ...

    def search(
        self, vectors: np.ndarray, top: int, exact: bool, probes: int
    ) -> list[list[Hit]]: ...

    def kind(self) -> str: ...


class Store:
    """An open index; made by ``create_store`` and ``open_store``."""

    def __init__(self, place: str, table: Table, held: ExitStack) -> None:
        self.place = place
        self.table = table
        self._held = held
        with told(place):
            self.meta = _parsed(place, table.read_meta())

    def remember(self, **changes: Any) -> None:
        """Change what the index remembers."""
        self.meta = replace(self.meta, **changes)
        with told(self.place):
            self.table.write_meta(as_text(self.meta))

    def check_model(self, fingerprint: str) -> None:
        """Raise CheckpointError when the vectors are of another model."""
        if fingerprint != self.meta.fingerprint:
            raise CheckpointError(
                f"{self.place}: made by another model, {self.meta.source}: expected "
                f"the fingerprint {self.meta.fingerprint[:8]}, got {fingerprint[:8]}"
            )

    def count(self) -> int:
        """How many texts are in the index."""
        with told(self.place):
            return self.table.count()

    def texts_of(self, ids: Sequence[str]) -> dict[str, str]:
        """The texts of those ``ids`` that are in the index."""
        with told(self.place):
            return self.table.texts_of(ids) if ids else {}

    def put(
        self, rows: Mapping[str, str], vectors: np.ndarray, known: Mapping[str, str]
    ) -> None:
        """Store texts by id; ``known`` are those of the ids that are there already.

        vectors: (rows, dimension). What this returned from survives the end of the
        process; after ``settle`` it survives that of the machine.
        """
        names = list(rows)
        old = [i for i, name in enumerate(names) if name in known]
        new = [i for i, name in enumerate(names) if name not in known]
        with told(self.place):
            if new:
                self.table.add({names[i]: rows[names[i]] for i in new}, vectors[new])
            if old:
                self.table.replace(
                    {names[i]: rows[names[i]] for i in old}, vectors[old]
                )

    def remove(self, ids: Sequence[str]) -> None:
        """Take ids out; those that are not there are passed over."""
        with told(self.place):
            self.table.remove(ids)

    def settle(self) -> None:
        """Write everything to the disk, and cluster what has grown large."""
        with told(self.place):
            self.table.settle()

    def search(
        self, vectors: np.ndarray, top: int, exact: bool = False, probes: int = PROBES
    ) -> list[list[Hit]]:
        """The ``top`` nearest texts for each row of ``vectors``, best first."""
        with told(self.place):
            rows = np.ascontiguousarray(vectors, np.float32)
            return self.table.search(rows, top, exact, probes)

    def kind(self) -> str:
        """How a search goes: "flat" reads every vector, others some clusters."""
        with told(self.place):
            return self.table.kind()

    def close(self) -> None:
        """Let go of the files."""
        self._held.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_address(place: str) -> bool:
    """Whether a place is a server's address and not a path."""
    return _ADDRESS.match(place) is not None


def exists(place: str) -> bool:
    """Whether there is an index at a place, whole or begun."""
    with told(place):
        return bool(_backend(place).exists(place))


def create_store(place: str, meta: Meta, force: bool = False) -> Store:
    """Make an empty index; with ``force`` in the place of an index that is there.

    Raises UsageError where something else, or an index, is; NotFoundError where there
    is no folder or no server to make it in.
    """
    with ExitStack() as held, told(place):
        table = _backend(place).create(
            place, as_text(meta), meta.dimension, force, held
        )
        return Store(place, table, held.pop_all())


def open_store(place: str) -> Store:
    """Open an index.

    Raises NotFoundError where there is none, DataError where it is no index, or a
    damaged one, and UsageError while another process has it open.
    """
    with ExitStack() as held, told(place):
        table = _backend(place).open_table(place, held)
        return Store(place, table, held.pop_all())


def as_text(meta: Meta) -> str:
    """What an index remembers, as it is stored."""
    return json.dumps(asdict(meta), ensure_ascii=False)


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turn an error of a store into one line that names the place and the cause."""
    try:
        with explained(place):
            yield
    except NlpcliError:
        raise
    except Exception as error:
        package = type(error).__module__.split(".")[0]
        if package not in _STORES and not isinstance(error, (ValueError, RuntimeError)):
            raise
        cause = " ".join(str(getattr(error, "message", error)).split())
        number = _ERRNO.search(cause)
        if number is not None:
            with explained(place):
                raise OSError(int(number[1]), cause) from error
        if is_address(place):
            raise NlpcliError(f"{place}: the server says: {cause[:200]}") from error
        raise DataError(
            f"{place}: damaged or not an index of nlpcli: {cause[:200]}"
        ) from error


def _parsed(place: str, text: str) -> Meta:
    try:
        return Meta(**json.loads(text))
    except (TypeError, ValueError):
        raise DataError(f"{place}: not an index of nlpcli") from None


def _backend(place: str) -> Any:
    """The module of a place; UsageError without the libraries it stands on."""
    try:
        if is_address(place):
            from nlpcli.engine.index import milvus

            return milvus
        from nlpcli.engine.index import lance

        return lance
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{place}: an index needs {error.name}: pip install 'nlpcli[index]'"
        ) from error
