"""A rule, a table of rules, and how ``{i}`` in them is filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Rule:
    """One of our variables and the tensor, or tensors, of the file that make it.

    ``{i}`` stands for a number and is the same on both sides, ``{ii}`` and ``{iii}``
    for it with two and three digits. Several ``theirs`` lie one after another on our
    first axis (q, k, v in one kernel), in equal parts or those that Shares says.
    ``transpose`` turns each of their matrices. ``vocab_axis=0`` marks tables with one
    row a token. An optional variable may be missing from the file and then keeps its
    fresh value; a ``spare`` one is that of some sizes: a model may have no such
    variable. One that ``varies`` is spare, and a file that has it is no model without
    it.
    """

    ours: str
    theirs: str | tuple[str, ...]
    transpose: bool = False
    vocab_axis: int | None = None
    optional: bool = False
    spare: bool = False
    varies: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """``theirs`` as a tuple."""
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs


@dataclass(frozen=True)
class RuleTable:
    """The rules of one dialect and how its files differ in naming.

    ``prefix`` is in front of the rules' names and may be missing from a file.
    ``spellings`` are (old ending, ending in the rules). ``ignorable`` are regular
    expressions of names that carry nothing to load. ``foreign`` explains a file of
    another family by the beginning of its names.
    """

    rules: tuple[Rule, ...]
    prefix: str = ""
    spellings: tuple[tuple[str, str], ...] = ()
    ignorable: tuple[str, ...] = ()
    foreign: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: RuleTable) -> RuleTable:
        """The rules of both, under the naming of both."""
        return RuleTable(
            self.rules + other.rules,
            self.prefix or other.prefix,
            tuple(dict.fromkeys(self.spellings + other.spellings)),
            tuple(dict.fromkeys(self.ignorable + other.ignorable)),
            {**other.foreign, **self.foreign},
        )


Rules = RuleTable | Sequence[Rule]
Shares = Mapping[str, tuple[int, ...]]
"""Rows of a fused variable that each tensor makes, by a name in its path."""


def cuts(rule: Rule, rows: int, shares: Shares) -> tuple[int, ...] | None:
    """The rows of a variable that each of a rule's tensors makes; None where ``rows``
    cannot be made of them."""
    count = len(rule.sources)
    given = next((n for key, n in shares.items() if key in rule.ours.split("/")), None)
    if count == 1:
        return (rows,)
    if given is not None and len(given) == count:
        return given if sum(given) == rows else None
    return None if rows % count else (rows // count,) * count


def as_table(rules: Rules) -> RuleTable:
    """A plain list of rules as a table without special naming."""
    return rules if isinstance(rules, RuleTable) else RuleTable(tuple(rules))


def rule_of(path: str, rules: Iterable[Rule]) -> Rule | None:
    """The rule of one variable, its ``{i}`` filled in; None when there is none."""
    for rule in rules:
        match = _pattern(rule).fullmatch(path)
        if match:
            number = match.groupdict().get("i")
            return rule if number is None else _fill(rule, number)
    return None


def expand(rules: Iterable[Rule], paths: Iterable[str]) -> Iterator[Rule]:
    """All rules, those with ``{i}`` once for every number that ``paths`` have there:
    an encoder may have fewer layers than its decoder."""
    rules, paths = list(rules), list(paths)
    numbers: dict[str, set[str]] = {}
    for rule in rules:
        found = numbers.setdefault(rule.ours.partition("{i}")[0], set())
        matches = map(_pattern(rule).fullmatch, paths)
        found |= {m["i"] for m in matches if m and "i" in m.groupdict()}
    for rule in rules:
        if "{i}" in rule.ours:
            found = numbers[rule.ours.partition("{i}")[0]]
            yield from (_fill(rule, number) for number in sorted(found, key=int))
        else:
            yield rule


def numbered(rules: Iterable[Rule], number: int) -> Iterator[Rule]:
    """The rules of the blocks ``number``."""
    return (_fill(rule, str(number)) for rule in rules if "{i}" in rule.ours)


def _fill(rule: Rule, number: str) -> Rule:
    return replace(
        rule,
        ours=rule.ours.replace("{i}", number),
        theirs=tuple(
            name.replace("{i}", number)
            .replace("{ii}", number.zfill(2))
            .replace("{iii}", number.zfill(3))
            for name in rule.sources
        ),
    )


def _pattern(rule: Rule) -> re.Pattern[str]:
    first, *rest = map(re.escape, rule.ours.split("{i}"))
    groups = [r"(?P<i>0|[1-9][0-9]*)", *["(?P=i)"] * len(rest)]
    return re.compile(
        first + "".join(g + part for g, part in zip(groups, rest, strict=False))
    )
