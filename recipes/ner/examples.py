"""NER examples: a text and its labelled spans, read from JSON Lines or column files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import decode_lines, parse_object, where
from recipes.ner.columns import is_column_line, read_columns
from recipes.ner.tags import Scheme


@dataclass(frozen=True, order=True)
class Entity:
    """A labelled span of the text, half open, in code points."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class NerExample:
    """A text with its entities in order; ``line`` is "file:12", for messages."""

    text: str
    entities: tuple[Entity, ...]
    line: str = ""


def read_examples(
    path: str | Path, nested: bool = False
) -> Iterator[NerExample | DataError]:
    """Read a JSON Lines or a column file, told apart by content, ``.gz`` or not.

    A bad line comes out as a DataError in its place, so the caller chooses to stop or
    to count it. Overlapping entities are bad unless ``nested``.

    Raises DataError for a file with nothing in it or with tags of no scheme, and
    NotFoundError for a missing one.
    """
    if is_json_lines(path):
        yield from _read_json(path, nested)
    else:
        yield from read_tagged(path)


def is_json_lines(path: str | Path) -> bool:
    """Whether the first non-blank line opens an object; DataError when there is none.

    A column file may begin with the character ``{``, but then its tag follows.
    """
    bad: DataError | None = None
    for _, line in decode_lines(path):
        if isinstance(line, DataError):
            bad = bad or line
        elif line.strip():
            return line.lstrip().startswith("{") and not is_column_line(line)
    raise bad or DataError(
        f"{path}: expected JSON Lines or tagged columns, got an empty file"
    )


def read_tagged(
    path: str | Path, scheme: Scheme | None = None, **options: Any
) -> Iterator[NerExample | DataError]:
    """Read a column file; scheme and options are those of ``read_columns``."""
    for tagged in read_columns(path, scheme, **options):
        if isinstance(tagged, DataError):
            yield tagged
        else:
            entities = tuple(Entity(*span) for span in tagged.spans)
            yield NerExample(tagged.text, entities, tagged.line)


def json_line(example: NerExample) -> str:
    """The canonical JSON line of an example, without its line end."""
    entities = [asdict(entity) for entity in example.entities]
    return dumps({"text": example.text, "entities": entities})


def parse_example(row: dict[str, Any], line: str, nested: bool = False) -> NerExample:
    """Check one JSON object; DataError says what is wrong, beginning with ``line``."""
    text = _value(row, "text", str, "a string", line)
    rows = _value(row, "entities", list, "a list", line)
    entities = [
        _parse_entity(entity, len(text), f"{line}: entity {number}")
        for number, entity in enumerate(rows, start=1)
    ]
    entities.sort()
    for before, entity in pairwise(entities):
        if before == entity:
            raise DataError(f"{line}: entity {_show(entity)} stands there twice")
    if not nested and (pair := first_overlap(entities)):
        raise DataError(
            f"{line}: overlapping entities under a CRF: {_show(pair[0])} and "
            f"{_show(pair[1])}; use task.head=global-pointer"
        )
    return NerExample(text, tuple(entities), line)


def first_overlap(entities: Iterable[Entity]) -> tuple[Entity, Entity] | None:
    """The first two entities that share a character; expects them in order."""
    furthest: Entity | None = None
    for entity in entities:
        if furthest and entity.start < furthest.end:
            return furthest, entity
        furthest = entity
    return None


def _read_json(path: str | Path, nested: bool) -> Iterator[NerExample | DataError]:
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            yield line
            continue
        if not line.strip():
            continue
        place = where(path, number)
        try:
            yield parse_example(parse_object(line, place), place, nested)
        except DataError as error:
            yield error


def _parse_entity(row: Any, length: int, place: str) -> Entity:
    if not isinstance(row, dict):
        raise DataError(f"{place}: expected an object, got {_shorten(dumps(row))}")
    start = _value(row, "start", int, "an integer", place)
    end = _value(row, "end", int, "an integer", place)
    label = _value(row, "label", str, "a string", place)
    if not label:
        raise DataError(f'{place}: expected a label, got ""')
    entity = Entity(start, end, label)
    if start == end:
        raise DataError(f"{place}: expected start < end, got the empty span {start}")
    if not 0 <= start < end <= length:
        raise DataError(
            f"{place}: expected a span inside the text (0 <= start < end <= {length}), "
            f"got {_show(entity)}"
        )
    return entity


def _value(row: dict[str, Any], key: str, kind: type, name: str, place: str) -> Any:
    if key not in row:
        keys = ", ".join(f'"{key}"' for key in row) or "none"
        raise DataError(f'{place}: expected the key "{key}", got the keys {keys}')
    value = row[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(
            f'{place}: expected {name} for "{key}", got {_shorten(dumps(value))}'
        )
    return value


def _shorten(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _show(entity: Entity) -> str:
    return f"{entity.label} {entity.start}-{entity.end}"
