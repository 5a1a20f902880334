"""Files of texts and titles as they are published: LCSTS, CSL, columns between tabs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nlpcli.errors import DataError
from nlpcli.records.form import Mark
from nlpcli.records.lines import BESIDE, Lines
from nlpcli.records.row import Row, shorten
from nlpcli.records.table import TAB, is_table

Rows = Iterator[Row | DataError | Mark]

# What data sets call them, ours first: where a row has several titles ("title" and
# "summary"), the first is meant.
TEXTS = ("text", "content", "abst", "abstract", "article", "short_text", "source")
TITLES = ("title", "headline", "summary", "target")
UNRELATED = "unrelated"  # documents that LCSTS's readers gave 1 or 2 of 5

_DOC, _END = "<doc", "</doc>"
_PARTS = ("summary", "short_text")
_PROMPT = "to title"  # before each line of CSL's benchmark; its other tasks have others
_COLUMNS = ("text", "title")


def lcsts(lines: Lines) -> Rows:
    """``<doc id=0> <summary>..</summary> <short_text>..</short_text> </doc>``, over
    several lines or on one.

    Those with a <human_label> below 3 are marks: a summary that does not fit its text
    is not scored either (Hu et al. 2015, arXiv 1506.05865). Lines outside documents,
    and documents without an end, are bad, each run of them once.
    """
    block: list[str] = []
    start = size = 0
    lost = False  # what comes before the next document is told already
    for number, line in lines:
        if isinstance(line, DataError):
            yield line
            block, lost = [], True
            continue
        if line.lstrip().startswith(_DOC):
            if block:
                yield _unended(lines, start)
            block, start, size, lost = [], number, 0, False
        elif not block:
            if line.strip() and not lost:
                told = f'expected "{_DOC} id=...>", got {shorten(line.strip())!r}'
                yield DataError(f"{lines.origin(number)}: {told}")
                lost = True
            continue
        block.append(line)
        size += len(line) + BESIDE
        if size > lines.longest:
            yield lines.too_long(start, "document")
            block, lost = [], True
        elif _END in line:
            yield _document("\n".join(block), lines.origin(start))
            block = []
    if block:
        yield _unended(lines, start)


def csl(lines: Lines) -> Rows:
    """The benchmark (prompt, abstract, title) or the corpus (title, abstract, keywords,
    discipline, category) of CSL (Li et al. 2022, arXiv 2209.05034)."""
    for origin, cells in _cells(lines):
        if isinstance(cells, DataError):
            yield cells
        elif len(cells) == 5:
            yield Row({"text": cells[1], "title": cells[0]}, origin)
        elif len(cells) == 3 and cells[0].strip() == _PROMPT:
            yield Row({"text": cells[1], "title": cells[2]}, origin)
        else:
            yield DataError(
                f'{origin}: expected "{_PROMPT}", an abstract and a title, or title, '
                "abstract, keywords, discipline and category, got "
                f"{len(cells)} columns: {shorten(TAB.join(cells))!r}"
            )


def columns(lines: Lines) -> Rows:
    """A table under a header with names of both, or two columns: of those the text is
    the one with more characters in the first lines."""
    header: list[str] | None = None
    for origin, cells in _cells(lines):
        if isinstance(cells, DataError):
            yield cells
            continue
        if header is None:
            header = _named(cells)
            if header is not None:
                continue
            if len(cells) != 2:
                yield DataError(
                    f"{origin}: expected two columns, or a header with the names "
                    f'"text" and "title", got {len(cells)} columns'
                )
                continue
            header = _told_by_length(cells, lines)
        if len(cells) != len(header):
            wanted = f"{len(header)} columns between tabs, as the first line has"
            yield DataError(f"{origin}: expected {wanted}, got {len(cells)}")
            continue
        yield Row(dict(zip(header, cells, strict=True)), origin)


def _is_lcsts(lines: Lines) -> bool:
    return (lines.first() or "").lstrip().startswith(_DOC)


def _is_csl(lines: Lines) -> bool:
    """The prompt, or five columns of which the last is one of the 13 categories, which
    all end so: 工学, 管理学."""
    cells = (lines.first() or "").split(TAB)
    if len(cells) == 5:
        return _named(cells) is None and cells[-1].rstrip().endswith("学")
    return len(cells) == 3 and cells[0].strip() == _PROMPT


# The first that recognises a file reads it.
PUBLISHED: dict[str, tuple[Callable[[Lines], bool], Callable[[Lines], Rows]]] = {
    "lcsts": (_is_lcsts, lcsts),
    "csl": (_is_csl, csl),
    "columns": (is_table, columns),
}


def _cells(lines: Lines) -> Iterator[tuple[str, list[str] | DataError]]:
    for number, line in lines:
        if isinstance(line, DataError):
            yield "", line
        elif line.strip():
            yield lines.origin(number), line.split(TAB)


def _named(cells: list[str]) -> list[str] | None:
    """The names of a header, in lower case; None where it has not both."""
    names = [cell.strip().lower() for cell in cells]
    both = all(not set(names).isdisjoint(known) for known in (TEXTS, TITLES))
    return names if both and len({*names}) == len(names) else None


def _told_by_length(cells: list[str], lines: Lines) -> list[str]:
    ahead = [line.split(TAB) for _, line in lines.head() if isinstance(line, str)]
    pairs = [row for row in [cells, *ahead] if len(row) == 2]
    first, second = (sum(len(row[place]) for row in pairs) for place in (0, 1))
    return [*(_COLUMNS if first >= second else _COLUMNS[::-1])]


def _document(text: str, origin: str) -> Row | DataError | Mark:
    if rest := text.partition(_END)[2].strip():
        told = f'expected a line end behind "{_END}", got {shorten(rest)!r}'
        return DataError(f"{origin}: {told}")
    if _between(text, "human_label") in ("1", "2"):
        return Mark(UNRELATED)
    parts = {name: _between(text, name) for name in _PARTS}
    if missing := [name for name, part in parts.items() if part is None]:
        return DataError(
            f"{origin}: expected <{missing[0]}>...</{missing[0]}>, got none"
        )
    return Row(parts, origin)


def _between(text: str, name: str) -> str | None:
    """What stands between a tag and its end; tags are no XML (a bare & is text)."""
    _, opened, behind = text.partition(f"<{name}>")
    inside, closed, _ = behind.partition(f"</{name}>")
    return inside.strip() if opened and closed else None


def _unended(lines: Lines, start: int) -> DataError:
    return DataError(f'{lines.origin(start)}: expected "{_END}", got none')
