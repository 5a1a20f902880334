"""Label Studio's tasks: its JSON export, and tasks with predictions to import."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from nlpcli.errors import DataError
from nlpcli.records.lines import Lines
from nlpcli.records.marks import Link, Marks, Span, Values, marks_of
from nlpcli.records.pairs import NAMES, TEXTS
from nlpcli.records.read import json_values
from nlpcli.records.row import Row, shown

LIST = ("[\n", ",\n", "\n]\n")  # around and between the tasks of a file
# in versions before 1.0 annotations were completions
DONE = ("annotations", "completions")
_TAG = {"from_name": "label", "to_name": "text"}


def is_task(row: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a task rather than a canonical row."""
    return isinstance(row.get("data"), dict) and NAMES.isdisjoint(row)


def is_list(head: str) -> bool:
    """Whether the beginning of a JSON list is that of a list of tasks."""
    return any(f'"{name}"' in head for name in ("data", "predictions", *DONE))


def read_label_studio(lines: Lines, kind: str) -> Iterator[Marks | DataError]:
    """The marks of each task of a JSON list, or of a task a line.

    Those of the annotation that was changed last and not cancelled, else of the last
    prediction; a task without either is a bad one.
    """
    for row in _tasks(lines):
        try:
            if isinstance(row, DataError):
                raise row
            yield _read(row)
        except DataError as error:
            yield error


def label_studio(row: Mapping[str, Any], predicted: bool = False) -> Values:
    """A canonical row as an annotated task; an answer as one with a prediction.

    The tags of the project are called ``label`` (Labels or Choices) over ``text``.
    """
    marks = marks_of(row)
    result: list[Values] = [
        {"id": key, **_TAG, "type": "labels", "value": _value(marks.text, span)}
        for key, span in marks.spans.items()
    ]
    result += [
        {
            "type": "relation",
            "from_id": one,
            "to_id": other,
            "direction": "right",
            "labels": [name],
        }
        for one, name, other in marks.links
    ]
    if marks.names:
        choices = {"choices": list(marks.names)}
        result.append({"id": "0", **_TAG, "type": "choices", "value": choices})
    side = "predictions" if predicted else "annotations"
    return {**task(row, marks.text), side: [{"result": result}]}


def task(row: Mapping[str, Any], text: str, **meta: Any) -> Values:
    """What is asked in a task; ``meta`` is told beside it."""
    known = {"id": row["id"]} if "id" in row else {}
    return {"data": {**known, "text": text, **({"meta": meta} if meta else {})}}


def _value(text: str, span: Span) -> Values:
    start, end, label, _ = span
    return {"start": start, "end": end, "text": text[start:end], "labels": [label]}


def _tasks(lines: Lines) -> Iterator[Row | DataError]:
    whole, values = json_values(lines)
    for origin, value in values:
        if isinstance(value, DataError):
            yield value
            continue
        for number, item in enumerate(value if isinstance(value, list) else [value], 1):
            where = f"{origin}: task {number}" if whole else origin
            if isinstance(item, dict):
                yield Row(item, where)
            else:
                yield DataError(f"{where}: expected an object, got {shown(item)}")


def _read(row: Row) -> Marks:
    data = row.object("data")
    text = data.string(next((name for name in TEXTS if name in data), "text"))
    spans: dict[str, Span] = {}
    links: list[Link] = []
    names: list[str] = []
    for item in _results(row):
        if item.get("type") == "relation":
            links += _links(item)
            continue
        value = item.object("value")
        if "start" not in value:  # else a choice about a span
            names += _strings(value, "choices")
        for label in _strings(value, "labels"):
            key = str(item.get("id", ""))
            # a relation means the first label of a region
            key = f"{key}#{len(spans)}" if not key or key in spans else key
            spans[key] = _span(value, text, label)
    return Marks(row, text, spans, links, names)


def _results(row: Row) -> Iterable[Row]:
    done = [item for name in DONE for item in _objects(row, name)]
    found = [item for item in done if not item.get("was_cancelled")]
    if not (found := found or list(_objects(row, "predictions"))):
        raise row.error(
            "expected an annotation that was not cancelled, or a prediction, got none"
        )
    last = sorted(found, key=lambda x: str(x.get("updated_at") or x.get("created_at")))
    return _objects(last[-1], "result")


def _links(item: Row) -> Iterator[Link]:
    """Each label of a relation, each way that it holds."""
    one, other = item.string("from_id"), item.string("to_id")
    way = item.get("direction")
    for name in _strings(item, "labels") or ["relation"]:
        if way != "left":
            yield Link(one, name, other)
        if way in ("left", "bi"):
            yield Link(other, name, one)


def _span(value: Row, text: str, label: str) -> Span:
    """Code points; a span of old versions, in UTF-16 units, where its text says so."""
    start, end, own = value.integer("start"), value.integer("end"), value.get("text")
    if not isinstance(own, str) or _same(own, text[start:end]):
        return Span(start, end, label)
    first, last = _point(text, start), _point(text, end)
    if 0 <= first <= last and _same(own, text[first:last]):
        return Span(first, last, label)
    return Span(start, end, label, own)


def _point(text: str, unit: int) -> int:
    """The code point at a UTF-16 unit, or the end; -1 in the middle of one."""
    wide = _wide(text)
    before = bisect_left(wide, unit)
    inside = before and wide[before - 1] == unit - 1
    return -1 if inside else min(unit - before, len(text))


@lru_cache(maxsize=1)  # a text is asked for each of its spans
def _wide(text: str) -> list[int]:
    """The units at which the characters begin that take two."""
    places = (i for i, character in enumerate(text) if character > "\uffff")
    return [place + number for number, place in enumerate(places)]


def _same(own: str, here: str) -> bool:
    """Label Studio folds the space in what it repeats, and may escape line ends."""
    return "".join(own.replace("\\n", "\n").split()) == "".join(here.split())


def _objects(row: Row, key: str) -> Iterable[Row]:
    what = key.removesuffix("s")
    return row.objects(key, what) if row.get(key) is not None else ()


def _strings(row: Row, key: str) -> list[str]:
    found = row.items(key) if row.get(key) is not None else []
    for item in found:
        if not isinstance(item, str):
            raise row.error(f'expected text in "{key}", got {shown(item)}')
    return found
