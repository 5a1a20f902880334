"""Finite automata with one counter: which token may come next, and will it end in time.

The counter is the bracket depth. An automaton is a list of edges in plain arrays, so
that a compiled loop runs it as the functions here do in numpy: compare, gather, no
branches. A row of the loop carries two integers, its state and its depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

START = 0
END = 1  # nothing leaves it; only the end token leads to it, and only at depth 0
DEAD = -1  # the state behind a token that was not allowed
PADDING = -2  # what padding edges leave, which no row ever is in


class Automaton(NamedTuple):
    """Edges, (edges,) int32 each, or (batch, edges) after ``stack``.

    From a state no two edges carry the same token. ``cost`` is the least number of
    tokens from behind the edge to END at depth 0; from depth d it takes d more, for
    one closing bracket each. max_depth: () or (batch,) int32.
    """

    source: np.ndarray
    token: np.ndarray
    target: np.ndarray
    depth: np.ndarray
    cost: np.ndarray
    max_depth: np.ndarray


def build(edges: Sequence[tuple[int, int, int, int]], max_depth: int) -> Automaton:
    """An automaton from its edges (source, token, target, change of depth).

    Edges that lead to no end are left out. Wherever the end token may come at depth 0
    a closing bracket, an edge of depth -1, must be able to come at greater depths, and
    the end token behind it. Raises ValueError when START leads to no end, or two edges
    from one state carry the same token.
    """
    costs = _costs_to_end(edges)
    alive = [edge for edge in edges if edge[2] in costs]
    if START not in costs:
        raise ValueError("no path of the automaton leads from its start to its end")
    if len({edge[:2] for edge in alive}) < len(alive):
        raise ValueError("two edges of the automaton share their state and token")
    source, token, target, depth = np.array(alive, np.int32).T
    cost = np.array([costs[edge[2]] for edge in alive], np.int32)
    return Automaton(
        source, token, target, depth, cost, np.asarray(max_depth, np.int32)
    )


def allowed(
    automaton: Automaton,
    state: np.ndarray | int,
    depth: np.ndarray | int,
    remaining: np.ndarray | int,
) -> np.ndarray:
    """Which edges may be taken with ``remaining`` tokens left, the end token included.

    state, depth, remaining: (...) integers; a stacked automaton takes (batch,) or,
    with its arrays as (batch, 1, edges), (batch, beams). Returns (..., edges) bool.
    With ``least_tokens`` left at the start some edge is allowed at every step up to
    the end, whatever was chosen before.
    """
    state, depth, remaining = (
        np.asarray(value)[..., None] for value in (state, depth, remaining)
    )
    after = depth + automaton.depth
    most = np.asarray(automaton.max_depth)[..., None]
    return (
        (automaton.source == state)
        & (after >= 0)
        & (after <= most)
        & ((automaton.target != END) | (after == 0))
        & (automaton.cost + after < remaining)
    )


def step(
    automaton: Automaton,
    state: np.ndarray | int,
    depth: np.ndarray | int,
    token: np.ndarray | int,
) -> tuple[np.ndarray, np.ndarray]:
    """State and depth behind a token, both (...) int32; DEAD where no edge has it."""
    state, depth, token = (np.asarray(value) for value in (state, depth, token))
    taken = (automaton.source == state[..., None]) & (
        automaton.token == token[..., None]
    )
    target = np.where(taken, automaton.target, DEAD).max(axis=-1)
    change = np.where(taken, automaton.depth, 0).sum(axis=-1)
    return target.astype(np.int32), (depth + change).astype(np.int32)


def least_tokens(automaton: Automaton) -> int:
    """The length of the shortest text it lets through, end token included."""
    first = automaton.source == START
    return 1 + int((automaton.cost + automaton.depth)[first].min())


def stack(automata: Sequence[Automaton], edges: int | None = None) -> Automaton:
    """Automata of a batch as (batch, edges), padded with edges that leave PADDING.

    ``edges`` pads to more than the batch needs, so that shapes repeat. Raises
    ValueError when it is less.
    """
    longest = max(automaton.source.size for automaton in automata)
    edges = longest if edges is None else edges
    if edges < longest:
        raise ValueError(f"expected room for {longest} edges, got {edges}")

    def padded(field: str, fill: int) -> np.ndarray:
        rows = np.full((len(automata), edges), fill, np.int32)
        for row, automaton in zip(rows, automata, strict=True):
            values = getattr(automaton, field)
            row[: values.size] = values
        return rows

    return Automaton(
        source=padded("source", PADDING),
        token=padded("token", 0),
        target=padded("target", DEAD),
        depth=padded("depth", 0),
        cost=padded("cost", 0),
        max_depth=np.array([a.max_depth for a in automata], np.int32),
    )


def _costs_to_end(edges: Sequence[tuple[int, int, int, int]]) -> dict[int, int]:
    """Least tokens from each state to END at depth 0 (see ``Automaton``)."""
    costs = {END: 0}
    changed = True
    while changed:
        changed = False
        for source, _, target, depth in edges:
            if target not in costs:
                continue
            # A closing bracket is paid for by the depth; an opening one costs two.
            cost = costs[target] + 1 + depth
            if source not in costs or cost < costs[source]:
                costs[source] = cost
                changed = True
    return costs
