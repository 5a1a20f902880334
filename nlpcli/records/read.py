"""The examples of a file: opened once, read once, bad lines in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_file import NotJson, parse_json
from nlpcli.records.form import E, Form, Mark
from nlpcli.records.lines import BESIDE, LONGEST_LINE, BadLine, Lines, Spooled
from nlpcli.records.row import Row, parse_object, shorten

_A_MESSAGE = 500  # bytes that a bad line takes


def read(
    form: Form[E], source: str | Path | Spooled, longest: int = LONGEST_LINE
) -> Iterator[E | DataError]:
    """The examples of a file as ``train`` reads it: canonical lines, or a format that
    the form reads directly; ``longest`` bytes a line.

    A bad line comes out as a DataError in its place, so the caller chooses to stop or
    to count it. Raises DataError for a file with nothing in it, NotFoundError for a
    missing one.
    """
    with Lines(source, longest) as lines:
        _, items = open_items(form, lines, every=False)
        for item in items:
            if not isinstance(item, Mark):
                yield item


def open_items(
    form: Form[E], lines: Lines, every: bool, known: str | None = None
) -> tuple[str, Iterator[Any]]:
    """The format of an input, by name, and its examples, bad lines and marks.

    ``every``: all published formats, not only those that train reads; ``known`` names
    the format where it is said.
    """
    for name, reader in form.published.items():
        if name == known or (
            known is None and (every or reader.direct) and reader.recognises(lines)
        ):
            return reader.read(lines)
    first = lines.first()
    if first is None:
        bad = next((x for _, x in lines.head() if isinstance(x, DataError)), None)
        got = "an empty file" if lines.ended else f"{lines.number} lines without text"
        raise bad or DataError(f"{lines.name}: expected {form.wanted}, got {got}")
    if every and known is None and form.formats and not first.lstrip().startswith("{"):
        raise DataError(
            f"{lines.name}: expected {form.formats}, got {shorten(first)!r}"
        )
    return "jsonl", json_items(form, lines)


def json_items(form: Form[E], lines: Lines) -> Iterator[E | DataError]:
    """The examples of canonical JSON Lines."""
    for row in json_rows(lines, form.hint):
        yield from parsed(form, row)


def parsed(form: Form[E], row: Row | DataError) -> Iterator[E | DataError]:
    """The example of a canonical row behind the problems of its parts; what is wrong
    with the whole row stands alone."""
    found = form.tried(row)
    if isinstance(row, Row) and not isinstance(found, DataError):
        yield from row.problems
    yield found


def read_rows(source: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file; the first line that is none is raised."""
    with Lines(source) as lines:
        for row in json_rows(lines):
            if isinstance(row, DataError):
                raise row
            yield dict(row.values)


def json_rows(lines: Lines, hint: str = "") -> Iterator[Row | DataError]:
    """The objects of JSON Lines, blank lines passed over."""
    for number, text in lines:
        if isinstance(text, DataError):
            yield text
        elif text.strip():
            origin = lines.origin(number)
            try:
                yield Row(parse_object(text, origin), origin, hint)
            except DataError as error:
                yield error


def json_values(lines: Lines) -> tuple[bool, Iterator[tuple[str, Any]]]:
    """Whether an input is one JSON object or list, and where each value stands: the
    one, or the object of each line, a DataError in the place of a bad one.

    Raises DataError for an input that is neither.
    """
    some = lines.some(2)
    first = str(some[0][1]).strip() if some else ""
    if _is_object(first):
        whole = len(some) == 1
        return whole, _objects(
            (lines.name if whole else lines.origin(number), line)
            for number, line in lines
        )
    kept = _kept(lines)
    bad = next((line for line in kept if isinstance(line, DataError)), None)
    text = "\n".join(map(str, kept))
    try:
        value = parse_json(text) if bad is None else None
        wanted = f"a JSON object or list, got {shorten(text)!r}"
    except NotJson as error:
        value, wanted = None, f"JSON ({error})"
    if isinstance(value, (dict, list)):
        return True, iter([(lines.name, value)])
    if not (first.startswith("{") and first.endswith("}")):
        raise bad or DataError(f"{lines.name}: expected {wanted}")
    return False, _objects(
        (lines.origin(number), line) for number, line in enumerate(kept, start=1)
    )


def _is_object(line: str) -> bool:
    if not (line.startswith("{") and line.endswith("}")):
        return False
    try:
        return isinstance(parse_json(line), dict)
    except NotJson:
        return False


def _objects(lines: Iterable[tuple[str, str | DataError]]) -> Iterator[tuple[str, Any]]:
    for origin, line in lines:
        try:
            if isinstance(line, DataError):
                raise line
            if line.strip():
                yield origin, parse_object(line, origin)
        except DataError as error:
            yield origin, error


def document(lines: Lines) -> Any:
    """The JSON value that a whole input is; raises DataError."""
    texts = []
    for text in _kept(lines):
        if isinstance(text, DataError):
            raise text
        texts.append(text)
    try:
        return parse_json("\n".join(texts))
    except NotJson as error:
        raise DataError(f"{lines.name}: expected JSON ({error})") from error


def _kept(lines: Lines) -> list[str | BadLine]:
    """All lines, which are one value; DataError where they are too long for one."""
    kept: list[str | BadLine] = []
    size = 0
    for number, line in lines:
        size += BESIDE + (len(line) if isinstance(line, str) else _A_MESSAGE)
        if size > lines.longest:
            raise lines.too_long(number, "JSON value")
        kept.append(line)
    return kept
