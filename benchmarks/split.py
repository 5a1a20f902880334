"""Cut a seeded training part and a held-out part from a JSON Lines file.

    python benchmarks/split.py FILE OUT_DIR --train 10000 --held-out 3000 --seed 13

Writes OUT_DIR/train.jsonl and OUT_DIR/dev.jsonl; no line is in both, and lines with
the same text stay on one side. ``--without OTHER...`` leaves out what shares a text
(any string of a row) with a line of those files, whatever their shape.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpcli.files.atomic import write_atomic
from nlpcli.records.lines import read_lines


def main() -> None:
    """Read, shuffle by the seed, write both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, required=True)
    parser.add_argument("--held-out", type=int, default=0)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--without", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    taken = {
        t for path in options.without for _, x in read_lines(path) for t in texts(x)
    }
    by_text = {
        key_of(line): line
        for _, line in read_lines(options.file)
        if taken.isdisjoint(texts(line))
    }
    lines = list(by_text.values())
    random.Random(options.seed).shuffle(lines)
    parts = {
        "dev": lines[: options.held_out],
        "train": lines[options.held_out :][: options.train],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        if part:
            write_atomic(options.out / f"{name}.jsonl", "\n".join(part) + "\n")
            print(f"{options.out / name}.jsonl: {len(part)} lines")


def key_of(line: str) -> str:
    """What makes a row the same as another: its text, else all of it."""
    row = json.loads(line)
    names = ("text", "first", "question", "passage")
    return next((row[name] for name in names if name in row), line)


def texts(line: str) -> set[str]:
    """Every string of a row."""
    return set(strings(json.loads(line)))


def strings(value: Any) -> Iterator[str]:
    """The strings inside a JSON value, keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


if __name__ == "__main__":
    main()
