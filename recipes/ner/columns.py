"""Column files: a token and its tag a line, a blank line between sentences.

Token and tag stand apart by a TAB or by spaces; columns between the first and the
last (CoNLL's parts of speech) are passed over, and so are ``-DOCSTART-`` lines. A
token is a character or a whole word. Tokens are joined with ``joiner`` to the text:
nothing, as Chinese is written, unless the caller says " ".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nlpcli.errors import DataError
from nlpcli.records.lines import decode_lines, where
from recipes.ner.tags import (
    SCHEMES,
    Scheme,
    SchemeDetector,
    Span,
    is_tag,
    spans_from_tags,
    tags_from_spans,
)

# a space may itself be the token, so only the end of a line is stripped
_BY_TAB = re.compile(r"(?P<token>[^\t]+)\t(?:.*\t)?(?P<tag>[^\t ]+)")
_BY_SPACE = re.compile(r"(?P<token> |[^ ]+) +(?:.* +)?(?P<tag>[^ ]+)")
# the reader would take these for a line end, a separator or a byte order mark
_UNWRITABLE = re.compile("[\t\n\r\ufeff\ud800-\udfff]")


@dataclass(frozen=True)
class TaggedText:
    """One sentence of a column file, its spans in code points of ``text``."""

    text: str
    spans: tuple[Span, ...]
    line: str  # "train.txt:1042", where the sentence starts


def read_columns(
    path: str | Path,
    scheme: Scheme | None = None,
    *,
    joiner: str = "",
    on_repair: Callable[[str], None] | None = None,
) -> Iterator[TaggedText | DataError]:
    """Read sentences; a bad line comes out as a DataError in place of its sentence.

    ``scheme`` None recognises it from all tags of the file, which is then read twice.
    Tags that the scheme forbids (an I without its B) are errors, unless ``on_repair``
    takes the message of each: then the sentence is repaired.

    Raises DataError when the tags of the file fit no scheme.
    """
    scheme = scheme or detect_scheme(path)
    for rows, errors in _sentences(path):
        tokens = [row.token for row in rows]
        spans, problems = spans_from_tags([row.tag for row in rows], scheme)
        if not errors:  # otherwise the lost line is the reason for a broken entity
            for place, problem in problems:
                message = f"{where(path, rows[place].line)}: {problem} ({scheme})"
                if on_repair is None:
                    errors.append(DataError(message))
                else:
                    on_repair(message)
        if errors:
            yield from errors
            continue
        starts = _starts(tokens, joiner)
        yield TaggedText(
            joiner.join(tokens),
            tuple(
                (starts[start], starts[end - 1] + len(tokens[end - 1]), label)
                for start, end, label in spans
            ),
            where(path, rows[0].line),
        )


def detect_scheme(path: str | Path) -> Scheme:
    """The tag scheme of a column file; raises DataError when none fits."""
    detector = SchemeDetector()
    for rows, _ in _sentences(path):
        detector.feed(row.tag for row in rows)
    scheme = detector.scheme()
    if scheme is None:
        raise DataError(
            f"{path}: expected tags of one scheme ({', '.join(SCHEMES)}), "
            f"got the prefixes {', '.join(sorted(detector.prefixes))}"
        )
    return scheme


def column_lines(
    text: str, spans: Iterable[Span], scheme: Scheme, line: str
) -> Iterator[str]:
    """Lines of one sentence, a character each, without the blank line after it.

    Raises DataError, naming ``line``, for what a column file cannot hold: overlapping
    spans, TABs, line ends, lone surrogates.
    """
    spans = sorted(spans)
    for (_, end, _), (start, _, _) in pairwise(spans):
        if start < end:
            raise DataError(
                f"{line}: overlapping entities cannot be written as tags: "
                f"one begins at {start}, before the end {end} of another"
            )
    if unwritable := _UNWRITABLE.search(text):
        code = f"U+{ord(unwritable.group()):04X}"
        raise DataError(
            f"{line}: a column file cannot hold {code} (character {unwritable.start()})"
        )
    for label in {label for _, _, label in spans}:
        if " " in label or _UNWRITABLE.search(label):
            raise DataError(
                f"{line}: expected a label without white space for a column file, "
                f"got {label!r}"
            )
    for character, tag in zip(
        text, tags_from_spans(len(text), spans, scheme), strict=True
    ):
        yield f"{character}\t{tag}"


def is_column_line(line: str) -> bool:
    """Whether a line is a token and a tag."""
    return _match(line.rstrip(" \t")) is not None


@dataclass(frozen=True)
class _Row:
    line: int
    token: str
    tag: str


def _sentences(path: str | Path) -> Iterator[tuple[list[_Row], list[DataError]]]:
    """Rows between blank lines, with the errors of the lines that are no rows."""
    rows: list[_Row] = []
    errors: list[DataError] = []
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            errors.append(line)
            continue
        line = line.rstrip(" \t")
        if not line or line.startswith("-DOCSTART-"):
            if rows or errors:
                yield rows, errors
            rows, errors = [], []
            continue
        if match := _match(line):
            rows.append(_Row(number, match["token"], match["tag"]))
        else:
            errors.append(
                DataError(
                    f'{where(path, number)}: expected "character tag", '
                    f'got "{_shorten(line)}"'
                )
            )
    if rows or errors:
        yield rows, errors


def _match(line: str) -> re.Match[str] | None:
    pattern = _BY_TAB if "\t" in line else _BY_SPACE
    match = pattern.fullmatch(line)
    return match if match and is_tag(match["tag"]) else None


def _starts(tokens: list[str], joiner: str) -> list[int]:
    starts, place = [], 0
    for token in tokens:
        starts.append(place)
        place += len(token) + len(joiner)
    return starts


def _shorten(line: str, length: int = 40) -> str:
    return line if len(line) <= length else line[: length - 1] + "…"
