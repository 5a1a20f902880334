"""Embedded vector stores from PyPI, measured alike: the table of docs/index.md.

    python benchmarks/vector_stores.py [--size 50000] [--only lancedb,milvus] [--json]

Every store runs in processes of its own: one builds, one opens and asks, one is killed
(SIGKILL) while it adds. A store that is not installed is left out. Vectors are 384
wide, normalised, drawn around 2,000 centres; recall is against numpy. Seconds are CPU
seconds of the process (all its threads), which other work on the machine does not
stretch; waiting for the disk is not in them.

Needs: pip install lancedb pymilvus milvus-lite qdrant-client chromadb faiss-cpu
usearch sqlite-vec
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

WIDTH, TOP, QUERIES, BATCH = 384, 10, 200, 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--only", default=",".join(STORES))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        store = STORES[options.only](options.folder)
        print(json.dumps(STEPS[options.step](store, options.size)), flush=True)
        os._exit(0)  # some stores keep threads
    rows = []
    for name in options.only.split(","):
        if importlib.util.find_spec(STORES[name].package) is None:
            print(f"{name}: not installed", file=sys.stderr)
            continue
        rows.append({"store": name, **measure(name, options.size)})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(json.dumps(rows, indent=2) if options.json else markdown(rows))


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table, one store a line."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[str(row.get(key, "-")) for key in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measure(name: str, size: int) -> dict[str, Any]:
    """All figures of one store."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        for step in ("build", "ask", "change"):
            try:
                found |= run_step(name, step, size, Path(folder, "store"))
            except subprocess.CalledProcessError as error:
                found[step] = (error.stderr or "").strip().splitlines()[-1][-160:]
            except subprocess.TimeoutExpired:
                found[step] = "over 1800 s"
            if step == "build":
                found["disk MB"] = round(bytes_of(Path(folder)) / 1e6)
        found["killed"] = killed(name, Path(folder, "killed"))
    return found


