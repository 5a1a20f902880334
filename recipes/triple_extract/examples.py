"""Triple examples: a text and its triples as spans, read from DuIE's JSON Lines."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import decode_lines, parse_object, where
from recipes.triple_extract.schema import slots

Span = tuple[int, int]  # half open, in code points
SHOWN = 40


@dataclass(frozen=True, order=True)
class Triple:
    """Two spans of the text and what joins them."""

    subject: Span
    predicate: str
    object: Span


@dataclass(frozen=True)
class TripleExample:
    """A text with its triples in order; ``line`` is "file:12", for messages."""

    text: str
    triples: tuple[Triple, ...]
    line: str = ""


class NotInText(DataError):
    """The subject or the object of a triple does not stand in its text."""


class UnknownPredicate(DataError):
    """A predicate that the schema does not have."""


def read_examples(
    path: str | Path, predicates: Collection[str] | None = None
) -> Iterator[TripleExample | DataError]:
    """Read ``{"text", "spo_list": [{"subject", "predicate", "object"}]}`` lines.

    A bad line comes out as a DataError in its place. A triple that is not in its text,
    or whose predicate is not among ``predicates``, comes out as one before its line,
    which follows with its other triples.

    Raises DataError for a file with nothing in it and NotFoundError for a missing one.
    """
    found = False
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            found = True
            yield line
            continue
        if not line.strip():
            continue
        found = True
        place = where(path, number)
        try:
            example, bad = parse_example(parse_object(line, place), place, predicates)
        except DataError as error:
            yield error
            continue
        yield from bad
        yield example
    if not found:
        raise DataError(f"{path}: expected JSON Lines, got an empty file")


def parse_example(
    row: dict[str, Any], line: str, predicates: Collection[str] | None = None
) -> tuple[TripleExample, list[DataError]]:
    """The example of one JSON object, and what is wrong with triples left out of it.

    ``subject_span`` and ``object_span`` say where the strings stand; without them they
    are looked for (see ``locate``). A complex object gives a triple a slot, and so do
    ``qualifiers`` ({slot: {"value"}} or {slot: value}). The same triple twice is one.

    Raises DataError, beginning with ``line``, for an object of another form.
    """
    text = _value(row, "text", str, "a string", line)
    triples: set[Triple] = set()
    bad: list[DataError] = []
    for number, item in enumerate(_value(row, "spo_list", list, "a list", line), 1):
        place = f"{line}: triple {number}"
        if not isinstance(item, dict):
            raise DataError(f"{place}: expected an object, got {_shorten(dumps(item))}")
        for subject, predicate, object_ in _simple(item, place):
            try:
                if predicates is not None and predicate not in predicates:
                    raise UnknownPredicate(
                        f"{place}: expected a predicate of the schema, "
                        f"got {predicate!r}"
                    )
                spans = _given_spans(item, text, subject, object_, place)
                spans = spans or locate(text, subject, object_, place)
            except (NotInText, UnknownPredicate) as error:
                bad.append(error)
            else:
                triples.add(Triple(spans[0], predicate, spans[1]))
    return TripleExample(text, tuple(sorted(triples)), line), bad


def locate(text: str, subject: str, object_: str, place: str) -> tuple[Span, Span]:
    """Where the two strings stand: of all their occurrences the two nearest ones.

    Occurrences that do not overlap come first (北京 of 北京大学位于北京 is the second
    one), then the smaller gap, then the earlier. What does not stand in the text as it
    is is looked for in lower case. Raises NotInText.
    """
    subjects, objects = (
        _occurrences(text, argument, f"{place}: {role}")
        for role, argument in (("subject", subject), ("object", object_))
    )
    size = objects[0][1] - objects[0][0]
    starts = [start for start, _ in objects]

    def pairs() -> Iterator[tuple[bool, int, Span, Span]]:
        """Of each subject: the object before it, the first over it, the one behind."""
        for start, end in subjects:
            over = bisect_right(starts, start - size)
            for index in {over - 1, over, bisect_left(starts, end)}:
                if 0 <= index < len(objects):
                    other = objects[index]
                    gap = max(start - other[1], other[0] - end)
                    yield (gap < 0, max(gap, 0), (start, end), other)

    _, _, one, other = min(pairs())
    return one, other


def json_line(example: TripleExample) -> str:
    """The canonical JSON line of an example, without its line end."""
    triples = [spo(example.text, triple) for triple in example.triples]
    return dumps({"text": example.text, "spo_list": triples})


def spo(text: str, triple: Triple) -> dict[str, Any]:
    """A triple as it is written: its strings and where they stand."""
    return {
        "subject": text[slice(*triple.subject)],
        "predicate": triple.predicate,
        "object": text[slice(*triple.object)],
        "subject_span": list(triple.subject),
        "object_span": list(triple.object),
    }


def _simple(item: dict[str, Any], place: str) -> Iterator[tuple[str, str, str]]:
    """Subject, predicate and object of each slot of a row."""
    subject = _value(item, "subject", str, "a string", place)
    predicate = _value(item, "predicate", str, "a string", place)
    if "object" not in item:
        _value(item, "object", str, "a string", place)
    for name, value in slots(predicate, item["object"], place):
        yield subject, name, value
    qualifiers = item.get("qualifiers") or {}
    if not isinstance(qualifiers, dict):
        raise DataError(
            f'{place}: expected an object for "qualifiers", '
            f"got {_shorten(dumps(qualifiers))}"
        )
    values = {
        slot: value.get("value") if isinstance(value, dict) else value
        for slot, value in qualifiers.items()
    }
    for name, value in slots(predicate, values, place):
        yield subject, name, value


def _given_spans(
    item: dict[str, Any], text: str, subject: str, object_: str, place: str
) -> tuple[Span, Span] | None:
    """The spans that stand in the row itself, where they are for this very object."""
    if "subject_span" not in item and "object_span" not in item:
        return None
    if not isinstance(item["object"], str) or object_ != item["object"]:
        return None
    return (
        _given_span(item, "subject_span", text, subject, place),
        _given_span(item, "object_span", text, object_, place),
    )


def _given_span(
    item: dict[str, Any], key: str, text: str, argument: str, place: str
) -> Span:
    span = _value(item, key, list, "a list", place)
    if len(span) != 2 or any(type(end) is not int for end in span):
        raise DataError(
            f'{place}: expected [start, end] for "{key}", got {_shorten(dumps(span))}'
        )
    start, end = span
    if not 0 <= start < end <= len(text):
        raise DataError(
            f'{place}: expected "{key}" inside the text (0 <= start < end <= '
            f"{len(text)}), got {start}-{end}"
        )
    if text[start:end] != argument:
        raise DataError(
            f'{place}: expected {argument!r} at "{key}" {start}-{end}, '
            f"got {_shorten(text[start:end])!r}"
        )
    return start, end


def _occurrences(text: str, argument: str, place: str) -> list[Span]:
    wanted = argument.strip()
    if not wanted:
        raise NotInText(f"{place}: expected text, got {argument!r}")
    places = list(_find(text, wanted))
    if not places:
        # character by character: the lower case of some characters is two
        places = list(_find("".join(map(_lower, text)), "".join(map(_lower, wanted))))
    if not places:
        raise NotInText(f"{place}: {_shorten(argument)!r} is not in the text")
    return [(start, start + len(wanted)) for start in places]


def _lower(character: str) -> str:
    lowered = character.lower()
    return lowered if len(lowered) == 1 else character


def _find(text: str, part: str) -> Iterator[int]:
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def _value(row: dict[str, Any], key: str, kind: type, name: str, place: str) -> Any:
    if key not in row:
        keys = ", ".join(f'"{key}"' for key in row) or "none"
        raise DataError(f'{place}: expected the key "{key}", got the keys {keys}')
    value = row[key]
    if not isinstance(value, kind):
        raise DataError(
            f'{place}: expected {name} for "{key}", got {_shorten(dumps(value))}'
        )
    return value


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
