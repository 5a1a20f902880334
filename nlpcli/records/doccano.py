"""doccano's JSON Lines, as it exports and imports them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nlpcli.errors import DataError
from nlpcli.records.lines import Lines
from nlpcli.records.marks import Link, Marks, Span, Values, marks_of
from nlpcli.records.read import json_rows
from nlpcli.records.row import Row, shown


def is_doccano(row: Mapping[str, Any], kind: str) -> bool:
    """Whether a JSON object is a line of doccano rather than a canonical row."""
    entities = row.get("entities")
    if isinstance(entities, list) and (
        "relations" in row
        or any("start_offset" in e for e in entities if isinstance(e, dict))
    ):
        return True
    if kind == "label":
        return isinstance(row.get(kind), list)
    listed = isinstance(row.get("label", row.get("labels")), list)
    return listed and kind not in row


def read_doccano(lines: Lines, kind: str) -> Iterator[Marks | DataError]:
    """The marks of each line: ``label`` (in old versions ``labels``) is a list of
    names or of [start, end, label]; ``entities`` and ``relations`` go by ids."""
    for row in json_rows(lines):
        try:
            if isinstance(row, DataError):
                raise row
            yield _read(row, kind)
        except DataError as error:
            yield error


def doccano(row: Mapping[str, Any]) -> Values:
    """A canonical row, or an answer with its text, as a line that doccano imports."""
    marks = marks_of(row)
    told = {name: row[name] for name in ("id",) if name in row}
    told["text"] = marks.text
    if "spo_list" in row:
        told["entities"] = [
            {
                "id": int(key),
                "label": x.label,
                "start_offset": x.start,
                "end_offset": x.end,
            }
            for key, x in marks.spans.items()
        ]
        told["relations"] = [
            {"id": n, "from_id": int(one), "to_id": int(other), "type": name}
            for n, (one, name, other) in enumerate(marks.links)
        ]
    elif "entities" in row:
        told["label"] = [[x.start, x.end, x.label] for x in marks.spans.values()]
    else:
        told["label"] = list(marks.names)
    return told


def _read(row: Row, kind: str) -> Marks:
    text = row.string("text")
    key = "labels" if "labels" in row and "label" not in row else "label"
    if kind == "label":
        return Marks(row, text, names=row.items(key))
    if key not in row and "entities" not in row:
        raise row.missing("label", "entities")
    listed = row.items(key) if key in row else []
    spans = {f"#{n}": _span(row, item) for n, item in enumerate(listed)}
    for entity in row.objects("entities", "entity") if "entities" in row else ():
        spans[str(entity.value("id"))] = Span(
            entity.integer("start_offset"),
            entity.integer("end_offset"),
            entity.string("label"),
        )
    found = row.objects("relations", "relation") if "relations" in row else ()
    links = [
        Link(str(x.value("from_id")), x.string("type"), str(x.value("to_id")))
        for x in found
    ]
    return Marks(row, text, spans, links)


def _span(row: Row, item: Any) -> Span:
    if not isinstance(item, list) or len(item) != 3:
        raise row.error(f"expected [start, end, label], got {shown(item)}")
    values = Row(dict(zip(("start", "end", "label"), item, strict=True)), row.origin)
    return Span(values.integer("start"), values.integer("end"), values.string("label"))
