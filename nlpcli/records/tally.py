"""What is in a file, counted example by example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from nlpcli.records.form import Facts, Size
from nlpcli.records.lengths import Lengths

MOST_LISTED = 100_000  # lines of a kind; what comes after is only counted
_LISTED = ("bad_lines", "duplicates", "conflicts")
_KEPT = 64  # characters of a value that is kept as it is


class Tally:
    """Counts, shares, the label table, and what stands there again."""

    def __init__(self) -> None:
        self.examples = 0
        self.counts: Counter[str] = Counter()
        self.shares: Counter[str] = Counter()
        self.distinct: dict[str, set[bytes]] = {}
        self.labels: dict[Any, dict[str, Any]] = {}
        # digests here and above; the texts may not fit in memory
        self.seen: dict[bytes, tuple[bytes, str]] = {}
        # line by line, but not without end
        self.listed: dict[str, list[Any]] = {name: [] for name in _LISTED}
        self.unlisted: Counter[str] = Counter()

    def add(self, facts: Facts, origin: str) -> None:
        """Take in one example."""
        self.examples += 1
        self.counts.update(facts.counts)
        self.shares.update({name: int(value) for name, value in facts.shares.items()})
        for name, value in facts.distinct.items():
            self.distinct.setdefault(name, set()).add(_digest(value))
        for label, values in facts.labels:
            row = self.labels.setdefault(label, {})
            for name, value in values.items():
                _gather(row, name, value, origin)
        answer = _digest(facts.answer)
        first, line = self.seen.setdefault(_digest(facts.key), (answer, origin))
        if line != origin:
            name = "duplicates" if first == answer else "conflicts"
            self.tell(name, {"line": origin, "first": line})

    def tell(self, name: str, item: Any) -> None:
        """Tell something of a line: a bad one, a duplicate, a conflict."""
        if len(self.listed[name]) < MOST_LISTED:
            self.listed[name].append(item)
        else:
            self.unlisted[name] += 1

    def told(self) -> dict[str, Any]:
        """Counts and shares by name."""
        distinct = {name: len(values) for name, values in self.distinct.items()}
        shares = {
            name: round(count / self.examples, 4) for name, count in self.shares.items()
        }
        return {**self.counts, **distinct, **shares}

    def label_rows(self, head: str) -> list[dict[str, Any]]:
        """A row for each label, ``head`` the name of the label's column."""
        return [
            {head: label, **_summed(values)} for label, values in self.labels.items()
        ]


def _gather(row: dict[str, Any], name: str, value: Any, origin: str) -> None:
    if isinstance(value, Size):
        row.setdefault(name, Lengths()).add(int(value), origin)
    elif isinstance(value, str):
        known = value if len(value) <= _KEPT else _digest(value)
        row.setdefault(name, set()).add(known)
    elif isinstance(value, float):
        row.setdefault(name, []).append(value)
    else:
        row[name] = row.get(name, 0) + value


def _summed(values: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Lengths):
            report = value.report()
            row |= {key: report[key] for key in ("mean", "median", "p95", "longest")}
        elif isinstance(value, set):
            row[name] = len(value)
        elif isinstance(value, list):
            row[name] = sum(value) / len(value)
        else:
            row[name] = value
    return row


def _digest(value: Any) -> bytes:
    text = value if isinstance(value, str) else repr(value)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
