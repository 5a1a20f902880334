"""Published pairs and synonyms to canonical JSON Lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.atomic import refuse_existing, write_lines
from recipes.simbert.examples import SimilarityExample, json_line, read_examples


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    skip_bad: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Rewrite a file as JSON Lines; ``.gz`` compresses.

    It reads columns between tabs (LCQMC, BQ: text, text, label; ATEC: with a number
    before them), SimBERT's JSON Lines, pairs under the names of AFQMC, and triplets.

    Returns the counts: groups, pairs, triplets, and bad lines skipped. The
    destination appears whole or not at all; the first bad line raises DataError
    unless ``skip_bad``.
    """
    destination = Path(destination)
    refuse_existing(destination, force)
    written: list[str] = []
    counts = {"group": 0, "pair": 0, "triplet": 0}
    skipped = 0
    for item in read_examples(source):
        if isinstance(item, SimilarityExample):
            counts[item.kind] += 1
            written.append(json_line(item) + "\n")
        elif skip_bad:
            skipped += 1
        else:
            raise item
    if not written:
        raise DataError(f"{source}: expected synonyms or pairs, got bad lines alone")
    write_lines(destination, written)
    kinds = {f"{kind}s": count for kind, count in counts.items() if count}
    return {"to": "jsonl", **kinds, "skipped": skipped}
