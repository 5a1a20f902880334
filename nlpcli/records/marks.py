"""What people mark in a text: labelled spans, links between spans, labels of it all.

Annotation tools and canonical rows meet here. The rows are told by their keys:
``entities``, ``spo_list`` (with spans) or ``label``/``labels``; so answers become
pre-annotations the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nlpcli.records.pairs import PAIRS, joined
from nlpcli.records.row import Row

Values = dict[str, Any]
ROLES = ("subject", "object")


class Span(NamedTuple):
    """Half open, in code points; ``own``: the text that it says it has, where that is
    not what stands there."""

    start: int
    end: int
    label: str
    own: str | None = None


class Link(NamedTuple):
    """From one span to another, by their ids."""

    one: str
    name: str
    other: str


@dataclass(frozen=True)
class Marks:
    """The marks of a text; ``row`` is where they stand, spans are found by their ids,
    ``names`` are the labels of the whole text."""

    row: Row
    text: str
    spans: Mapping[str, Span] = field(default_factory=dict)
    links: Sequence[Link] = ()
    names: Sequence[Any] = ()


def marks_of(row: Mapping[str, Any]) -> Marks:
    """The marks of a canonical row, or of an answer with its text."""
    spans = [Span(e["start"], e["end"], e["label"]) for e in row.get("entities", ())]
    numbers = {span: number for number, span in reversed([*enumerate(spans)])}
    links = []
    for spo in row.get("spo_list", ()):
        ends = []
        for role in ROLES:
            start, end = spo[f"{role}_span"]
            span = Span(start, end, spo.get(f"{role}_type", role))
            if span not in numbers:
                numbers[span] = len(spans)
                spans.append(span)
            ends.append(str(numbers[span]))
        links.append(Link(ends[0], spo["predicate"], ends[1]))
    ids = map(str, range(len(spans)))
    by_id = dict(zip(ids, spans, strict=True))
    return Marks(Row(row), _text(row), by_id, links, names_of(row))


def names_of(row: Mapping[str, Any]) -> list[Any]:
    """The labels of a row, or of an answer, that classifies."""
    found = row.get("labels", [row["label"]] if row.get("label") is not None else [])
    return [item["label"] if isinstance(item, dict) else item for item in found]


def canonical(marks: Marks, kind: str, several: bool = False) -> Row:
    """The canonical row with the key ``kind``; ``several``: "labels" for "label".

    Raises DataError for a link to no span and for a text without its one label.
    """
    values: Values = {"text": marks.text}
    if kind == "entities":
        values[kind] = [_told(span) for span in marks.spans.values()]
    elif kind == "spo_list":
        values[kind] = [_triple(marks, link) for link in marks.links]
    elif several:
        values["labels"] = list(marks.names)
    elif marks.names:
        values[kind] = marks.names[0]
    else:
        raise marks.row.error("expected a label, got none")
    return Row(values, marks.row.origin)


def _text(row: Mapping[str, Any]) -> str:
    """The text of a row; both of a pair with a tab between, as it is read again."""
    pair = tuple(str(row[name]) for name in PAIRS[0] if name in row)
    return joined(pair) if len(pair) == 2 else str(row.get("text", ""))


def _told(span: Span) -> Values:
    own = {} if span.own is None else {"text": span.own}
    return {"start": span.start, "end": span.end, "label": span.label, **own}


def _triple(marks: Marks, link: Link) -> Values:
    """A type is told where the label of a span is more than its role."""
    values: Values = {"predicate": link.name}
    for role, end in zip(ROLES, (link.one, link.other), strict=True):
        span = marks.spans.get(end)
        if span is None:
            known = ", ".join(marks.spans) or "none"
            raise marks.row.error(
                f"relation {link.name}: expected the id of a span ({known}), got {end}"
            )
        here = marks.text[span.start : span.end]
        values[role] = here if span.own is None else span.own
        values[f"{role}_span"] = [span.start, span.end]
        if span.label != role:
            values[f"{role}_type"] = span.label
    return values
