"""doccano and Label Studio: what people annotate with, read and written.

Both are reached through canonical rows, told by their keys: ``entities``, ``spo_list``
(with spans) or ``label``/``labels``; so answers become pre-annotations the same way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_file import NotJson, parse_json
from nlpcli.files.json_text import dumps
from nlpcli.records.form import E, Form, Reader
from nlpcli.records.lines import Lines
from nlpcli.records.pairs import PAIRS, joined
from nlpcli.records.read import json_rows, json_values
from nlpcli.records.row import Row, shown

Values = dict[str, Any]
FORMATS = ("doccano", "label-studio")
LIST = ("[\n", ",\n", "\n]\n")  # around and between the tasks of Label Studio


def annotation_readers(form: Form[E], kind: str) -> dict[str, Reader[E]]:
    """The two formats for a form whose canonical rows have ``kind``."""

    def reader(name: str, rows: Callable[[Lines], Iterator[Row | DataError]]) -> Any:
        def read(lines: Lines) -> tuple[str, Iterator[E | DataError]]:
            return name, (form.tried(_canonical(row, kind)) for row in rows(lines))

        return read

    return {
        "doccano": Reader(
            _is_doccano,
            reader("doccano", json_rows),
            write=lambda example: dumps(doccano(form.row(example))) + "\n",
        ),
        "label-studio": Reader(
            _is_label_studio,
            reader("label-studio", _tasks),
            write=lambda example: dumps(label_studio(form.row(example))),
            frame=LIST,
        ),
    }


def doccano(row: Mapping[str, Any]) -> Values:
    """A canonical row, or an answer with its text, as a line that doccano imports."""
    text = {"text": _text(row)}
    entities, relations = _marks(row)
    if "spo_list" in row:
        spans = [
            {"id": number, "label": label, "start_offset": start, "end_offset": end}
            for number, (start, end, label) in enumerate(entities)
        ]
        links = [
            {"id": number, "from_id": one, "to_id": other, "type": name}
            for number, (one, name, other) in enumerate(relations)
        ]
        return {**text, "entities": spans, "relations": links}
    if "entities" in row:
        return {**text, "label": [list(entity) for entity in entities]}
    return {**text, "label": _names(row)}


def label_studio(row: Mapping[str, Any], predicted: bool = False) -> Values:
    """A canonical row as an annotated task; an answer as one with a prediction.

    The tags of the project are called ``label`` (Labels or Choices) over ``text``.
    """
    entities, relations = _marks(row)
    tag = {"from_name": "label", "to_name": "text"}
    text = _text(row)
    result: list[Values] = [
        {
            "id": str(number),
            **tag,
            "type": "labels",
            "value": {
                "start": start,
                "end": end,
                "text": text[start:end],
                "labels": [label],
            },
        }
        for number, (start, end, label) in enumerate(entities)
    ]
    result += [
        {
            "type": "relation",
            "from_id": str(one),
            "to_id": str(other),
            "direction": "right",
            "labels": [name],
        }
        for one, name, other in relations
    ]
    if names := _names(row):
        choice = {"type": "choices", "value": {"choices": names}}
        result.append({"id": "0", **tag, **choice})
    side = "predictions" if predicted else "annotations"
    return {"data": {"text": text}, side: [{"result": result}]}


def _text(row: Mapping[str, Any]) -> str:
    """The text of a row; both of a pair with a tab between, as it is read again."""
    pair = tuple(str(row[name]) for name in PAIRS[0] if name in row)
    return joined(pair) if len(pair) == 2 else str(row.get("text", ""))


def _marks(
    row: Mapping[str, Any],
) -> tuple[list[tuple[int, int, str]], list[tuple[int, str, int]]]:
    """Spans with their labels, and links between spans by their numbers."""
    entities = [(e["start"], e["end"], e["label"]) for e in row.get("entities", ())]
    numbers = {entity: number for number, entity in reversed([*enumerate(entities)])}
    relations = []
    for spo in row.get("spo_list", ()):
        ends = []
        for role in ("subject", "object"):
            label = spo.get(f"{role}_type", role)
            entity = (*spo[f"{role}_span"], label)
            if entity not in numbers:
                numbers[entity] = len(entities)
                entities.append(entity)
            ends.append(numbers[entity])
        relations.append((ends[0], spo["predicate"], ends[1]))
    return entities, relations


def _names(row: Mapping[str, Any]) -> list[str]:
    """The labels of a row, or of an answer, that classifies."""
    found = row.get("labels", [row["label"]] if row.get("label") is not None else [])
    return [item["label"] if isinstance(item, dict) else item for item in found]


def _is_doccano(lines: Lines) -> bool:
    first = _first_row(lines)
    return isinstance(first.get("label"), list) or (
        "entities" in first and "relations" in first
    )


def _is_label_studio(lines: Lines) -> bool:
    first = (lines.first() or "").lstrip()
    if first.startswith("["):
        head = "".join(text for _, text in lines.head(50) if isinstance(text, str))
        return '"data"' in head
    return isinstance(_first_row(lines).get("data"), dict)


def _first_row(lines: Lines) -> Values:
    try:
        value = parse_json(lines.first() or "")
    except NotJson:
        return {}
    return value if isinstance(value, dict) else {}


def _tasks(lines: Lines) -> Iterator[Row | DataError]:
    """The tasks of a JSON list, or of a task a line."""
    whole, values = json_values(lines)
    for origin, value in values:
        if isinstance(value, DataError):
            yield value
            continue
        for number, task in enumerate(value if isinstance(value, list) else [value], 1):
            where = f"{origin}: task {number}" if whole else origin
            if isinstance(task, dict):
                yield Row(task, where)
            else:
                yield DataError(f"{where}: expected an object, got {shown(task)}")


def _canonical(row: Row | DataError, kind: str) -> Row | DataError:
    """The canonical row of a line of doccano or a task of Label Studio."""
    if isinstance(row, DataError):
        return row
    try:
        text, spans, links, names = (
            _label_studio(row) if "data" in row else _doccano(row)
        )
    except DataError as error:
        return error
    values: Values = {"text": text}
    if kind == "entities":
        values["entities"] = list(spans.values())
    elif kind == "spo_list":
        values["spo_list"] = [
            {
                "subject": text[spans[one]["start"] : spans[one]["end"]],
                "predicate": name,
                "object": text[spans[other]["start"] : spans[other]["end"]],
                "subject_span": [spans[one]["start"], spans[one]["end"]],
                "object_span": [spans[other]["start"], spans[other]["end"]],
            }
            for one, name, other in links
            if one in spans and other in spans
        ]
    elif len(names) == 1:
        values["label"] = names[0]
    else:
        values["labels"] = names
    return Row(values, row.origin)


Found = tuple[str, dict[str, Values], list[tuple[str, str, str]], list[str]]


def _doccano(row: Row) -> Found:
    text = row.string("text")
    spans: dict[str, Values] = {}
    names: list[str] = []
    key = "label" if "label" in row else "labels"
    for number, item in enumerate(row.items(key) if key in row else []):
        if isinstance(item, str):
            names.append(item)
        elif isinstance(item, list) and len(item) == 3:
            start, end, label = item
            spans[str(number)] = {"start": start, "end": end, "label": label}
        else:
            raise row.error(f"expected [start, end, label], got {shown(item)}")
    for entity in row.objects("entities", "entity") if "entities" in row else ():
        spans[str(entity.value("id"))] = {
            "start": entity.integer("start_offset"),
            "end": entity.integer("end_offset"),
            "label": entity.string("label"),
        }
    links = [
        (str(x.value("from_id")), x.string("type"), str(x.value("to_id")))
        for x in (row.objects("relations", "relation") if "relations" in row else ())
    ]
    return text, spans, links, names


def _label_studio(row: Row) -> Found:
    """The last annotation that was not cancelled, else the last prediction."""
    data = Row(row.value("data"), f"{row.origin}: data")
    text = data.string("text")
    spans: dict[str, Values] = {}
    links: list[tuple[str, str, str]] = []
    names: list[str] = []
    done = [x for x in row.get("annotations") or [] if not x.get("was_cancelled")]
    chosen = (done or row.get("predictions") or [{}])[-1]
    results = Row({"result": chosen.get("result") or []}, row.origin)
    for item in results.objects("result", "result"):
        if item.get("type") == "relation":
            label = [str(name) for name in item.get("labels") or ["relation"]]
            links.append((item.string("from_id"), label[0], item.string("to_id")))
            continue
        value = Row(item.value("value"), item.origin)
        names += [str(name) for name in value.get("choices") or []]
        for number, label_ in enumerate(value.get("labels") or []):
            key = str(item.get("id", len(spans))) + f"/{number}" * bool(number)
            spans[key] = {**_span(value, text), "label": label_}
    return text, spans, links, names


def _span(value: Row, text: str) -> Values:
    """Code points; a span of old versions, in UTF-16 units, where its text says so."""
    start, end, own = value.integer("start"), value.integer("end"), value.get("text")
    if isinstance(own, str) and not _stands(text, start, end, own):
        first, last = _point(text, start), _point(text, end)
        if _stands(text, first, last, own):
            start, end = first, last
    told = {"text": own} if isinstance(own, str) else {}
    return {"start": start, "end": end, **told}


def _stands(text: str, start: int, end: int, own: str) -> bool:
    """Whether a span, as far as it is in the text, holds its own; nothing is cut out
    to see that."""
    size = min(end, len(text)) - start
    return start >= 0 and size == len(own) and text.startswith(own, start)


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