def run_step(name: str, step: str, size: int, folder: Path) -> dict[str, Any]:
    """Run one step in a process of its own."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [*command(name, step, folder), "--size", str(size)],
        capture_output=True,
        text=True,
        check=True,
        timeout=1800,
    )
    value: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return value


def command(name: str, step: str, folder: Path) -> list[str]:
    words = ["--only", name, "--step", step, "--folder", str(folder)]
    return [sys.executable, __file__, *words]


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def vectors(start: int, count: int) -> np.ndarray[Any, Any]:
    """``count`` unit vectors: the same ones for the same place."""
    centres = np.random.default_rng(1).standard_normal((2000, WIDTH), np.float32)
    out = np.empty((count, WIDTH), np.float32)
    for block in range(start // BATCH, -(-(start + count) // BATCH)):
        noise = np.random.default_rng(1000 + block)
        rows = centres[noise.integers(2000, size=BATCH)]
        rows = rows + noise.standard_normal((BATCH, WIDTH), np.float32)
        low, high = max(start, block * BATCH), min(start + count, (block + 1) * BATCH)
        out[low - start : high - start] = rows[low - block * BATCH :][: high - low]
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def asked() -> np.ndarray[Any, Any]:
    return vectors(900_000_000, QUERIES)


# -- the steps --------------------------------------------------------------


def build(store: Any, size: int) -> dict[str, Any]:
    """Fill the store in batches, then build what makes it quick."""
    started = time.process_time()
    for start in range(0, size, BATCH):
        store.add(list(range(start, start + BATCH)), vectors(start, BATCH))
    filled = time.process_time()
    store.finish()
    return {
        "add/s": round(size / (filled - started)),
        "index s": round(time.process_time() - filled, 1),
        "build MiB": peak(),
    }


def ask(store: Any, size: int) -> dict[str, Any]:
    """Open, first answer, then queries one at a time, exact and approximate."""
    questions = asked()
    store.search(questions[:1], exact=False)
    first = time.process_time()  # from the start of Python
    everything = vectors(0, size)
    truth = np.argsort(-(questions @ everything.T), axis=1)[:, :TOP]
    found = {"first answer s": round(first, 2)}
    del everything
    for exact in (True, False):
        name = "exact" if exact else "approximate"
        if not (store.exact if exact else store.approximate):
            found |= {f"{name}/s": "-"}
            continue
        started = time.process_time()
        answers = [store.search(row[None], exact=exact)[0] for row in questions]
        taken = time.process_time() - started
        hits = sum(
            len({*a} & {*t}) for a, t in zip(answers, truth.tolist(), strict=True)
        )
        found |= {
            f"{name}/s": round(QUERIES / taken),
            f"{name} recall": round(hits / truth.size, 3),
        }
    return found


def change(store: Any, size: int) -> dict[str, Any]:
    """Add 100 vectors and remove 100, seen by the next search."""
    fresh = vectors(800_000_000, 100)
    names = list(range(size, size + 100))
    started = time.process_time()
    store.add(names, fresh)
    added = time.process_time()
    seen = sum(
        store.search(row[None], False)[0][0] == i
        for row, i in zip(fresh, names, strict=True)
    )
    before = time.process_time()
    store.remove(names)
    removed = time.process_time()
    left = sum(
        store.search(row[None], False)[0][0] == i
        for row, i in zip(fresh, names, strict=True)
    )
    return {
        "add 100 ms": round(1000 * (added - started)),
        "remove 100 ms": round(1000 * (removed - before)),
        "found/left": f"{seen}/{left}",
        "count right": store.count() == size,
    }


def feed(store: Any, size: int) -> dict[str, Any]:
    """Add for ever, a line for each batch that was acknowledged."""
    done = store.count()
    while True:
        store.add(list(range(done, done + 200)), vectors(done, 200))
        done += 200
        print(json.dumps(done), flush=True)


def count(store: Any, size: int) -> dict[str, Any]:
    found = store.search(asked()[:1], exact=store.exact)[0]
    return {"count": store.count(), "found": len(found)}


def killed(name: str, folder: Path, times: int = 3) -> str:
    """Kill a process that adds, ``times`` in a row; what was lost of what was told."""
    chance = random.Random(7)
    acknowledged = 0
    told = []
    for _ in range(times):
        folder.mkdir(exist_ok=True)
        process = subprocess.Popen(
            command(name, "feed", folder), stdout=subprocess.PIPE, stderr=-3, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged = json.loads(line)
            break
        deadline = time.monotonic() + 2 + 3 * chance.random()
        while time.monotonic() < deadline and (line := process.stdout.readline()):
            acknowledged = json.loads(line)
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:  # told before the end, read after it
            if line.endswith("\n"):
                acknowledged = json.loads(line)
        process.wait()
        try:
            there = run_step(name, "count", 0, folder)["count"]
        except subprocess.CalledProcessError as error:
            return "does not open: " + error.stderr.strip().splitlines()[-1][-90:]
        told.append(f"{acknowledged} told, {there} there")
        if there < acknowledged:
            return "lost: " + "; ".join(told)
    shutil.rmtree(folder)
    return "nothing lost: " + "; ".join(told)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


STEPS = {"build": build, "ask": ask, "change": change, "feed": feed, "count": count}


# -- the stores -------------------------------------------------------------


class Lance:
    """LanceDB: columns on disk, versions, IVF with 8-bit or product quantisation."""

    package, exact, approximate = "lancedb", True, True

    def __init__(self, folder: Path) -> None:
        import lancedb

        self.base = lancedb.connect(folder)
        names = self.base.list_tables().tables
        self.table = self.base.open_table("t") if "t" in names else None

    def add(self, names: list[int], rows: Any) -> None:
        import pyarrow as pa

        flat = pa.FixedSizeListArray.from_arrays(rows.ravel(), WIDTH)
        data = pa.table({"id": names, "vector": flat})
        if self.table is None:
            self.table = self.base.create_table("t", data)
        else:
            self.table.add(data)

    def finish(self) -> None:
        self.table.optimize()
        self.table.create_index(
            metric="dot", vector_column_name="vector", index_type="IVF_RQ"
        )

    def search(self, rows: Any, exact: bool) -> list[list[int]]:
        query = self.table.search(rows[0]).distance_type("dot").limit(TOP)
        query = query.select(["id", "_distance"])
        if exact:
            query = query.bypass_vector_index()
        else:
            query = query.nprobes(20).refine_factor(10)
        return [query.to_arrow()["id"].to_pylist()]

    def remove(self, names: list[int]) -> None:
        self.table.delete(f"id in ({', '.join(map(str, names))})")

    def count(self) -> int:
        return 0 if self.table is None else self.table.count_rows()


class Milvus:
    """Milvus Lite behind pymilvus: the client of the Milvus server."""

    package, exact, approximate = "pymilvus", True, True
    kind: ClassVar[dict[str, Any]] = {
        "index_type": "IVF_FLAT",
        "metric_type": "IP",
        "params": {"nlist": 256},
    }

    def __init__(self, folder: Path) -> None:
        from pymilvus import DataType, MilvusClient

        self.client = MilvusClient(str(folder / "store.db"))
        if self.client.has_collection("t"):
            self.client.load_collection("t")
            return
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=WIDTH)
        index = self.client.prepare_index_params()
        index.add_index(field_name="vector", **self.kind)
        self.client.create_collection("t", schema=schema, index_params=index)

    def add(self, names: list[int], rows: Any) -> None:
        data = [{"id": i, "vector": v} for i, v in zip(names, rows, strict=True)]
        self.client.upsert("t", data)

    def finish(self) -> None:
        self.client.flush("t")
        self.client.load_collection("t")

    def search(self, rows: Any, exact: bool) -> list[list[int]]:
        params = {"nprobe": 256 if exact else 20, "ef": 64}
        found = self.client.search(
            "t", rows, limit=TOP, search_params={"params": params}
        )
        return [[hit["id"] for hit in hits] for hits in found]

    def remove(self, names: list[int]) -> None:
        self.client.delete("t", ids=names)

    def count(self) -> int:
        rows = self.client.query("t", filter="", output_fields=["count(*)"])
        return int(rows[0]["count(*)"])


class MilvusHnsw(Milvus):
    """The same with a graph, which has no exact search."""

    exact = False
    kind: ClassVar[dict[str, Any]] = {
        "index_type": "HNSW",
        "metric_type": "IP",
        "params": {"M": 16, "efConstruction": 100},
    }


class Qdrant:
    """Qdrant's client without a server: numpy over all vectors, SQLite below."""

    package, exact, approximate = "qdrant_client", True, False

    def __init__(self, folder: Path) -> None:
        from qdrant_client import QdrantClient, models

        self.models = models
        self.client = QdrantClient(path=str(folder))
        if not self.client.collection_exists("t"):
            self.client.create_collection(
                "t",
                vectors_config=models.VectorParams(
                    size=WIDTH, distance=models.Distance.DOT
                ),
            )

    def add(self, names: list[int], rows: Any) -> None:
        batch = self.models.Batch(ids=names, vectors=rows.tolist())
        self.client.upsert("t", batch)

    def finish(self) -> None:
        pass

    def search(self, rows: Any, exact: bool) -> list[list[int]]:
        found = self.client.query_points("t", query=rows[0], limit=TOP)
        return [[point.id for point in found.points]]

    def remove(self, names: list[int]) -> None:
        self.client.delete("t", points_selector=names)

    def count(self) -> int:
        return int(self.client.count("t").count)


