"""Column files: a token and its tag a line, a blank line between sentences.

Token and tag stand apart by a TAB or by spaces; columns between the first and the
last (CoNLL's parts of speech) are passed over, and so are ``-DOCSTART-`` lines and
``# id ...`` lines before a sentence. A token is a character or a whole word. Tokens
are joined with ``joiner`` to the text: nothing, as Chinese is written, unless the
caller says " ".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import NamedTuple

from nlpcli.errors import DataError
from nlpcli.records.form import Mark
from nlpcli.records.lines import BESIDE, Lines
from nlpcli.records.row import shorten
from nlpcli.records.tag_schemes import (
    SCHEMES,
    Scheme,
    SchemeDetector,
    Span,
    is_tag,
    spans_from_tags,
    tags_from_spans,
)

# the reader would take these for a line end, a separator or a byte order mark
_UNWRITABLE = re.compile("[\t\n\r\ufeff\ud800-\udfff]")
LOOKED_AT = 50_000  # sentences by whose tags the scheme is told
_TOKENS = 3_000_000  # that may be held for it


@dataclass(frozen=True)
class TaggedText:
    """One sentence of a column file, its spans in code points of ``text``."""

    text: str
    spans: tuple[Span, ...]
    origin: str  # "train.txt:1042", where the sentence starts


def read_columns(
    lines: Lines,
    scheme: Scheme | None = None,
    *,
    joiner: str = "",
    repair: bool = False,
) -> tuple[Scheme, Iterator[TaggedText | DataError | Mark]]:
    """The tag scheme and the sentences; a bad line is a DataError in its sentence's
    place.

    ``scheme`` None recognises it from the tags of the first 50,000 sentences, fewer
    where they are very long. A sentence longer than a line may be is a bad one. Tags
    that the scheme forbids (an I without its B) are errors, unless ``repair`` mends
    the sentence; each is then a mark.

    Raises DataError when the tags of the file fit no scheme.
    """
    sentences = _sentences(lines)
    if scheme is None:
        ahead = list(_first(sentences))
        scheme = _detected(lines.name, (rows for rows, _ in ahead))
        sentences = chain(ahead, sentences)
    return scheme, _read(lines, sentences, scheme, joiner, repair)


def column_lines(
    text: str, spans: Iterable[Span], scheme: Scheme, origin: str
) -> Iterator[str]:
    """Lines of one sentence, a character each, without the blank line after it.

    Raises DataError, naming ``origin``, for what a column file cannot hold:
    overlapping spans, TABs, line ends, lone surrogates.
    """
    spans = sorted(spans)
    for (_, end, _), (start, _, _) in pairwise(spans):
        if start < end:
            raise DataError(
                f"{origin}: overlapping entities cannot be written as tags: "
                f"one begins at {start}, before the end {end} of another"
            )
    if unwritable := _UNWRITABLE.search(text):
        code = f"U+{ord(unwritable.group()):04X}"
        raise DataError(
            f"{origin}: a column file cannot hold {code} "
            f"(character {unwritable.start()})"
        )
    for label in {label for _, _, label in spans}:
        if " " in label or _UNWRITABLE.search(label):
            raise DataError(
                f"{origin}: expected a label without white space for a column file, "
                f"got {label!r}"
            )
    for character, tag in zip(
        text, tags_from_spans(len(text), spans, scheme), strict=True
    ):
        yield f"{character}\t{tag}"


def is_column_line(line: str) -> bool:
    """Whether a line is a token and a tag."""
    return _cells(line.rstrip(" \t")) is not None


class _Token(NamedTuple):
    line: int
    token: str
    tag: str


Sentence = tuple[list[_Token], list[DataError]]


def _read(
    lines: Lines,
    sentences: Iterable[Sentence],
    scheme: Scheme,
    joiner: str,
    repair: bool,
) -> Iterator[TaggedText | DataError | Mark]:
    for rows, errors in sentences:
        tokens = [row.token for row in rows]
        spans, problems = spans_from_tags([row.tag for row in rows], scheme)
        if not errors:  # otherwise the lost line is the reason for a broken entity
            for number, problem in problems:
                if repair:
                    yield Mark("repaired")
                else:
                    origin = lines.origin(rows[number].line)
                    errors.append(DataError(f"{origin}: {problem} ({scheme})"))
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
            lines.origin(rows[0].line),
        )


def _first(sentences: Iterator[Sentence]) -> Iterator[Sentence]:
    held = 0
    for sentence in islice(sentences, LOOKED_AT):
        yield sentence
        held += len(sentence[0])
        if held > _TOKENS:
            return


def _detected(name: str, sentences: Iterable[list[_Token]]) -> Scheme:
    detector = SchemeDetector()
    for rows in sentences:
        detector.feed(row.tag for row in rows)
    scheme = detector.scheme()
    if scheme is None:
        raise DataError(
            f"{name}: expected tags of one scheme ({', '.join(SCHEMES)}), "
            f"got the prefixes {', '.join(sorted(detector.prefixes))}"
        )
    return scheme


def _sentences(lines: Lines) -> Iterator[Sentence]:
    """Rows between blank lines, with the errors of the lines that are no rows."""
    rows: list[_Token] = []
    errors: list[DataError] = []
    size = 0
    for number, line in lines:
        if isinstance(line, DataError):
            errors.append(line)
            continue
        size += len(line) + BESIDE
        if size > lines.longest:  # no blank line, and all of it would be held
            error = lines.too_long(rows[0].line if rows else number, "sentence")
            yield [], [*errors, error]
            rows, errors, size = [], [], 0
        line = line.rstrip(" \t")
        if not line or line.startswith("-DOCSTART-"):
            if rows or errors:
                yield rows, errors
            rows, errors, size = [], [], 0
            continue
        if cells := _cells(line):
            rows.append(_Token(number, *cells))
        elif rows or errors or not line.startswith("# "):
            errors.append(
                DataError(
                    f'{lines.origin(number)}: expected "character tag", '
                    f'got "{shorten(line)}"'
                )
            )
    if rows or errors:
        yield rows, errors


def _cells(line: str) -> tuple[str, str] | None:
    """The first and the last column of a line, if that is a tag.

    Without tabs a space may itself be the token, so only the end of a line is stripped.
    """
    mark = "\t" if "\t" in line else " "
    begin = 1 if mark == " " and line.startswith(" ") else line.find(mark)
    if begin < 1 or line[begin : begin + 1] != mark:
        return None
    token, tag = line[:begin], line[line.rindex(mark) + 1 :]
    return (token, tag) if " " not in tag and is_tag(tag) else None


def _starts(tokens: list[str], joiner: str) -> list[int]:
    starts, start = [], 0
    for token in tokens:
        starts.append(start)
        start += len(token) + len(joiner)
    return starts
