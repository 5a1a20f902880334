"""DuIE's JSON Lines to canonical ones, with the places of subjects and objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.atomic import refuse_existing, write_lines
from recipes.triple_extract.examples import TripleExample, json_line, read_examples


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    skip_bad: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Rewrite triples with their spans, complex objects a triple a slot; ``.gz`` packs.

    Reads DuIE 1.0 and 2.0, and canonical files themselves. Without spans the two
    nearest mentions are taken.

    Returns the counts: examples, triples, and bad lines or triples skipped. The
    destination appears whole or not at all; the first bad one raises DataError unless
    ``skip_bad``, which leaves a bad triple out of its line.
    """
    destination = Path(destination)
    refuse_existing(destination, force)
    written: list[str] = []
    counts = dict.fromkeys(("examples", "triples", "skipped"), 0)
    for item in read_examples(source):
        if isinstance(item, TripleExample):
            counts["examples"] += 1
            counts["triples"] += len(item.triples)
            written.append(json_line(item) + "\n")
        elif isinstance(item, DataError) and not skip_bad:
            raise item
        else:
            counts["skipped"] += 1
    write_lines(destination, written)
    return {"from": "jsonl", "to": "jsonl", **counts}
