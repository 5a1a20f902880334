"""Search over many vectors: nlpcli's index against exact search in numpy.

    python benchmarks/search.py [--size 1000000] [--queries 200] [--folder DIR] [--json]

Vectors of 384 are generated in clusters (benchmarks/vector_stores.py). The index is
built and asked through nlpcli/engine/index/store.py, in processes of its own; the
number of clusters read is the least that reaches recall@10 of 0.95. Each figure is
given by the clock and, since other work on a machine stretches that, by CPU time.
With --folder the index is kept, and found again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from vector_stores import WIDTH, vectors  # noqa: E402

TOP, GOAL, CHUNK, TOGETHER = 10, 0.95, 4000, 50


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        told = STEPS[options.step](options.folder, options.size, options.queries)
        print(json.dumps(told), flush=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(exist_ok=True)
        found = {}
        for step in STEPS:
            found[step] = run_step(step, folder, options.size, options.queries)
            print(json.dumps({step: found[step]}), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2) if options.json else report(found, options.size))


def run_step(step: str, folder: Path, size: int, queries: int) -> dict[str, Any]:
    """Run a step in a process of its own, so its memory is its own."""
    words = ["--step", step, "--folder", folder, "--size", size, "--queries", queries]
    done = subprocess.run(
        [sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def report(found: dict[str, dict[str, Any]], size: int) -> str:
    """The figures, a way to search a line."""
    lines = [f"{size:,} vectors of {WIDTH}, {os.cpu_count()} cores"]
    made = found["build"]
    if made:
        lines.append(
            f"build: {made['cpu s']} s of CPU, {made['wall s']} s, "
            f"{made['disk MB']} MB on disk, peak {made['peak MiB']} MiB"
        )
    asked = found["ask"]
    lines += [
        f"opening: {asked['open cpu s']} s of CPU, {asked['open wall s']} s",
        f"{'':24}  queries/s  per CPU s  recall@10  peak MiB",
        line("numpy, one at a time", found["numpy"]["one"], found["numpy"]),
        line("numpy, 50 together", found["numpy"]["many"], found["numpy"]),
    ]
    for name in ("exact", "approximate"):
        for kind, told in (("one", "one at a time"), ("many", "50 together")):
            row = asked[name][kind]
            lines.append(line(f"{name}, {told}", row, asked))
    lines.append(f"approximate reads {asked['probes']} of {size // 1000} clusters")
    return "\n".join(lines)


def line(name: str, row: dict[str, Any], process: dict[str, Any]) -> str:
    return (
        f"{name:24}  {row['wall/s']:9}  {row['cpu/s']:9}  {row['recall']:9.3f}  "
        f"{process['peak MiB']:8}"
    )


def build(folder: Path, size: int, queries: int) -> dict[str, Any]:
    """Fill an index as `nlpcli index build` does, but for the model."""
    from nlpcli.engine.index.store import Meta, create_store, exists

    place = folder / "search.idx"
    if exists(str(place)):
        return {}
    started = time.monotonic()
    with create_store(str(place), Meta("benchmark", WIDTH, "generated")) as store:
        for start in range(0, size, CHUNK):
            count = min(CHUNK, size - start)
            rows = {str(i): f"文本 {i}" for i in range(start, start + count)}
            store.put(rows, vectors(start, count), {})
        store.settle()
    return {
        "wall s": round(time.monotonic() - started),
        "cpu s": round(time.process_time()),
        "disk MB": round(
            sum(x.stat().st_size for x in place.rglob("*") if x.is_file()) / 1e6
        ),
        "peak MiB": peak(),
    }


def exact(folder: Path, size: int, queries: int) -> dict[str, Any]:
    """Exact search by a matrix product; its answers are the truth of the rest."""
    matrix = np.concatenate(
        [vectors(i, min(50_000, size - i)) for i in range(0, size, 50_000)]
    )
    questions = asked(queries)

    def search(rows: np.ndarray) -> list[list[int]]:
        scores = rows @ matrix.T
        near = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
        order = np.argsort(-np.take_along_axis(scores, near, 1), axis=1)
        found: list[list[int]] = np.take_along_axis(near, order, 1).tolist()
        return found

    truth = [search(row[None])[0] for row in questions]
    (folder / "truth.json").write_text(json.dumps(truth))
    return {**both(search, questions, truth), "peak MiB": peak()}


def ask(folder: Path, size: int, queries: int) -> dict[str, Any]:
    """The same questions to the index."""
    from nlpcli.engine.index.store import open_store

    truth = json.loads((folder / "truth.json").read_text())
    questions = asked(queries)
    started, cpu = time.monotonic(), time.process_time()
    with open_store(str(folder / "search.idx")) as store:
        store.search(questions[:1], TOP, exact=False)
        opened = time.monotonic() - started, time.process_time() - cpu

        def search(rows: np.ndarray, probes: int) -> list[list[int]]:
            found = store.search(rows, TOP, exact=probes == 0, probes=probes)
            return [[int(hit.id) for hit in hits] for hits in found]

        probes = 1
        while probes < size // 2000 and recall(search(questions, probes), truth) < GOAL:
            probes *= 2
        return {
            "open wall s": round(opened[0], 1),
            "open cpu s": round(opened[1], 1),
            "probes": probes,
            "approximate": both(lambda rows: search(rows, probes), questions, truth),
            "exact": both(lambda rows: search(rows, 0), questions, truth),
            "peak MiB": peak(),
        }


def both(
    search: Callable[[np.ndarray], list[list[int]]],
    questions: np.ndarray,
    truth: list[list[int]],
) -> dict[str, Any]:
    """Questions a second, one at a time and 50 together, by the clock and by CPU."""
    told = {}
    for name, step in (("one", 1), ("many", TOGETHER)):
        search(questions[:step])
        started, cpu = time.monotonic(), time.process_time()
        found = []
        for start in range(0, len(questions), step):
            found += search(questions[start : start + step])
        told[name] = {
            "wall/s": round(len(questions) / (time.monotonic() - started), 1),
            "cpu/s": round(len(questions) / (time.process_time() - cpu), 1),
            "recall": recall(found, truth),
        }
    return told


def recall(found: list[list[int]], truth: list[list[int]]) -> float:
    hits = sum(len({*a} & {*b}) for a, b in zip(found, truth, strict=True))
    return hits / sum(map(len, truth))


def asked(queries: int) -> np.ndarray:
    return vectors(900_000_000, queries)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


STEPS = {"build": build, "numpy": exact, "ask": ask}


if __name__ == "__main__":
    main()
