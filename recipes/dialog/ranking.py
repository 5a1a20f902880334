"""Candidates ranked by mutual information, so that dull replies do not win.

log p(reply | turn) + weight * log p(turn | reply), both by token (Li et al. 2016,
arXiv 1510.03055, their MMI-bidi): a reply that would suit anything tells little of
the turn that it answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nlpcli.decoders.hypothesis import Hypothesis


class Candidate(NamedTuple):
    """A reply; ``backward``: mean log p of a token of the turn that it answers."""

    hypothesis: Hypothesis
    backward: float | None = None


def rank(
    hypotheses: Sequence[Hypothesis],
    losses: Sequence[tuple[float, int]],
    weight: float,
) -> list[Candidate]:
    """The candidates, best first; what was drawn twice comes after all others.

    losses: for each hypothesis (-log p of the turn given it, tokens).
    """
    ranked = []
    for hypothesis, (loss, tokens) in zip(hypotheses, losses, strict=True):
        length = len(hypothesis.token_ids) + (hypothesis.finish_reason == "end")
        backward = -loss / max(tokens, 1)
        total = hypothesis.score / max(length, 1) + weight * backward
        ranked.append((total, Candidate(hypothesis, backward)))
    ranked.sort(key=lambda item: -item[0])
    first: dict[tuple[int, ...], Candidate] = {}
    again = []
    for _, candidate in ranked:
        key = tuple(candidate.hypothesis.token_ids.tolist())
        if first.setdefault(key, candidate) is not candidate:
            again.append(candidate)
    return [*first.values(), *again]
