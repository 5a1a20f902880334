"""An index on a server: one collection of Milvus, or of what speaks its protocol.

What the index remembers is a property of the collection.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from nlpcli.engine.index.table import EXISTS, LONGEST_ID, LONGEST_TEXT, Hit
from nlpcli.errors import DataError, NotFoundError, UsageError
from nlpcli.files.address import (
    TOKEN_HOST,
    has_password,
    host_of,
    is_loopback,
    show_address,
    token_hosts,
)

logger = logging.getLogger("nlpcli")

TOKEN = "MILVUS_TOKEN"
META = "nlpcli.index"
CLUSTERS = 1024  # of each segment, once there are enough vectors to cluster
WORTH_CLUSTERING = 40 * CLUSTERS  # faiss, inside, wants 39 points a cluster
_CONNECT_SECONDS = 10
_REQUEST_BYTES = 8 << 20  # a server refuses messages above 64 MiB
_REQUEST_ROWS = 1000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def exists(address: str) -> bool:
    """Whether the server has a collection of the name."""
    with ExitStack() as held:
        client, name = _connect(address, held)
        return bool(client.has_collection(name))


def create(
    address: str, meta: str, dimension: int, force: bool, held: ExitStack
) -> MilvusTable:
    """Make an empty collection, in the place of an index's with ``force``."""
    client, name = _connect(address, held)
    table = MilvusTable(address, client, name)
    if client.has_collection(name):
        if not force:
            raise UsageError(f"{show_address(address)}: {EXISTS}")
        table.read_meta()  # never drops what is not ours
        client.drop_collection(name)
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=LONGEST_ID)
    schema.add_field("text", DataType.VARCHAR, max_length=LONGEST_TEXT)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    client.create_collection(
        name,
        schema=schema,
        index_params=_index_params(client, clustered=False),
        consistency_level="Strong",  # a search sees what was added before it
        properties={META: meta},
    )
    client.load_collection(name)
    return table


def open_table(address: str, held: ExitStack) -> MilvusTable:
    """Open the collection of an address."""
    client, name = _connect(address, held)
    if not client.has_collection(name):
        raise NotFoundError(f"{show_address(address)}: there is no index here")
    table = MilvusTable(address, client, name)
    table.read_meta()
    if table.kind() == "none":  # cut short while its index was replaced
        client.create_index(name, _index_params(client, clustered=False))
    client.load_collection(name)
    return table


class MilvusTable:
    """A collection of Milvus; see ``nlpcli.engine.index.table.Table``."""

    def __init__(self, address: str, client: Any, name: str) -> None:
        self.address = address
        self.client = client
        self.name = name

    def read_meta(self) -> str:
        found = self.client.describe_collection(self.name).get("properties") or {}
        if META not in found:
            raise DataError(f"{show_address(self.address)}: not an index of nlpcli")
        return str(found[META])

    def write_meta(self, text: str) -> None:
        self.client.alter_collection_properties(self.name, {META: text})

    def count(self) -> int:
        rows = self.client.query(self.name, filter="", output_fields=["count(*)"])
        return int(rows[0]["count(*)"])

    def texts_of(self, ids: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(ids), _REQUEST_ROWS):
            some = list(ids[start : start + _REQUEST_ROWS])
            rows = self.client.query(
                self.name, filter=_among(some), output_fields=["id", "text"]
            )
            found |= {row["id"]: row["text"] for row in rows}
        return found

    def add(self, rows: Mapping[str, str], vectors: np.ndarray) -> None:
        self.replace(rows, vectors)

    def replace(self, rows: Mapping[str, str], vectors: np.ndarray) -> None:
        batch: list[dict[str, Any]] = []
        size = 0
        for (name, text), vector in zip(rows.items(), vectors, strict=True):
            batch.append({"id": name, "text": text, "vector": vector})
            size += vector.nbytes + 3 * len(text)
            if size >= _REQUEST_BYTES or len(batch) == _REQUEST_ROWS:
                self.client.upsert(self.name, batch)
                batch, size = [], 0
        if batch:
            self.client.upsert(self.name, batch)

    def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _REQUEST_ROWS):
            some = list(ids[start : start + _REQUEST_ROWS])
            self.client.delete(self.name, filter=_among(some))

    def settle(self) -> None:
        """Have the server write its memory down; cluster once there is enough."""
        self.client.flush(self.name)
        if self.kind() == "flat" and self.count() >= WORTH_CLUSTERING:
            self.client.release_collection(self.name)
            for index in self.client.list_indexes(self.name):
                self.client.drop_index(self.name, index)
            params = _index_params(self.client, clustered=True)
            self.client.create_index(self.name, params)
            self.client.load_collection(self.name)

    def search(
        self, vectors: np.ndarray, top: int, exact: bool, probes: int
    ) -> list[list[Hit]]:
        found = self.client.search(
            self.name,
            vectors,
            limit=top,
            output_fields=["text"],
            search_params={"params": {"nprobe": CLUSTERS if exact else probes}},
        )
        return [
            [
                Hit(hit["id"], hit["entity"]["text"], float(hit["distance"]))
                for hit in hits
            ]
            for hits in found
        ]

    def kind(self) -> str:
        for index in self.client.list_indexes(self.name):
            described = self.client.describe_index(self.name, index)
            return str(described["index_type"]).lower()
        return "none"