class Chroma:
    """Chroma: SQLite for the log, an HNSW graph beside it."""

    package, exact, approximate = "chromadb", False, True

    def __init__(self, folder: Path) -> None:
        import chromadb

        settings = chromadb.Settings(anonymized_telemetry=False)
        self.client = chromadb.PersistentClient(str(folder), settings)
        self.table = self.client.get_or_create_collection(
            "vectors", configuration={"hnsw": {"space": "ip"}}, embedding_function=None
        )

    def add(self, names: list[int], rows: Any) -> None:
        self.table.upsert([str(name) for name in names], embeddings=rows)

    def finish(self) -> None:
        pass

    def search(self, rows: Any, exact: bool) -> list[list[int]]:
        found = self.table.query(query_embeddings=rows, n_results=TOP, include=[])
        return [[int(name) for name in names] for names in found["ids"]]

    def remove(self, names: list[int]) -> None:
        self.table.delete([str(name) for name in names])

    def count(self) -> int:
        return int(self.table.count())


class Faiss:
    """faiss: a library; each acknowledged add writes the whole file anew."""

    package, exact, approximate = "faiss", True, True

    def __init__(self, folder: Path) -> None:
        import faiss

        self.faiss, self.path, self.durable = faiss, folder / "index", True
        if self.path.exists():
            self.index = faiss.read_index(str(self.path))
        else:
            flat = faiss.IndexFlatIP(WIDTH)
            ivf = faiss.IndexIVFFlat(flat, WIDTH, 256, faiss.METRIC_INNER_PRODUCT)
            ivf.train(vectors(700_000_000, 10_000))
            self.index = ivf
            self.durable = folder.name == "killed"

    def add(self, names: list[int], rows: Any) -> None:
        self.index.add_with_ids(rows, np.array(names))
        if self.durable:
            self.save()

    def save(self) -> None:
        self.faiss.write_index(self.index, f"{self.path}.new")
        Path(f"{self.path}.new").replace(self.path)

    def finish(self) -> None:
        self.save()

    def search(self, rows: Any, exact: bool) -> list[list[int]]:
        self.index.nprobe = 256 if exact else 20
        found: list[list[int]] = self.index.search(rows, TOP)[1].tolist()
        return found

    def remove(self, names: list[int]) -> None:
        self.index.remove_ids(np.array(names))
        self.save()

    def count(self) -> int:
        return int(self.index.ntotal)


