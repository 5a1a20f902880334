"""A file in one format to a file in another, through the examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError, UsageError
from nlpcli.files.json_text import dumps
from nlpcli.files.named import refuse_existing, write_lines
from nlpcli.records.form import E, Form, Mark, Unfit
from nlpcli.records.lines import LONGEST_DOCUMENT, Lines
from nlpcli.records.read import open_items


def convert(
    form: Form[E],
    source: str | Path,
    destination: str | Path,
    *,
    source_format: str | None = None,
    to: str | None = None,
    skip_bad: bool = False,
    force: bool = False,
    longest: int = LONGEST_DOCUMENT,
) -> dict[str, Any]:
    """Rewrite a file: canonical JSON Lines, or the format that ``to`` or the name says.

    What the source is, its first lines tell, unless ``source_format`` does; a name in
    .gz packs. ``longest``: bytes of a line, and of a file that is one JSON value.
    Returns the counts: examples, what the form tells, bad lines skipped.
    The destination appears whole or not at all; the first bad line raises DataError
    unless ``skip_bad``. UsageError for a format that is not there or not written.
    """
    destination = Path(destination)
    refuse_existing(destination, force)
    if source_format not in (None, "jsonl", *form.published):
        raise UsageError(
            f"--from: expected one of {', '.join(('jsonl', *form.published))}, "
            f"got {source_format}"
        )
    form = form.converting()
    target = to or form.target(destination)
    write, (head, between, tail), target = _writer(form, target)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    empty = 0

    def pieces(items: Iterator[Any]) -> Iterator[str]:
        nonlocal empty
        yield head
        for item in items:
            if isinstance(item, Mark):
                counts[item.name] += 1
                continue
            try:
                if isinstance(item, DataError):
                    raise item
                piece = write(item)
            except DataError as error:
                if not skip_bad:
                    raise
                counts["skipped"] += 1
                reasons.update([error.reason] if isinstance(error, Unfit) else [])
                continue
            if not piece:
                empty += 1
                continue
            yield between * (counts["examples"] > 0) + piece
            counts["examples"] += 1
            counts.update(form.facts(item).counts)
        yield tail

    with Lines(source, longest) as lines:
        name, items = open_items(form, lines, every=True, known=source_format)
        write_lines(destination, pieces(items), force)
    counts["empty"] = empty  # those that the target cannot hold, not those written
    return {
        "from": name,
        "to": target,
        "examples": counts["examples"],
        **{key: counts[key] for key in form.told},
        "skipped": counts["skipped"],
        **form.reasons(reasons),
    }


def _writer(
    form: Form[E], target: str
) -> tuple[Callable[[E], str], tuple[str, str, str], str]:
    """An example as a piece of the target, its frame, and what reports call it."""
    if target == "jsonl":
        return (lambda example: dumps(form.row(example)) + "\n"), ("", "", ""), target
    reader = form.published.get(target)
    if reader is None or reader.write is None:
        names = [name for name, r in form.published.items() if r.write is not None]
        raise UsageError(
            f"--to: expected one of {', '.join(('jsonl', *names))}, got {target}"
        )
    return reader.write, reader.frame, reader.written_as or target