def _connect(address: str, held: ExitStack) -> tuple[Any, str]:
    """A client of the server, and the name of its collection."""
    server, _, name = address.rpartition("/")
    shown = show_address(address)
    # the client takes what ends in .db for a file, and starts a server for it
    if server.endswith(("/", ".db")) or not _NAME.fullmatch(name):
        raise UsageError(
            f"{shown}: expected http://HOST:PORT/NAME, NAME of letters, digits and _"
        )
    token = _token_for(server, shown)
    if not logging.getLogger("nlpcli").isEnabledFor(logging.DEBUG):
        # it logs what it also raises
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)
    try:
        client = MilvusClient(
            server,
            token=token,
            timeout=_CONNECT_SECONDS,
            # the client's 10 s make a plain gRPC server hang up ("too many pings")
            grpc_options={"grpc.keepalive_time_ms": 300_000},
        )
    except MilvusException as error:
        origin = None if has_password(str(error)) else error
        if _is_refused(error):
            raise UsageError(
                f"{shown}: the server refuses {TOKEN}, or the user and password of the "
                "address"
            ) from origin
        raise NotFoundError(f"{shown}: no Milvus server answers there") from origin
    held.callback(client.close)
    return client, name


def _token_for(server: str, shown: str) -> str:
    """The user's token, which is not sent readable over a network unless that is said.

    Raises UsageError. The user and password of an address were said with it.
    """
    token = os.environ.get(TOKEN, "")
    host = host_of(server)
    if server.lower().startswith("https:") or is_loopback(host):
        return token
    if token and host not in token_hosts():
        raise UsageError(
            f"{shown}: {TOKEN} would go unencrypted to another machine; https "
            f"encrypts it, {TOKEN_HOST}={host} sends it all the same"
        )
    if token or has_password(server):
        logger.warning(
            "%s: the token goes unencrypted to another machine; https encrypts it",
            shown,
        )
    return token


def _is_refused(error: MilvusException) -> bool:
    """Whether the server is there, and wants another token."""
    cause = getattr(error.__cause__, "code", None)  # of gRPC, which the client hides
    name = getattr(cause(), "name", "") if callable(cause) else ""
    return name in ("UNAUTHENTICATED", "PERMISSION_DENIED")


def _among(ids: Sequence[str]) -> str:
    """A filter; the client's own, made from ids, does not escape their quotes."""
    return f"id in [{', '.join(json.dumps(name, ensure_ascii=False) for name in ids)}]"


def _index_params(client: Any, clustered: bool) -> Any:
    """Clusters that hold the vectors as they are: reading all of them is exact."""
    params = client.prepare_index_params()
    kind = "IVF_FLAT" if clustered else "FLAT"
    inner = {"nlist": CLUSTERS} if clustered else {}
    params.add_index("vector", index_type=kind, metric_type="IP", params=inner)
    return params
