"""An index in a folder: LanceDB's files, and ``index.json`` beside them.

Every change is a new version of the table, written whole before it counts, so a
process that is killed leaves the version before.

A process that writes holds the folder's lock. Where the lock is taken away under it, by
``rm`` or a cleaner of folders, the next process gets another one: so the holder looks
before each change whether it still is the holder, and else writes nothing more.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfFlat, IvfRq

from nlpcli.engine.index.table import EXISTS, Hit
from nlpcli.errors import DataError, NlpcliError, NotFoundError, UsageError
from nlpcli.files.atomic import explained, sync_tree, unfinished, write_atomic
from nlpcli.files.lock import LOCK, exclusive
from nlpcli.files.plain_file import read_plain

META, TABLE = "index.json", "vectors"
LONGEST_META = 2**20  # bytes
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}
WORTH_CLUSTERING = 50_000  # below, reading every vector takes some milliseconds
_ROWS_A_CLUSTER = 1000
# one bit a number tells too little of short vectors; those are kept as they are
_WIDE = 256
# the clusters hold bits; this many times `top` are compared exactly
_REFINE = 50
_IDS_A_QUERY = 1000


def exists(address: str) -> bool:
    """Whether a folder has an index in it."""
    return Path(address, META).is_file()


def create(
    address: str, meta: str, dimension: int, force: bool, held: ExitStack
) -> LanceTable:
    """Make the folder and an empty table; ``held`` keeps other processes out."""
    folder = Path(address)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{address}: expected a new folder, got a file")
    if exists(address) and not force:
        raise UsageError(f"{address}: {EXISTS}")
    ours = {folder / name for name in (META, LOCK, f"{TABLE}.lance")}
    if folder.is_dir() and not {*folder.iterdir()} <= {*ours, *_cut_short(folder)}:
        raise UsageError(f"{address}: a folder of something else, not an index")
    if not folder.parent.is_dir():
        raise NotFoundError(f"{address}: there is no folder {folder.parent}")
    with explained(folder):
        folder.mkdir(exist_ok=True)
    lock = _alone(folder, held)
    with explained(folder):
        Path(folder, META).unlink(missing_ok=True)
        shutil.rmtree(folder / f"{TABLE}.lance", ignore_errors=True)
        _sweep(folder)
    base = lancedb.connect(folder)
    table = base.create_table(TABLE, schema=_schema(dimension))
    # last: a folder without it is no index yet, and may be made again
    write_atomic(folder / META, meta)
    return LanceTable(folder, table, lock)


def open_table(address: str, held: ExitStack) -> LanceTable:
    """Open the table of a folder; ``held`` keeps other processes out."""
    folder = Path(address)
    if not folder.exists():
        raise NotFoundError(f"{address}: there is no index here")
    if not exists(address):
        raise DataError(f"{address}: not an index of nlpcli")
    lock = _alone(folder, held)
    table = lancedb.connect(folder).open_table(TABLE)
    _check_columns(folder, table.schema)
    return LanceTable(folder, table, lock)


class LanceTable:
    """A table of LanceDB; see ``nlpcli.engine.index.table.Table``."""

    def __init__(self, folder: Path, table: Any, lock: os.stat_result) -> None:
        self.folder = folder
        self.table = table
        self._lock = lock

    def read_meta(self) -> str:
        return read_plain(self.folder / META, LONGEST_META, DataError).decode("utf-8")

    def write_meta(self, text: str) -> None:
        self._still_held()
        write_atomic(self.folder / META, text)

    def count(self) -> int:
        return int(self.table.count_rows())

    def texts_of(self, ids: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(ids), _IDS_A_QUERY):
            query = self.table.search().where(_among(ids[start : start + _IDS_A_QUERY]))
            rows = query.select(["id", "text"]).limit(_IDS_A_QUERY).to_arrow()
            found |= zip(rows["id"].to_pylist(), rows["text"].to_pylist(), strict=True)
        return found

    def add(self, rows: Mapping[str, str], vectors: np.ndarray) -> None:
        self._still_held()
        self.table.add(self._columns(rows, vectors))

    def replace(self, rows: Mapping[str, str], vectors: np.ndarray) -> None:
        self._still_held()
        change = self.table.merge_insert("id").when_matched_update_all()
        change.execute(self._columns(rows, vectors))

    def remove(self, ids: Sequence[str]) -> None:
        self._still_held()
        for start in range(0, len(ids), _IDS_A_QUERY):
            self.table.delete(_among(ids[start : start + _IDS_A_QUERY]))

    def settle(self) -> None:
        """Join small files, drop old versions, cluster; then push all to the disk."""
        self._still_held()
        rows = self.count()
        if self._index() is None and rows >= WORTH_CLUSTERING:
            width = self.table.schema.field("vector").type.list_size
            kind = IvfRq if width >= _WIDE else IvfFlat
            clusters = max(rows // _ROWS_A_CLUSTER, 1)
            config = kind(distance_type="dot", num_partitions=clusters)
            self.table.create_index("vector", config=config)
        with warnings.catch_warnings():
            # it warns of readers of old versions: the lock keeps them out
            warnings.simplefilter("ignore")
            self.table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
        _sweep(self.folder)
        sync_tree(self.folder)

    def search(
        self, vectors: np.ndarray, top: int, exact: bool, probes: int
    ) -> list[list[Hit]]:
        query = self.table.search(vectors).distance_type("dot").limit(top)
        if exact:
            query = query.bypass_vector_index()
        else:
            query = query.nprobes(probes).refine_factor(_REFINE)
        rows = query.select(["id", "text", "_distance"]).to_arrow().to_pylist()
        hits: list[list[Hit]] = [[] for _ in vectors]
        for row in rows:
            # one vector alone is answered without a number
            found = hits[row.get("query_index", 0)]
            found.append(Hit(row["id"], row["text"], 1.0 - row["_distance"]))
        return hits

    def kind(self) -> str:
        index = self._index()
        return "flat" if index is None else str(index.index_type).lower()

    def _still_held(self) -> None:
        """Raise NlpcliError where another process may have taken the lock by now."""
        with suppress(OSError):
            if os.path.samestat(self._lock, (self.folder / LOCK).lstat()):
                return
        raise NlpcliError(
            f"{self.folder}: its lock was taken away while it was open, so nothing "
            "more is written; what was written before is there"
        )

    def _index(self) -> Any:
        return next(iter(self.table.list_indices()), None)

    def _columns(self, rows: Mapping[str, str], vectors: np.ndarray) -> pa.Table:
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        width = vectors.shape[1]
        return pa.table(
            {
                "id": list(rows),
                "text": list(rows.values()),
                "vector": pa.FixedSizeListArray.from_arrays(flat, width),
            },
            schema=_schema(width),
        )


def _alone(folder: Path, held: ExitStack) -> os.stat_result:
    """Keep other processes out of a folder that has no links in it; its lock."""
    try:
        held.enter_context(exclusive(folder))
    except NlpcliError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _NO_LOCKS:
            raise NlpcliError(
                f"{folder}: its file system has no locks (flock): an index needs one, "
                "so put it on another disk, or use a server"
            ) from error
        raise
    linked = next(_links(folder), None)
    if linked is not None:
        raise DataError(
            f"{linked}: expected no link inside an index, which writes there"
        )
    with explained(folder):
        return (folder / LOCK).lstat()


def _cut_short(folder: Path) -> list[Path]:
    """What a kill has left of an index.json that was being written."""
    return [path for path in unfinished(folder, (META,)) if path.is_file()]


def _sweep(folder: Path) -> None:
    for path in _cut_short(folder):
        path.unlink()


def _links(folder: Path) -> Iterator[str]:
    """The links among the files of an index, at any depth."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield entry.path
                elif entry.is_dir():
                    waiting.append(Path(entry.path))


def _check_columns(folder: Path, schema: pa.Schema) -> None:
    """Raise DataError for a table with other columns than ours."""
    ours = {field.name: field.type for field in _schema(1)}
    there = {field.name: field.type for field in schema}
    vector = there.get("vector")
    if isinstance(vector, pa.FixedSizeListType):
        ours["vector"] = pa.list_(pa.float32(), vector.list_size)
    if there != ours:
        columns = ", ".join(f"{name} {kind}" for name, kind in there.items())
        raise DataError(f"{folder}: not an index of nlpcli: columns {columns[:200]}")


def _schema(dimension: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
        ]
    )


def _among(ids: Sequence[str]) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in ids)
    return f"id IN ({quoted})"
