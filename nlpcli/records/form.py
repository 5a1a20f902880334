"""What one line of a task's data is: a Form, said once for all that reads it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from nlpcli.errors import DataError, UsageError
from nlpcli.records.lines import Lines
from nlpcli.records.row import Row


class Example(Protocol):
    """What every example has: the text that was asked, and "file:12"."""

    @property
    def text(self) -> str: ...

    @property
    def origin(self) -> str: ...


E = TypeVar("E", bound=Example)


class Unfit(DataError):
    """A line that reads well but cannot be learnt, and why, by name."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Mark(NamedTuple):
    """Something a reader counts that is neither an example nor an error."""

    name: str


class Size(int):
    """A length of which a label table tells mean, median, 95th percentile, longest."""


@dataclass(frozen=True)
class Facts:
    """What ``data check`` counts of one example.

    ``texts``: each measured for the histogram. ``sequences``: what the model reads as
    one, part by part; a special token stands before, between and behind parts.
    ``key`` and ``answer``: the same key again is a duplicate, or a conflict where the
    answer is another. ``labels``: rows for the table; of the same label's values whole
    numbers are summed, floats averaged, strings counted once each, a Size measured.
    ``counts`` are summed, ``shares`` averaged over the examples; of ``distinct``
    values the different ones are counted.
    """

    texts: Sequence[str]
    sequences: Sequence[Sequence[str]]
    key: Any
    answer: Any
    labels: Sequence[tuple[Any, Mapping[str, Any]]] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    shares: Mapping[str, bool] = field(default_factory=dict)
    distinct: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader(Generic[E]):
    """A published format: how it is recognised, read and written.

    ``recognises`` looks at the first lines; ``read`` gives the format's name, as
    reports tell it, and what is in the lines: examples, a DataError in the place of a
    bad one, marks. ``direct``: training reads such a file as it is. ``write``: an
    example as a piece of such a file; ``frame`` stands before, between and behind,
    ``written_as`` is what reports call it where the name does not say all.
    """

    recognises: Callable[[Lines], bool]
    read: Callable[[Lines], tuple[str, Iterator[Any]]]
    direct: bool = False
    write: Callable[[E], str] | None = None
    frame: tuple[str, str, str] = ("", "", "")
    written_as: str = ""


class Form(ABC, Generic[E]):
    """One line of a task's data.

    ``wanted`` is what a file should hold, for the message about an empty one;
    ``formats`` what ``data convert`` reads, for the message about a file that is none
    of it (where it is "", each line tells). ``hint`` ends the message about a key that
    is not there. ``label_name`` heads the label
    table. ``by_character``: each character that is no space is a token. ``then`` says
    what becomes of what is longer than a window. ``told`` are the counts that ``data
    convert`` reports; ``flags`` the options of the data verbs that ``with_flags``
    takes.
    """

    wanted = "JSON Lines"
    formats = ""
    hint = ""
    label_name = "label"
    by_character = False
    then = "train cuts those in windows"
    told: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()

    @abstractmethod
    def parse(self, row: Row) -> E:
        """The example of a canonical row; raises DataError."""

    @abstractmethod
    def row(self, example: E) -> dict[str, Any]:
        """The canonical JSON object of an example with gold."""

    @abstractmethod
    def facts(self, example: E) -> Facts:
        """What ``data check`` counts of an example."""

    def tried(self, row: Row | DataError) -> E | DataError:
        """The example of a canonical row, or what is wrong with it."""
        if isinstance(row, DataError):
            return row
        try:
            return self.parse(row)
        except DataError as error:
            return error

    def whole(self, max_length: int) -> int:
        """The longest sequence that training takes whole, special tokens included."""
        return max_length

    @property
    def published(self) -> Mapping[str, Reader[E]]:
        """Other formats by name."""
        return {}

    def target(self, destination: Path) -> str:
        """The format that a file of that name gets: "jsonl" or a published one."""
        return "jsonl"

    def with_flags(self, **given: Any) -> Form[E]:
        """This form under flags of ``data check`` and ``data convert``."""
        if given:
            raise UsageError(f"--{next(iter(given))}: no such option")
        return self

    def converting(self) -> Form[E]:
        """This form when lines are rewritten, not learnt: it may take more."""
        return self

    def label_rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The label table in its order: the most frequent first."""
        return sorted(
            rows, key=lambda row: (-row.get("count", 0), str(row[self.label_name]))
        )

    def reasons(self, found: Counter[str]) -> dict[str, Any]:
        """How the reasons of Unfit lines are told."""
        return {"unfit": dict(found.most_common())} if found else {}
