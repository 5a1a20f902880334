"""SQuAD, CMRC 2018 and DRCD, in their dialects, to canonical JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nlpcli.errors import DataError
from nlpcli.files.atomic import refuse_existing, write_lines
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import decode_lines, parse_object, where
from recipes.qa_gen.examples import AnswerNotInside, json_line, parse_example

_PASSAGE = ("passage", "context", "context_text")
_QUESTION = ("question", "query_text")
_ID = ("id", "query_id")
_SHOWN = 40


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    skip_bad: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Rewrite questions with answers as JSON Lines; ``.gz`` compresses.

    It reads one JSON value of nested ``data``, ``paragraphs``, ``qas`` and ``answers``
    (SQuAD 1 and 2, CMRC 2018, DRCD), lists of them, and a flat object a line. Of
    several answers the first that stands in the passage counts.

    Returns the counts: examples, ``unanswerable`` questions dropped, ``corrected``
    answer_start, bad ones ``skipped``. The destination appears whole or not at all;
    the first bad question raises DataError unless ``skip_bad``.
    """
    destination = Path(destination)
    refuse_existing(destination, force)
    counts = dict.fromkeys(("examples", "unanswerable", "corrected", "skipped"), 0)
    written: list[str] = []
    for item in _questions(source):
        try:
            if isinstance(item, DataError):
                raise item
            if _is_unanswerable(item):
                counts["unanswerable"] += 1
                continue
            row, corrected = _canonical(item)
            line = json_line(parse_example(row, item.place))
        except DataError:
            if not skip_bad:
                raise
            counts["skipped"] += 1
            continue
        counts["examples"] += 1
        counts["corrected"] += corrected
        written.append(line + "\n")
    write_lines(destination, written)
    return {"from": str(source), "to": "jsonl", **counts}


class _Question(NamedTuple):
    """One question as published, with its passage and its place for messages."""

    passage: Any
    row: dict[str, Any]
    place: str


def _questions(path: str | Path) -> Iterator[_Question | DataError]:
    """The questions of a file: one JSON value, else a JSON object a line."""
    lines = list(decode_lines(path))
    bad = next((line for _, line in lines if isinstance(line, DataError)), None)
    text = "\n".join(line for _, line in lines if isinstance(line, str))
    if not text.strip():
        raise bad or DataError(f"{path}: expected JSON, got an empty file")
    try:
        value = json.loads(text) if bad is None else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, (dict, list)):
        yield from _nested(value, None, str(path))
        return
    first = next(line for _, line in lines if isinstance(line, str) and line.strip())
    if not _opens_and_closes(first):
        raise bad or _broken(path, text)
    for number, line in lines:
        place = where(path, number)
        if isinstance(line, DataError):
            yield line
        elif line.strip():
            try:
                row = parse_object(line, place)
            except DataError as error:
                yield error
                continue
            yield from _nested(row, None, place)


def _nested(
    value: Any, passage: Any, file: str, trail: str = ""
) -> Iterator[_Question | DataError]:
    """Questions below a value; ``passage`` is that of the level above."""
    place = f"{file}: {trail}" if trail else file
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _nested(item, passage, file, f"{trail}[{number}]")
        return
    if not isinstance(value, dict):
        yield DataError(f"{place}: expected an object, got {_shorten(dumps(value))}")
        return
    passage = _first(value, _PASSAGE, passage)
    children = [key for key in ("data", "paragraphs", "qas") if key in value]
    if not children:
        yield _Question(passage, value, place)
    for key in children:
        step = f"{trail}.{key}" if trail else key
        if isinstance(value[key], list):
            yield from _nested(value[key], passage, file, step)
        else:
            shown = _shorten(dumps(value[key]))
            yield DataError(f"{file}: {step}: expected a list, got {shown}")


def _is_unanswerable(question: _Question) -> bool:
    """Whether no span is the answer: marked so, or the answers lie outside (yes, no).

    CAIL 2019 writes the mark as text and puts YES and NO at -1.
    """
    if str(question.row.get("is_impossible", False)).lower() == "true":
        return True
    found = _answers(question.row)
    if "answers" in question.row and not found and _is_empty(question.row["answers"]):
        return True
    return bool(found) and all(start == -1 for _, start in found)


def _canonical(question: _Question) -> tuple[dict[str, Any], bool]:
    """The canonical row, and whether its answer_start had to be corrected."""
    row, passage = question.row, question.passage
    answers = _answers(row)
    canonical = {
        "id": _first(row, _ID, ""),
        "passage": passage,
        "question": _first(row, _QUESTION, None),
    }
    if passage is None:
        keys = ", ".join(f'"{name}"' for name in _PASSAGE)
        raise DataError(f"{question.place}: expected a passage under one of {keys}")
    if not answers:
        shown = _shorten(dumps(row.get("answers", row.get("answer"))))
        raise DataError(f"{question.place}: expected answers with text, got {shown}")
    if isinstance(passage, str):
        for text, start in answers:
            if text.strip() and (found := _nearest(passage, text, start)) is not None:
                place = {"answer": text, "answer_start": found}
                return {**canonical, **place}, start is not None and found != start
        shown = _shorten(answers[0][0])
        raise AnswerNotInside(
            f"{question.place}: expected an answer that stands in the passage, "
            f"got {shown!r}"
        )
    return {**canonical, "answer": answers[0][0]}, False


def _answers(row: dict[str, Any]) -> list[tuple[str, int | None]]:
    """(text, start) of each answer, whatever shape they have; start may be unknown."""
    value = row.get("answers", row.get("answer"))
    if isinstance(value, str):
        value = [{"text": value, "answer_start": row.get("answer_start")}]
    elif isinstance(value, dict) and isinstance(value.get("text"), list):
        # The columns of the flat files that the datasets library writes.
        starts = value.get("answer_start")
        starts = starts if isinstance(starts, list) else []
        padded = [*starts, *[None] * len(value["text"])]
        value = [
            {"text": text, "answer_start": start}
            for text, start in zip(value["text"], padded, strict=False)
        ]
    elif isinstance(value, dict):
        value = [value]
    found: list[tuple[str, int | None]] = []
    for item in value if isinstance(value, list) else []:
        item = {"text": item} if isinstance(item, str) else item
        if isinstance(item, dict) and isinstance(item.get("text"), str):
            found.append((item["text"], _start(item.get("answer_start"))))
    return found


def _start(value: Any) -> int | None:
    """Some files write the number as text."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _nearest(passage: str, answer: str, start: int | None) -> int | None:
    """The occurrence nearest to ``start``, or the first; None without one."""
    found = []
    place = passage.find(answer)
    while place >= 0:
        found.append(place)
        place = passage.find(answer, place + 1)
    if not found:
        return None
    return found[0] if start is None else min(found, key=lambda at: abs(at - start))


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return not value.get("text")
    return not value


def _first(row: dict[str, Any], names: tuple[str, ...], otherwise: Any) -> Any:
    return next((row[name] for name in names if name in row), otherwise)


def _opens_and_closes(line: str) -> bool:
    return line.lstrip().startswith("{") and line.rstrip().endswith("}")


def _broken(path: str | Path, text: str) -> DataError:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return DataError(f"{path}: expected JSON ({error})")
    return DataError(f"{path}: expected a JSON object or list, got {_shorten(text)!r}")


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
