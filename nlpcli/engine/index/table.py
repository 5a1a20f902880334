"""What every store of an index has to do, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple, Protocol

import numpy as np

LONGEST_ID, LONGEST_TEXT = 256, 65_535  # bytes of UTF-8; Milvus has no longer strings
PROBES = 64  # clusters that an approximate search reads

EXISTS = "exists already; --resume goes on with it, --force replaces it"


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


class Backend(Protocol):
    """A kind of store, as a module; ``held`` keeps what an open table needs."""

    def exists(self, address: str) -> bool: ...

    def create(
        self, address: str, meta: str, dimension: int, force: bool, held: ExitStack
    ) -> Table: ...

    def open_table(self, address: str, held: ExitStack) -> Table: ...
