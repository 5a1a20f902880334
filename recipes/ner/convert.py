"""Column files to canonical JSON Lines and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.atomic import refuse_existing, write_lines
from recipes.ner.columns import column_lines, detect_scheme
from recipes.ner.examples import (
    NerExample,
    is_json_lines,
    json_line,
    read_examples,
    read_tagged,
)
from recipes.ner.tags import Scheme


def convert(
    source: str | Path,
    destination: str | Path,
    scheme: Scheme = "BIO",
    *,
    source_scheme: Scheme | None = None,
    joiner: str = "",
    repair: bool = False,
    skip_bad: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Rewrite a file as ``destination`` says: JSON Lines if its name ends in .jsonl.

    Any other name gets columns in ``scheme``, a character a line; ``.gz`` compresses.
    What the source is, its content tells; ``source_scheme`` overrides its tag scheme,
    ``joiner`` stands between its tokens, ``repair`` mends tags its scheme forbids.

    Returns the counts: examples, entities, repaired tags, bad lines skipped, and
    texts left out because they are empty, which columns cannot hold. The destination
    appears whole or not at all; the first bad line raises unless ``skip_bad``.
    """
    destination = Path(destination)
    refuse_existing(destination, force)
    to_json = Path(destination.name.removesuffix(".gz")).suffix in (".jsonl", ".json")
    counts = dict.fromkeys(("examples", "entities", "repaired", "skipped", "empty"), 0)

    def count_repair(message: str) -> None:
        counts["repaired"] += 1

    found_scheme: Scheme | None = None
    if is_json_lines(source):
        examples = read_examples(source, nested=True)
    else:
        found_scheme = source_scheme or detect_scheme(source)
        on_repair = count_repair if repair else None
        examples = read_tagged(source, found_scheme, joiner=joiner, on_repair=on_repair)

    written: list[str] = []
    for example in examples:
        try:
            if isinstance(example, DataError):
                raise example
            lines = _as_json(example) if to_json else _as_columns(example, scheme)
        except DataError:
            if not skip_bad:
                raise
            counts["skipped"] += 1
            continue
        if not to_json and not example.text:
            counts["empty"] += 1
            continue
        counts["examples"] += 1
        counts["entities"] += len(example.entities)
        written.append(lines)
    write_lines(destination, written)
    return {
        "from": found_scheme or "jsonl",
        "to": "jsonl" if to_json else scheme,
        **counts,
    }


def _as_json(example: NerExample) -> str:
    return json_line(example) + "\n"


def _as_columns(example: NerExample, scheme: Scheme) -> str:
    spans = [(entity.start, entity.end, entity.label) for entity in example.entities]
    rows = column_lines(example.text, spans, scheme, example.line)
    return "".join(f"{row}\n" for row in rows) + "\n"
