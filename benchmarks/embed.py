"""Sentences embedded a second, beside transformers and torch, in one run.

    python benchmarks/embed.py MODEL TEXTS.jsonl[.gz] [--lines 2000] [--threads 2]
        [--precision float32 bfloat16]

Same weights, same mean pooling, same threads. Both sides get the lines as
they come, sort them by length and batch them; tokenization (by tokenizer.json) counts
on both. Each side has a process of its own, one after the other; its best round
counts. In bfloat16 transformers' weights are bfloat16. Prints each side beside the
peer of the same precision and beside itself in float32, and the largest difference of
a number from those of the peer in the first precision.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import named_processor
from torch_encoder import torch_encoder

SIDES = ("nlpcli", "transformers")
PEER = "transformers"
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    """Run both sides in turn, or one of them when asked for by ``--side``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--key", default="text")
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=["float32"]
    )
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.side:
        texts = read(options)
        run = embed_torch if options.side == PEER else embed_nlpcli
        rates, vectors = run(options, texts)
        np.save(options.out, vectors)
        print(json.dumps(rates))
        return
    best: dict[tuple[str, str], float] = {}
    vectors: dict[tuple[str, str], np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision, side in itertools.product(options.precision, SIDES):
            out = Path(folder) / f"{side}-{precision}.npy"
            words = ["--precision", precision, "--side", side, "--out", str(out)]
            done = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], *words],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            rates = json.loads(done.stdout.splitlines()[-1])
            best[side, precision] = max(rates)
            vectors[side, precision] = np.load(out)
    print(named_processor())
    print(
        f"{options.model.name}: {options.lines} lines of {options.texts.name}, "
        f"{options.threads} threads, batches of {options.batch_size}"
    )
    print(f"{'':23}{'lines/s':>8}{'/ peer':>8}{'/ float32':>11}{'apart':>10}")
    right = vectors[PEER, options.precision[0]]
    for (side, precision), rate in best.items():
        wide = best.get((side, "float32"))
        ratio = f"{rate / wide:.2f}" if wide else "-"
        apart = np.abs(vectors[side, precision] - right).max()
        print(
            f"{side:14}{precision:9}{rate:8.0f}{rate / best[PEER, precision]:8.2f}"
            f"{ratio:>11}{apart:10.1e}"
        )


def read(options: argparse.Namespace) -> list[str]:
    """The lines, spread over the file so that their lengths are mixed."""
    from nlpcli.records.read import read_rows

    texts = [row[options.key] for row in read_rows(options.texts)]
    step = max(1, len(texts) // options.lines)
    return texts[::step][: options.lines]


def embed_nlpcli(
    options: argparse.Namespace, texts: list[str]
) -> tuple[list[float], np.ndarray]:
    """Ours: what ``nlpcli predict --output vectors.npy`` and ``index build`` call."""
    import tensorflow as tf

    from nlpcli.engine.embed import Embedder

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    embedder = Embedder.open(
        options.model,
        pooling="mean",
        prefix="",
        batch_size=options.batch_size,
        precision=options.precision[0],
    )
    return rounds(options, texts, embedder.encode)


def embed_torch(
    options: argparse.Namespace, texts: list[str]
) -> tuple[list[float], np.ndarray]:
    """transformers, the same batches."""
    encode = torch_encoder(
        options.model, options.batch_size, options.threads, options.precision[0]
    )
    return rounds(options, texts, encode)


def rounds(
    options: argparse.Namespace, texts: list[str], encode: Any
) -> tuple[list[float], np.ndarray]:
    """Sentences a second of each round, after a warm-up, and the last vectors."""
    encode(texts[: 4 * options.batch_size])
    rates = []
    for _ in range(options.rounds):
        started = time.perf_counter()
        vectors = encode(texts)
        rates.append(len(texts) / (time.perf_counter() - started))
    return rates, vectors


if __name__ == "__main__":
    main()
