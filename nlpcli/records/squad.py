"""SQuAD, CMRC 2018 and DRCD, in their dialects, and flat objects of the same keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any

from nlpcli.errors import DataError
from nlpcli.records.form import Mark
from nlpcli.records.lines import Lines
from nlpcli.records.read import json_values
from nlpcli.records.row import Row, shown

_LEVELS = ("data", "paragraphs", "qas")
_PASSAGE = ("passage", "context", "context_text")
_QUESTION = ("question", "query_text")
_ID = ("id", "query_id")
_NO_SPANS = (("YES", -1), ("NO", -1))  # of CAIL 2019

Question = tuple[str, Any, dict[str, Any]]  # where it stands, passage, object
Span = tuple[str, int, int | None]  # text, where it stands, where it is said to stand


def read_squad(
    lines: Lines, parse: Callable[[Row], Any]
) -> tuple[str, Iterator[Any | DataError | Mark]]:
    """The format's name and its examples: of one JSON value of nested ``data``,
    ``paragraphs``, ``qas`` and ``answers``, of lists of them, of a flat object a line.

    Of several answers the first that stands in the passage counts, where it stands
    nearest to its start. Mark("corrected") is before an example whose start was
    another; Mark("unanswerable") for a question that says so, has empty answers, or
    at -1 yes, no and what stands nowhere. Raises DataError for another file.
    """
    whole, values = json_values(lines)
    questions = (_nested(value, None, origin) for origin, value in values)
    examples = _examples(chain.from_iterable(questions), parse)
    return "squad" if whole else "jsonl", examples


def _nested(
    value: Any, passage: Any, file: str, trail: str = ""
) -> Iterator[Question | DataError]:
    """Questions below a value; ``passage`` is that of the level above."""
    place = f"{file}: {trail}" if trail else file
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _nested(item, passage, file, f"{trail}[{number}]")
    elif isinstance(value, dict):
        passage = _first(value, _PASSAGE, passage)
        levels = [key for key in _LEVELS if key in value]
        if not levels:
            yield place, passage, value
        for key in levels:
            step, below = f"{trail}.{key}" if trail else key, value[key]
            if not isinstance(below, list):
                got = shown(below)
                below = DataError(f"{file}: {step}: expected a list, got {got}")
            yield from _nested(below, passage, file, step)
    elif isinstance(value, DataError):
        yield value
    else:
        yield DataError(f"{place}: expected an object, got {shown(value)}")


def _examples(
    questions: Iterator[Question | DataError], parse: Callable[[Row], Any]
) -> Iterator[Any | DataError | Mark]:
    for question in questions:
        try:
            if isinstance(question, DataError):
                raise question
            yield from _example(*question, parse)
        except DataError as error:
            yield error


def _example(
    origin: str, passage: Any, row: dict[str, Any], parse: Callable[[Row], Any]
) -> Iterator[Any | Mark]:
    """An example, perhaps behind a mark, or a mark alone; raises DataError."""
    impossible = str(row.get("is_impossible")).lower() == "true"  # CAIL's are texts
    answers = [] if impossible else _answers(origin, row)
    standing = next(filter(None, (_standing(passage, *x) for x in answers)), None)
    if not standing and all(start == -1 for _, start in answers):
        yield Mark("unanswerable")
        return
    if passage is None:
        keys = ", ".join(f'"{name}"' for name in _PASSAGE)
        raise DataError(f"{origin}: expected a passage under one of {keys}")
    answer, start, said = standing or (answers[0][0], None, None)
    values = {
        "id": _first(row, _ID, ""),
        "passage": passage,
        "question": _first(row, _QUESTION, None),
        "answer": answer,
        "answer_start": start,
    }
    example = parse(Row(values, origin))
    if said not in (None, start):
        yield Mark("corrected")
    yield example


def _answers(origin: str, row: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Text and start of each answer that may be a span, whatever shape they have."""
    given = row.get("answers", row.get("answer"))
    # A flat object, or the columns of one that the datasets library writes.
    holder = given if isinstance(given, dict) else {**row, "text": given}
    texts, starts = holder.get("text"), holder.get("answer_start")
    if not texts and "answers" in row:
        return []
    if not isinstance(texts, list):
        texts, starts = [texts], [starts]
    found = [
        (x.get("text"), x.get("answer_start")) if isinstance(x, dict) else (x, start)
        for x, start in zip_longest(texts, starts if isinstance(starts, list) else ())
    ]
    answers = [(text, _number(start)) for text, start in found if isinstance(text, str)]
    if not answers:
        raise DataError(f"{origin}: expected answers with text, got {shown(given)}")
    return [x for x in answers if x[0].strip() and x not in _NO_SPANS]


def _number(value: Any) -> int | None:
    """Some files write it as text."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _standing(passage: Any, answer: str, start: int | None) -> Span | None:
    """Where an answer, if need be without its outer space, is nearest to ``start``."""
    at = max(start or 0, 0)
    for text in (answer, answer.strip()) if isinstance(passage, str) else ():
        around = _before(passage, text, at), passage.find(text, at)
        places = [place for place in around if place >= 0]
        if places:
            return text, min(places, key=lambda place: abs(place - at)), start
    return None


def _before(passage: str, text: str, at: int) -> int:
    """The last place of a text up to ``at``, or -1.

    Found backwards: ``rfind`` may take the product of both lengths, ``find`` never.
    """
    head = passage[: at + len(text)]
    found = head[::-1].find(text[::-1])
    return -1 if found < 0 else len(head) - len(text) - found


def _first(row: dict[str, Any], names: Sequence[str], otherwise: Any) -> Any:
    return next((row[name] for name in names if name in row), otherwise)