class Usearch:
    """usearch: a library with a graph; each acknowledged add writes the file anew."""

    package, exact, approximate = "usearch", True, True

    def __init__(self, folder: Path) -> None:
        from usearch.index import Index

        self.path = folder / "index"
        self.index = Index(ndim=WIDTH, metric="ip", dtype="f32")
        self.durable = self.path.exists() or folder.name == "killed"
        if self.path.exists():
            self.index.load(str(self.path))

    def add(self, names: list[int], rows: Any) -> None:
        self.index.add(np.array(names), rows)
        if self.durable:
            self.finish()

    def finish(self) -> None:
        self.index.save(f"{self.path}.new")
        Path(f"{self.path}.new").replace(self.path)

    def search(self, rows: Any, exact: bool) -> list[list[int]]:
        return [self.index.search(rows[0], TOP, exact=exact).keys.tolist()]

    def remove(self, names: list[int]) -> None:
        self.index.remove(np.array(names))
        self.finish()

    def count(self) -> int:
        return len(self.index)


class SqliteVec:
    """sqlite-vec: a virtual table of SQLite, every search a scan."""

    package, exact, approximate = "sqlite_vec", True, False

    def __init__(self, folder: Path) -> None:
        import sqlite3

        import sqlite_vec

        self.base = sqlite3.connect(folder / "store.sqlite")
        self.base.enable_load_extension(True)
        sqlite_vec.load(self.base)
        self.base.execute("pragma journal_mode=wal")
        self.base.execute(
            "create virtual table if not exists t using "
            f"vec0(vector float[{WIDTH}] distance_metric=cosine)"
        )

    def add(self, names: list[int], rows: Any) -> None:
        with self.base:
            self.base.executemany(
                "insert into t(rowid, vector) values (?, ?)",
                [(i, v.tobytes()) for i, v in zip(names, rows, strict=True)],
            )

    def finish(self) -> None:
        pass

    def search(self, rows: Any, exact: bool) -> list[list[int]]:
        found = self.base.execute(
            "select rowid from t where vector match ? and k = ?",
            (rows[0].tobytes(), TOP),
        )
        return [[row[0] for row in found]]

    def remove(self, names: list[int]) -> None:
        with self.base:
            self.base.executemany(
                "delete from t where rowid = ?", [(name,) for name in names]
            )

    def count(self) -> int:
        return int(self.base.execute("select count(*) from t").fetchone()[0])


STORES: dict[str, Any] = {
    "lancedb": Lance,
    "milvus": Milvus,
    "milvus-hnsw": MilvusHnsw,
    "qdrant": Qdrant,
    "chromadb": Chroma,
    "faiss": Faiss,
    "usearch": Usearch,
    "sqlite-vec": SqliteVec,
}


if __name__ == "__main__":
    main()
