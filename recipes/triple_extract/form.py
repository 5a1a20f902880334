"""A line of triple data: a text and its triples as spans, as DuIE publishes them."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from nlpcli.records.annotation import annotation_readers
from nlpcli.records.form import Facts, Form, Reader, Unfit
from nlpcli.records.row import Row, shorten, shown
from nlpcli.records.spans import Blocks, in_blocks, near

from .schema import VALUE, Schema, read_schema, slots

Span = tuple[int, int]  # half open, in code points


class Triple(NamedTuple):
    """Two spans of the text and what joins them."""

    subject: Span
    predicate: str
    object: Span


@dataclass(frozen=True)
class TripleExample:
    """A text with its triples in order; ``origin`` is "file:12", for messages.

    ``types``: "subject_type" and "object_type" of a triple, where its line has them.
    """

    text: str
    triples: tuple[Triple, ...]
    origin: str = ""
    types: Mapping[Triple, Mapping[str, str]] = field(
        default_factory=dict, compare=False
    )

    @property
    def strings(self) -> list[tuple[str, str, str]]:
        """Subject, predicate and object of each triple."""
        text = self.text
        return [(text[slice(*s)], p, text[slice(*o)]) for s, p, o in self.triples]

    def near(self, start: int, end: int) -> list[Triple]:
        """Triples that begin in or near [start, end) of the text."""
        return near(self._blocks, start, end)

    @cached_property
    def _blocks(self) -> Blocks[Triple]:
        begins = ((min(t.subject[0], t.object[0]), t) for t in self.triples)
        return in_blocks((begin, begin + 1, triple) for begin, triple in begins)


class TripleForm(Form[TripleExample]):
    """``{"text", "spo_list": [{"subject", "predicate", "object"}]}``.

    A triple that is not in its text, or whose predicate the schema lacks, is a problem
    of its own: its line goes on with the other triples.
    """

    label_name = "predicate"
    told = ("triples",)

    def __init__(self, schema_file: str | Path | None = None) -> None:
        self.schema_file = schema_file

    @cached_property
    def schema(self) -> Schema | None:
        """Types by predicate, read when they are first asked for; None without."""
        return read_schema(self.schema_file) if self.schema_file else None

    def parse(self, row: Row) -> TripleExample:
        """``subject_span`` and ``object_span`` say where the strings stand; without
        them they are looked for (see ``locate``).

        A complex object gives a triple a slot, and so do ``qualifiers`` ({slot:
        {"value"}} or {slot: value}). The same triple twice is one.
        """
        text = row.string("text")
        triples: dict[Triple, dict[str, str]] = {}
        for item in row.objects("spo_list", "triple"):
            for subject, predicate, object_ in _simple(item):
                if self.schema is not None and predicate not in self.schema:
                    told = f"expected a predicate of the schema, got {predicate!r}"
                    row.problems.append(item.error(told))
                    continue
                try:
                    one, other = _spans(item, text, subject, object_)
                except Unfit as problem:
                    row.problems.append(problem)
                else:
                    triples[Triple(one, predicate, other)] = _types(item, predicate)
        return TripleExample(text, tuple(sorted(triples)), row.origin, triples)

    def row(self, example: TripleExample) -> dict[str, Any]:
        text, types = example.text, example.types
        triples = [{**spo(text, x), **types.get(x, {})} for x in example.triples]
        return {"text": text, "spo_list": triples}

    def facts(self, example: TripleExample) -> Facts:
        """``overlapping``: arguments share characters without being the same;
        ``repeated``: a subject has several objects or an object several subjects."""
        text, triples = example.text, example.triples
        subjects = {triple.subject for triple in triples}
        objects = {triple.object for triple in triples}
        links = {(subject, object_) for subject, _, object_ in triples}
        overlap = any(b[0] < a[1] for a, b in pairwise(sorted(subjects | objects)))
        return Facts(
            texts=[text],
            sequences=[[text]],
            key=text,
            answer=triples,
            labels=[
                (predicate, {"count": 1, "subjects": subject, "objects": object_})
                for subject, predicate, object_ in example.strings
            ],
            counts={
                "triples": len(triples),
                "empty": int(not text),
                "without_triples": int(not triples),
                "overlapping": int(overlap),
                "repeated": int(len(links) > min(len(subjects), len(objects))),
            },
        )

    @property
    def published(self) -> Mapping[str, Reader[TripleExample]]:
        return annotation_readers(self, "spo_list")

    def reasons(self, found: Counter[str]) -> dict[str, Any]:
        return {"not_inside": found["not_inside"]}


def locate(text: str, subject: str, object_: str, origin: str) -> tuple[Span, Span]:
    """Where the two strings stand: of all their occurrences the two nearest ones.

    Occurrences that do not overlap come first (北京 of 北京大学位于北京 is the second
    one), then the smaller gap, then the earlier. What does not stand in the text as it
    is is looked for in lower case. Raises Unfit, "not_inside".
    """
    for role, argument in (("subject", subject), ("object", object_)):
        if not argument.strip():
            told = f"expected text, got {argument!r}"
        elif not _starts(text, argument.strip()):
            told = f"{shorten(argument)!r} is not in the text"
        else:
            continue
        raise Unfit("not_inside", f"{origin}: {role}: {told}")
    return _nearest(text, subject.strip(), object_.strip())


def spo(text: str, triple: Triple) -> dict[str, Any]:
    """A triple as it is written: its strings and where they stand."""
    return {
        "subject": text[slice(*triple.subject)],
        "predicate": triple.predicate,
        "object": text[slice(*triple.object)],
        "subject_span": list(triple.subject),
        "object_span": list(triple.object),
    }


def _simple(item: Row) -> Iterator[tuple[str, str, str]]:
    """Subject, predicate and object of each slot of a triple."""
    subject, predicate = item.string("subject"), item.string("predicate")
    for name, value in slots(item, predicate, item.value("object")):
        yield subject, name, value
    qualifiers = item.get("qualifiers") or {}
    if not isinstance(qualifiers, dict):
        raise item.error(
            f'expected an object for "qualifiers", got {shown(qualifiers)}'
        )
    values = {
        slot: value.get("value") if isinstance(value, dict) else value
        for slot, value in qualifiers.items()
    }
    for name, value in slots(item, predicate, values):
        yield subject, name, value


def _types(item: Row, predicate: str) -> dict[str, str]:
    """What the line says of its subject, and of its object or the slot of it."""
    kind, slot = item.get("object_type"), predicate[len(item.string("predicate")) + 1 :]
    if isinstance(kind, dict) or slot:
        kind = kind.get(slot or VALUE) if isinstance(kind, dict) else None
    told = {"subject_type": item.get("subject_type"), "object_type": kind}
    return {name: type_ for name, type_ in told.items() if isinstance(type_, str)}


def _spans(item: Row, text: str, subject: str, object_: str) -> tuple[Span, Span]:
    """As the triple itself says, where it is of this very object, else as located."""
    given = "subject_span" in item or "object_span" in item
    if not given or object_ != item.get("object"):
        return locate(text, subject, object_, item.origin)
    return (
        _given(item, "subject_span", text, subject),
        _given(item, "object_span", text, object_),
    )


def _given(item: Row, key: str, text: str, argument: str) -> Span:
    span = item.items(key)
    if len(span) != 2 or any(type(end) is not int for end in span):
        raise item.error(f'expected [start, end] for "{key}", got {shown(span)}')
    start, end = span
    if not 0 <= start < end <= len(text):
        raise item.error(
            f'expected "{key}" inside the text (0 <= start < end <= {len(text)}), '
            f"got {start}-{end}"
        )
    if text[start:end] != argument:
        raise item.error(
            f'expected {argument!r} at "{key}" {start}-{end}, '
            f"got {shorten(text[start:end])!r}"
        )
    return start, end


@lru_cache(maxsize=8)  # triples of a text have arguments in common
def _nearest(text: str, subject: str, object_: str) -> tuple[Span, Span]:
    subjects, objects = _starts(text, subject), _starts(text, object_)
    turned = len(objects) < len(subjects)  # go through the rarer one
    few, many = (objects, subjects) if turned else (subjects, objects)
    length, size = len(subject), len(object_)
    if turned:
        length, size = size, length

    def pairs() -> Iterator[tuple[bool, int, Span, Span]]:
        """Of each of the few: the one before it, the first over it, the one behind."""
        for start in few:
            end = start + length
            over = bisect_right(many, start - size)
            for index in {over - 1, over, bisect_left(many, end)}:
                if 0 <= index < len(many):
                    one, other = (start, end), (many[index], many[index] + size)
                    gap = max(start - other[1], other[0] - end)
                    found = (other, one) if turned else (one, other)
                    yield (gap < 0, max(gap, 0), *found)

    return min(pairs())[2:]


@lru_cache(maxsize=8)
def _starts(text: str, wanted: str) -> Sequence[int]:
    # character by character: the lower case of some characters is two
    found = array("q", _find(text, wanted))
    return found or array("q", _find(_lower(text), _lower(wanted)))


@lru_cache(maxsize=2)  # a text is asked for each of its triples
def _lower(text: str) -> str:
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _find(text: str, part: str) -> Iterator[int]:
    """Every place of a part, those that overlap too (哈哈 in 哈哈哈 is there twice).

    Where two overlap, the text repeats itself in steps; they are followed as far as
    that goes, so that the part is not compared again at each.
    """
    start = text.find(part)
    while start >= 0:
        yield start
        following = text.find(part, start + 1)
        step = following - start
        if 0 < step < len(part):
            end = following + len(part)
            while end < len(text) and text[end] == text[end - step]:
                end += 1
            places = range(following, end - len(part) + 1, step)
            yield from places
            following = text.find(part, places[-1] + 1)
        start = following
