"""Declarative tables between our variable paths and the names of foreign files.

A table reads both ways: ``load`` fills our variables from a file, ``dump`` gives the
file's tensors from our variables. Loading is all or nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nlpcli.checkpoints.names import Names, grouped
from nlpcli.checkpoints.rows import Rows, take_rows
from nlpcli.checkpoints.source import Shape, Source
from nlpcli.checkpoints.table import (
    Rule,
    Rules,
    RuleTable,
    Shares,
    as_table,
    cuts,
    expand,
    rule_of,
)
from nlpcli.errors import CheckpointError

__all__ = ["Plan", "Rule", "RuleTable", "Rules", "dump", "load", "resolve"]

logger = logging.getLogger("nlpcli")


@dataclass(frozen=True)
class Plan:
    """Which tensors make which variable, and everything that does not fit.

    mapping: our path -> its rule and the file's names; gaps: what stands against
    loading; unused: the file's names left over; notes: other spellings accepted.
    """

    mapping: dict[str, tuple[Rule, tuple[str, ...]]]
    gaps: list[str]
    unused: list[str]
    notes: list[str]


def load(
    rules: Rules,
    targets: Mapping[str, Shape],
    source: Source,
    *,
    kept_rows: np.ndarray | Sequence[int] | None = None,
    compound_rows: Sequence[Sequence[int]] | None = None,
    table_rows: int | None = None,
    others: Collection[str] = (),
    shares: Shares = {},  # noqa: B006 - never changed
) -> dict[str, np.ndarray]:
    """Values of all targets, float32, or CheckpointError that lists every gap.

    targets: path -> shape. ``kept_rows`` and ``compound_rows`` choose rows of tables
    with one row a token (see Rows); ``table_rows`` is how many the file has to have.
    ``others``: the file's names that are not told as left over, since they are used
    elsewhere.
    """
    kept = None if kept_rows is None else np.asarray(kept_rows, np.int64)
    rows = Rows(kept, compound_rows or (), table_rows)
    plan = resolve(rules, targets, source, rows, shares)
    if plan.gaps:
        raise CheckpointError("\n".join(plan.gaps))
    for note in plan.notes:
        logger.info("%s: %s", source.label, note)
    if left := [name for name in plan.unused if name not in others]:
        logger.info("%s: not used: %s", source.label, ", ".join(grouped(left)))
    return {
        path: _value(rule, [source.read(name) for name in names], rows)
        for path, (rule, names) in plan.mapping.items()
    }


def resolve(
    rules: Rules,
    targets: Mapping[str, Shape],
    source: Source,
    rows: Rows | None = None,
    shares: Shares = {},  # noqa: B006 - never changed
) -> Plan:
    """Match our variables with a file's tensors by name and shape; reads no value."""
    table = as_table(rules)
    found = source.describe()
    names = Names(table, found)
    mapping: dict[str, tuple[Rule, tuple[str, ...]]] = {}
    used: set[str] = set()
    gaps: list[str] = []
    for path, shape in targets.items():
        rule = rule_of(path, table.rules)
        if rule is None:
            gaps.append(f"{path}: no rule says where it comes from")
            continue
        forms = [names.forms(name) for name in rule.sources]
        if rule.optional and not any(forms):
            continue
        problems = _misfits(
            rule, tuple(shape), forms, source, found, rows or Rows(), shares
        )
        gaps += [f"{path}: {problem}" for problem in problems]
        used.update(name for options in forms for name in options)
        if not problems:
            mapping[path] = (rule, tuple(options[0] for options in forms))
    gaps += names.mixed(used)
    if gaps:
        gaps = [f"{source.label}: {why}" for why in names.explain(used)] + gaps
    return Plan(mapping, gaps, names.unused(used), names.notes(used))


def dump(
    rules: Rules,
    values: Mapping[str, np.ndarray],
    shares: Shares = {},  # noqa: B006 - never changed
) -> dict[str, np.ndarray]:
    """The file's tensors from our variables: the table read from left to right.

    Raises CheckpointError when a variable has no rule or a rule has no variable.
    """
    table = as_table(rules)
    tensors: dict[str, np.ndarray] = {}
    gaps: list[str] = []
    for path, value in values.items():
        rule = rule_of(path, table.rules)
        if rule is None:
            gaps.append(f"{path}: no rule says what the file calls it")
            continue
        sizes = cuts(rule, len(value), shares)
        if sizes is None:
            gaps.append(f"{path}: {value.shape} cannot be cut for {rule.sources}")
            continue
        parts = np.split(np.asarray(value), np.cumsum(sizes)[:-1])
        for name, part in zip(rule.sources, parts, strict=True):
            tensors[name] = np.ascontiguousarray(part.T if rule.transpose else part)
    gaps += [
        f"{rule.ours}: the file needs it, the model has none"
        for rule in expand(table.rules, values)
        if not rule.optional and rule.ours not in values
    ]
    if gaps:
        raise CheckpointError("\n".join(gaps))
    return tensors


def _misfits(
    rule: Rule,
    shape: Shape,
    forms: Sequence[Sequence[str]],
    source: Source,
    found: Mapping[str, Shape],
    rows: Rows,
    shares: Shares,
) -> list[str]:
    """Why a variable of ``shape`` cannot be made of the file's tensors."""
    sizes = cuts(rule, shape[0], shares)
    if sizes is None:
        return [f"{shape} cannot be made of {len(rule.sources)} parts"]
    problems = []
    for name, options, size in zip(rule.sources, forms, sizes, strict=True):
        part = (size, *shape[1:])
        expected = part[::-1] if rule.transpose else part
        if not options:
            problems.append(f"expected {name} {expected}, {source.label} has none")
        elif len(options) > 1:
            problems.append(
                f"expected one tensor, {source.label} has {' and '.join(options)}"
            )
        else:
            actual = tuple(found[options[0]])
            where = f"{options[0]} in {source.label}"
            turned = actual[::-1] if rule.transpose else actual
            if rule.vocab_axis == 0 and turned and turned[1:] == part[1:]:
                reasons = rows.gaps(shape[0], turned[0])
                problems += [f"{reason} ({where})" for reason in reasons]
            elif actual != expected:
                problems.append(f"expected {expected}, {where} is {actual}")
    return problems


def _value(rule: Rule, parts: Sequence[np.ndarray], rows: Rows) -> np.ndarray:
    turned = [part.T if rule.transpose else part for part in parts]
    value = turned[0] if len(turned) == 1 else np.concatenate(turned)
    if rule.vocab_axis == 0:
        value = take_rows(value, rows.kept, rows.compound)
    return np.ascontiguousarray(value, np.float32)
