"""A line of NER data: a text and its labelled spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.records.annotation import annotation_readers
from nlpcli.records.columns import (
    TaggedText,
    column_lines,
    is_column_line,
    read_columns,
)
from nlpcli.records.form import Facts, Form, Mark, Reader
from nlpcli.records.lines import Lines
from nlpcli.records.row import Row
from nlpcli.records.spans import Blocks, in_blocks, near
from nlpcli.records.tag_schemes import Scheme


@dataclass(frozen=True, order=True)
class Entity:
    """A labelled span of the text, half open, in code points."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class NerExample:
    """A text with its entities in order; ``origin`` is "file:12", for messages."""

    text: str
    entities: tuple[Entity, ...]
    origin: str = ""

    def near(self, start: int, end: int) -> list[Entity]:
        """Entities in or near [start, end) of the text, in order."""
        return near(self._blocks, start, end)

    @cached_property
    def _blocks(self) -> Blocks[Entity]:
        return in_blocks((entity.start, entity.end, entity) for entity in self.entities)


@dataclass(frozen=True)
class NerForm(Form[NerExample]):
    """``{"text", "entities": [{"start", "end", "label", "text"?}]}``, or columns.

    Overlapping entities are bad unless ``nested``; the other fields are how column
    files are read and written.
    """

    nested: bool = False
    scheme: Scheme = "BIO"
    source_scheme: Scheme | None = None
    joiner: str = ""
    repair: bool = False

    wanted = "JSON Lines or tagged columns"
    told = ("entities", "repaired", "empty")
    flags = frozenset(("nested", "scheme", "source_scheme", "joiner", "repair"))

    def with_flags(self, **given: Any) -> NerForm:
        return replace(self, **given)

    def parse(self, row: Row) -> NerExample:
        text = row.string("text")
        entities = sorted(
            _entity(item, text) for item in row.objects("entities", "entity")
        )
        for before, entity in pairwise(entities):
            if before == entity:
                raise row.error(f"entity {_show(entity)} stands there twice")
        if not self.nested and (pair := first_overlap(entities)):
            raise row.error(
                f"overlapping entities under a CRF: {_show(pair[0])} and "
                f"{_show(pair[1])}; use task.head=global-pointer"
            )
        return NerExample(text, tuple(entities), row.origin)

    def row(self, example: NerExample) -> dict[str, Any]:
        entities = [asdict(entity) for entity in example.entities]
        return {"text": example.text, "entities": entities}

    def facts(self, example: NerExample) -> Facts:
        text, entities = example.text, example.entities
        return Facts(
            texts=[text],
            sequences=[[text]],
            key=text,
            answer=entities,
            labels=[
                (
                    entity.label,
                    {
                        "count": 1,
                        "distinct": text[entity.start : entity.end],
                        "mean_length": float(entity.end - entity.start),
                    },
                )
                for entity in entities
            ],
            counts={
                "entities": len(entities),
                "empty": int(not text),
                "without_entities": int(not entities),
                "nested": int(first_overlap(entities) is not None),
            },
        )

    def converting(self) -> NerForm:
        return replace(self, nested=True)

    @property
    def published(self) -> Mapping[str, Reader[NerExample]]:
        columns = Reader(
            _is_columns,
            self._columns,
            True,
            self._as_columns,
            written_as=self.scheme,
        )
        return {**annotation_readers(self, "entities"), "columns": columns}

    def target(self, destination: Path) -> str:
        name = Path(destination.name.removesuffix(".gz"))
        return "jsonl" if name.suffix in (".jsonl", ".json") else "columns"

    def _columns(
        self, lines: Lines
    ) -> tuple[str, Iterator[NerExample | DataError | Mark]]:
        scheme, items = read_columns(
            lines, self.source_scheme, joiner=self.joiner, repair=self.repair
        )
        return scheme, map(_example, items)

    def _as_columns(self, example: NerExample) -> str:
        """An empty text gives nothing: columns cannot hold it."""
        spans = [
            (entity.start, entity.end, entity.label) for entity in example.entities
        ]
        lines = column_lines(example.text, spans, self.scheme, example.origin)
        return "".join(f"{line}\n" for line in lines) + "\n" * bool(example.text)


def first_overlap(entities: Iterable[Entity]) -> tuple[Entity, Entity] | None:
    """The first two entities that share a character; expects them in order."""
    furthest: Entity | None = None
    for entity in entities:
        if furthest and entity.start < furthest.end:
            return furthest, entity
        furthest = entity
    return None


def _entity(row: Row, text: str) -> Entity:
    start, end, label = row.integer("start"), row.integer("end"), row.string("label")
    if not label:
        raise row.error('expected a label, got ""')
    if start == end:
        raise row.error(f"expected start < end, got the empty span {start}")
    if not 0 <= start < end <= len(text):
        raise row.error(
            f"expected a span inside the text (0 <= start < end <= {len(text)}), "
            f"got {_show(Entity(start, end, label))}"
        )
    if isinstance(own := row.get("text"), str) and own != text[start:end]:
        raise row.error(
            f"expected its text {own!r} at {start}-{end}, got {text[start:end]!r}"
        )
    return Entity(start, end, label)


def _example(item: TaggedText | DataError | Mark) -> NerExample | DataError | Mark:
    if not isinstance(item, TaggedText):
        return item
    entities = tuple(Entity(*span) for span in item.spans)
    return NerExample(item.text, entities, item.origin)


def _is_columns(lines: Lines) -> bool:
    """Anything but JSON Lines, so that a broken column file is told as one.

    A column file may begin with the character ``{``, but then its tag follows.
    """
    first = lines.first()
    if first is None:
        return False
    return not first.lstrip().startswith("{") or is_column_line(first)


def _show(entity: Entity) -> str:
    return f"{entity.label} {entity.start}-{entity.end}"
