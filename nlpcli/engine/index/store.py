"""An index of texts by their vectors, in a folder or on a server.

Its address is the path of a folder, which LanceDB keeps, or http://HOST:PORT/NAME, a
collection of a Milvus server; why: docs/index.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from nlpcli.engine.index.table import PROBES, Backend, Hit, Table
from nlpcli.errors import CheckpointError, DataError, NlpcliError, UsageError
from nlpcli.files.address import has_password, show_address
from nlpcli.files.atomic import explained
from nlpcli.files.json_file import NotJson, parse_json_object, short
from nlpcli.files.rust import is_panic

_SERVER = re.compile(r"(https?|tcp)://", re.IGNORECASE)
_ERRNO = re.compile(r"Errno (\d+)")
_STORES = {"lancedb", "lance", "pymilvus", "pyarrow", "grpc"}
MOST_COLUMNS = 2**20  # of a vector
_KINDS: dict[str, tuple[Any, str]] = {
    "fingerprint": (str, "text"),
    "dimension": (int, "a whole number"),
    "source": (str, "text"),
    "pooling": (str | None, "text or null"),
    "prefix": (str | None, "text or null"),
    "building": (bool, "true or false"),
}


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


class Store:
    """An open index; made by ``create_store`` and ``open_store``."""

    def __init__(self, address: str, table: Table, held: ExitStack) -> None:
        self.address = show_address(address)
        self.table = table
        self._held = held
        with told(address):
            self.meta = _parsed(self.address, table.read_meta())

    def remember(self, **changes: Any) -> None:
        """Change what the index remembers."""
        self.meta = replace(self.meta, **changes)
        with told(self.address):
            self.table.write_meta(as_text(self.meta))

    def check_model(self, fingerprint: str) -> None:
        """Raise CheckpointError when the vectors are of another model."""
        if fingerprint != self.meta.fingerprint:
            raise CheckpointError(
                f"{self.address}: made by another model, {self.meta.source}: expected "
                f"the fingerprint {self.meta.fingerprint[:8]}, got {fingerprint[:8]}"
            )

    def count(self) -> int:
        """How many texts are in the index."""
        with told(self.address):
            return self.table.count()

    def texts_of(self, ids: Sequence[str]) -> dict[str, str]:
        """The texts of those ``ids`` that are in the index."""
        with told(self.address):
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
        with told(self.address):
            if new:
                self.table.add({names[i]: rows[names[i]] for i in new}, vectors[new])
            if old:
                self.table.replace(
                    {names[i]: rows[names[i]] for i in old}, vectors[old]
                )

    def remove(self, ids: Sequence[str]) -> None:
        """Take ids out; those that are not there are passed over."""
        with told(self.address):
            self.table.remove(ids)

    def settle(self) -> None:
        """Write everything to the disk, and cluster what has grown large."""
        with told(self.address):
            self.table.settle()

    def search(
        self, vectors: np.ndarray, top: int, exact: bool = False, probes: int = PROBES
    ) -> list[list[Hit]]:
        """The ``top`` nearest texts for each row of ``vectors``, best first."""
        with told(self.address):
            rows = np.ascontiguousarray(vectors, np.float32)
            return self.table.search(rows, top, exact, probes)

    def kind(self) -> str:
        """How a search goes: "flat" reads every vector, others some clusters."""
        with told(self.address):
            return self.table.kind()

    def close(self) -> None:
        """Let go of the files."""
        self._held.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_server(address: str) -> bool:
    """Whether an address is a server's and not a folder's."""
    return _SERVER.match(address) is not None


def exists(address: str) -> bool:
    """Whether there is an index at an address, whole or begun."""
    with told(address):
        return _backend(address).exists(address)


def create_store(address: str, meta: Meta, force: bool = False) -> Store:
    """Make an empty index; with ``force`` in the place of an index that is there.

    Raises UsageError where something else, or an index, is; NotFoundError where there
    is no folder or no server to make it in.
    """
    with ExitStack() as held, told(address):
        table = _backend(address).create(
            address, as_text(meta), meta.dimension, force, held
        )
        return Store(address, table, held.pop_all())


def open_store(address: str) -> Store:
    """Open an index.

    Raises NotFoundError where there is none, DataError where it is no index, or a
    damaged one, and UsageError while another process has it open.
    """
    with ExitStack() as held, told(address):
        table = _backend(address).open_table(address, held)
        return Store(address, table, held.pop_all())


def as_text(meta: Meta) -> str:
    """What an index remembers, as it is stored."""
    return json.dumps(asdict(meta), ensure_ascii=False)


@contextmanager
def told(address: str) -> Iterator[None]:
    """Turn an error of a store into one line that names the address and the cause."""
    shown = show_address(address)
    try:
        with explained(shown):
            yield
    except NlpcliError:
        raise
    except BaseException as error:
        package = type(error).__module__.split(".")[0]
        if (
            package not in _STORES
            and not is_panic(error)
            and not isinstance(error, (ValueError, RuntimeError))
        ):
            raise
        whole = " ".join(str(getattr(error, "message", error)).split())
        # --debug prints what an error came from
        origin = None if has_password(f"{whole} {error}") else error
        cause = show_address(whole)[:200]
        number = _ERRNO.search(cause)
        if number is not None:
            with explained(shown):
                raise OSError(int(number[1]), cause) from origin
        if is_server(address):
            raise NlpcliError(f"{shown}: the server says: {cause}") from origin
        raise DataError(
            f"{shown}: damaged or not an index of nlpcli: {cause}"
        ) from origin


def _parsed(address: str, text: str) -> Meta:
    """What an index remembers; DataError for anything else, which a stranger made."""
    try:
        values = parse_json_object(text.encode("utf-8", "surrogatepass"))
        meta = Meta(**values)
    except (TypeError, NotJson):
        raise DataError(f"{address}: not an index of nlpcli") from None
    for name, (kind, told) in _KINDS.items():
        value = getattr(meta, name)
        if not isinstance(value, kind) or (kind is int and value is True):
            raise DataError(
                f"{address}: not an index of nlpcli: {name}: expected {told}, got "
                f"{short(repr(value))}"
            )
    if not 0 < meta.dimension <= MOST_COLUMNS:
        raise DataError(
            f"{address}: not an index of nlpcli: dimension: expected 1 to "
            f"{MOST_COLUMNS}, got {meta.dimension}"
        )
    return meta


def _backend(address: str) -> Backend:
    """The module for an address; UsageError without the libraries it stands on."""
    try:
        if is_server(address):
            from nlpcli.engine.index import milvus

            return milvus
        from nlpcli.engine.index import lance

        return lance
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{show_address(address)}: an index needs {error.name}: "
            "pip install 'nlpcli[index]'"
        ) from error
