"""Declarative tables between our variable paths and the names of foreign files.

A table reads both ways: ``stream`` and ``load`` make our variables of a file, ``dump``
the file's tensors of our variables. Loading is all or nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nlpcli.checkpoints.names import Names, grouped
from nlpcli.checkpoints.rows import Rows, take_rows
from nlpcli.checkpoints.source import Blocks, Shape, Source, read_blocks
from nlpcli.checkpoints.table import (
    Rule,
    Rules,
    RuleTable,
    Shares,
    as_table,
    cuts,
    expand,
    numbered,
    rule_of,
)
from nlpcli.errors import CheckpointError

__all__ = [
    "Plan",
    "Rule",
    "RuleTable",
    "Rules",
    "blocks_beyond",
    "dump",
    "load",
    "resolve",
    "stream",
]

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
    """Values of all targets at once, float32; else as ``stream``."""
    filled = stream(
        rules,
        targets,
        source,
        kept_rows=kept_rows,
        compound_rows=compound_rows,
        table_rows=table_rows,
        others=others,
        shares=shares,
    )
    return {path: joined(blocks, targets[path]) for path, blocks in filled}


def stream(
    rules: Rules,
    targets: Mapping[str, Shape],
    source: Source,
    *,
    kept_rows: np.ndarray | Sequence[int] | None = None,
    compound_rows: Sequence[Sequence[int]] | None = None,
    table_rows: int | None = None,
    others: Collection[str] = (),
    shares: Shares = {},  # noqa: B006 - never changed
) -> Iterator[tuple[str, Blocks]]:
    """Each target with its value in float32, read when its blocks are taken.

    Raises CheckpointError that lists every gap, before anything is read; one that
    comes while blocks are taken leaves what they were put into half filled.

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
    return (
        (path, _blocks(rule, names, tuple(targets[path]), source, rows, shares))
        for path, (rule, names) in plan.mapping.items()
    )


def joined(blocks: Blocks, shape: Shape) -> np.ndarray:
    """The blocks of one variable as one array."""
    whole: np.ndarray | None = None
    for start, block in blocks:
        if block.shape == tuple(shape):
            return block
        if whole is None:
            whole = np.empty(shape, block.dtype)
        whole[start : start + len(block)] = block
    return np.empty(shape, np.float32) if whole is None else whole


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
    gaps += [
        f"{rule.ours}: {source.label} has {options[0]}, by its configuration there is "
        "none"
        for rule in expand(table.rules, targets)
        if rule.varies and rule.ours not in targets
        for options in map(names.forms, rule.sources)
        if options
    ]
    gaps += names.mixed(used)
    if gaps:
        gaps = [f"{source.label}: {why}" for why in names.explain(used)] + gaps
    return Plan(mapping, gaps, names.unused(used), names.notes(used))


def blocks_beyond(
    rules: Rules, targets: Mapping[str, Shape], source: Source
) -> tuple[int, int]:
    """Blocks of a stack in ``targets``, and in a file that has more of them; the
    same number twice where it has not."""
    table = as_table(rules)
    names = Names(table, source.describe())
    stems: dict[str, list[Rule]] = {}
    for rule in table.rules:
        if "{i}" in rule.ours:
            stems.setdefault(rule.ours.partition("{i}")[0], []).append(rule)
    for stem, own in stems.items():
        there = 0
        while any(path.startswith(f"{stem}{there}/") for path in targets):
            there += 1
        found = there
        while any(
            names.forms(name) for r in numbered(own, found) for name in r.sources
        ):
            found += 1
        if found > there > 0:
            return there, found
    return 0, 0


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
        if not (rule.optional or rule.spare or rule.varies) and rule.ours not in values
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


def _blocks(
    rule: Rule,
    names: Sequence[str],
    shape: Shape,
    source: Source,
    rows: Rows,
    shares: Shares,
) -> Blocks:
    """What a rule makes of a file's tensors, in order of our rows."""
    if rule.vocab_axis == 0 and (rows.kept is not None or len(rows.compound)):
        yield 0, _chosen_rows(names[0], source, rows, rule.transpose)
        return
    first, sizes = 0, cuts(rule, shape[0] if shape else 1, shares) or ()
    for name, size in zip(names, sizes, strict=True):
        if rule.transpose:
            yield first, _single(source.read(name).T)
        else:
            for start, block in read_blocks(source, name, (size, *shape[1:])):
                yield first + start, _single(block)
        first += size


def _chosen_rows(name: str, source: Source, rows: Rows, turned: bool) -> np.ndarray:
    """The table that ``rows`` asks for; of the file's only those rows are kept.

    ``turned``: the file has them as columns.
    """
    if turned:
        return _single(take_rows(source.read(name).T, rows.kept, rows.compound))
    shape = source.describe()[name]
    compound = [np.asarray(group, np.int64) for group in rows.compound]
    kept = np.arange(shape[0]) if rows.kept is None else rows.kept
    wanted = np.unique(np.concatenate([kept, *compound]))
    found = np.empty((len(wanted), *shape[1:]), np.float32)
    for start, block in read_blocks(source, name, shape):
        first, last = np.searchsorted(wanted, [start, start + len(block)])
        found[first:last] = block[wanted[first:last] - start]
    means = [np.searchsorted(wanted, group).tolist() for group in compound]
    return take_rows(found, np.searchsorted(wanted, kept), means)


def _single(block: np.ndarray) -> np.ndarray:
    return np.asarray(block, np.float32, order="C")
