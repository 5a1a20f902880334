"""Lines in, an answer for each out: what ``predict`` and ``generate`` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from nlpcli.cli.stream import Arrivals, Request, from_lines, from_texts, typed
from nlpcli.errors import DataError, NlpcliError, UsageError
from nlpcli.files.json_text import dumps, readable
from nlpcli.records.lines import LONGEST_LINE, STDIN, Lines
from nlpcli.records.row import Row

Answers = Iterable["dict[str, Any] | NlpcliError"]
AnswerRows = Callable[[list[Row]], Answers]
Show = Callable[[Request, dict[str, Any]], str]
ShowError = Callable[[Request, NlpcliError], str]


def requests_of(
    texts: Sequence[str] | None,
    source: str | None,
    text_key: str,
    id_key: str,
    longest: int | None = None,
) -> Iterator[Request]:
    """TEXT of the command line, else the lines of --input, else those of stdin, each of
    ``longest`` bytes at most.

    Raises UsageError when both or none are there, NotFoundError for a missing file.
    """
    if texts and source is not None:
        raise UsageError("--input: does not go together with TEXT")
    if texts:
        return from_texts(texts)
    if source is None and (sys.stdin is None or typed()):
        raise UsageError("expected TEXT, --input FILE or lines on stdin, got none")
    lines = Lines(source or STDIN, longest or LONGEST_LINE)
    return from_lines(lines.open(), text_key, id_key)


def write_answers(
    arrivals: Arrivals,
    chunk_size: int,
    answer: AnswerRows,
    show: Show,
    on_error: str,
    output: Path | None,
    force: bool = False,
    as_list: bool = False,
    show_error: ShowError | None = None,
) -> int:
    """Answer all that arrives, a flush for each chunk; returns how many lines failed.

    Under ``on_error`` "stop" raises the first error when the lines before it are out.
    ``as_list``: they are the items of one JSON list. ``show_error``: what stands for
    the answer of a bad line, otherwise an ``error_line``. ``force``: see
    ``open_output``.
    """
    from nlpcli.cli.output import open_output

    failed = written = 0
    with open_output(output, force) as out:
        if as_list:
            out.write("[")
        for chunk in arrivals.chunks(chunk_size):
            for line, error in _answer_chunk(
                answer, chunk, show, show_error or error_line, on_error
            ):
                failed += error
                out.write("," * (as_list and written > 0) + line)
                written += 1
            out.flush()
        if as_list:
            out.write("]")
    return failed


def json_line(request: Request, answer: dict[str, Any]) -> str:
    """The JSON line of an answer: id where there is one, text, then the answer."""
    return dumps(answered(request, answer))


def answered(request: Request, answer: dict[str, Any]) -> dict[str, Any]:
    """Id where there is one, text, then the answer."""
    known = {} if request.id is None else {"id": request.id}
    return {**known, "text": request.text, **answer}


def placed(request: Request, error: NlpcliError) -> NlpcliError:
    """An error of answering, with the line that it is about."""
    known = str(error).startswith(f"{request.origin}: ")
    return error if known else DataError(f"{request.origin}: {error}")


def error_line(request: Request, error: NlpcliError) -> str:
    """What stands for the answer of a bad line under ``--on-error skip``."""
    return dumps({"id": request.id, "error": told(error)})


def told(error: NlpcliError) -> dict[str, Any]:
    """An error as a part of an answer."""
    return {"code": error.exit_code, "message": readable(str(error))}


def _answer_chunk(
    answer: AnswerRows,
    chunk: list[Request],
    show: Show,
    show_error: ShowError,
    on_error: str,
) -> Iterator[tuple[str, bool]]:
    """Each line of output, and whether it stands for an error."""
    stop = on_error == "stop"
    wanted: Iterable[Request] = (
        takewhile(lambda request: request.error is None, chunk) if stop else chunk
    )
    rows = [request.row for request in wanted if request.error is None]
    found = iter(answer(rows))
    for request in chunk:
        given = request.error or next(found)
        if not isinstance(given, NlpcliError):
            yield show(request, given), False
            continue
        error = placed(request, given)
        if stop:
            raise error
        yield show_error(request, error), True
