"""Linear-chain decoding: the best legal path, and how sure the model is of it.

Plain numpy in float64, vectorised over the batch. Every function takes the numbers
of a CRF head: logits (batch, length, tags); mask (batch, length) bool, True first;
transitions (tags, tags) from row to column; start and end (tags,). With a scheme,
sequences that it forbids have probability zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nlpcli.decoders.tags import Span, TagScheme

# Finite, so that differences never are NaN; far below any sum of real scores.
_IMPOSSIBLE = -1e100


def viterbi(
    logits: np.ndarray,
    mask: np.ndarray,
    transitions: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    scheme: TagScheme | None = None,
) -> tuple[list[np.ndarray], np.ndarray]:
    """The highest-scoring legal tag sequence of each row (Viterbi 1967).

    Returns one (real length,) int32 array a row, and the paths' scores (batch,).
    """
    chain = _chain(logits, mask, transitions, start, end, scheme)
    length, tags, batch = chain.emissions.shape
    pointers = np.empty((length, batch, tags), np.int32)
    best = (chain.start[:, None] + chain.emissions[0]).T
    for t in range(1, length):
        paths = best[:, None, :] + chain.transitions.T
        pointers[t] = paths.argmax(axis=-1)
        through = np.take_along_axis(paths, pointers[t][..., None], axis=-1)[..., 0]
        past = t >= chain.lengths
        pointers[t, past] = np.arange(tags)
        best = np.where(past[:, None], best, through + chain.emissions[t].T)
    best += chain.end
    path = np.empty((batch, length), np.int32)
    path[:, -1] = best.argmax(axis=1)
    for t in range(length - 1, 0, -1):
        path[:, t - 1] = pointers[t, np.arange(batch), path[:, t]]
    scores = np.where(chain.lengths > 0, best.max(axis=1), 0.0)
    return [row[:n] for row, n in zip(path, chain.lengths, strict=True)], scores


def marginals(
    logits: np.ndarray,
    mask: np.ndarray,
    transitions: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    scheme: TagScheme | None = None,
) -> np.ndarray:
    """Probability of each tag at each position by forward-backward.

    Returns (batch, length, tags) float64; zeros where masked.
    """
    chain = _chain(logits, mask, transitions, start, end, scheme)
    alpha, beta, log_z = _forward_backward(chain)
    out = np.zeros(np.shape(logits))
    inside = np.exp(np.minimum(alpha + beta - log_z, 0.0)).transpose(2, 0, 1)
    out[:, : inside.shape[1]] = inside
    return np.where(mask[..., None], out, 0.0)


def span_scores(
    logits: np.ndarray,
    mask: np.ndarray,
    transitions: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    scheme: TagScheme,
    spans: Sequence[Sequence[Span]],
) -> list[list[float]]:
    """Probability that each span is an entity: these bounds, this label, no other.

    The mass of all legal sequences with B-X at s, I-X up to e - 1 and no I-X at e,
    over the mass of all legal sequences::

        exp(alpha[s, B] + sum of the steps inside - log Z
            + log sum over y != I of exp(T[last, y] + logits[e, y] + beta[e, y]))

    (the last line is ``end[last]`` when the span closes the text). spans: the spans
    of each row; the result has the same shape.
    """
    busy = np.array([row for row, found in enumerate(spans) if found], np.int64)
    if not busy.size:
        return [[] for _ in spans]
    chain = _chain(logits[busy], mask[busy], transitions, start, end, scheme)
    alpha, beta, log_z = _forward_backward(chain)
    row, first, stop, begin = np.array(
        [
            (place, first, stop, scheme.begins[label])
            for place, index in enumerate(busy)
            for first, stop, label in spans[index]
        ]
    ).T
    inside, longer = begin + 1, stop - first > 1
    last = np.where(longer, inside, begin)
    matrix = chain.transitions
    run = np.cumsum(chain.emissions, axis=0)
    steps = run[stop - 1, inside, row] - run[first, inside, row]
    steps += matrix[begin, inside] + (stop - first - 2) * matrix[inside, inside]
    path = alpha[first, begin, row] + np.where(longer, steps, 0.0)
    after = np.minimum(stop, len(chain.emissions) - 1)
    leave = matrix[last] + (chain.emissions + beta)[after, :, row]
    leave[np.arange(len(row)), inside] = _IMPOSSIBLE
    closed = np.where(
        stop == chain.lengths[row], chain.end[last], _log_sum_exp(leave, axis=1)
    )
    scores = iter(np.exp(np.minimum(path + closed - log_z[row], 0.0)).tolist())
    return [[next(scores) for _ in found] for found in spans]


class _Chain(NamedTuple):
    """Constrained scores; the batch axis is last, so that numpy's inner loop is long.

    emissions: (longest row, tags, batch) float64; lengths: (batch,).
    """

    emissions: np.ndarray
    lengths: np.ndarray
    transitions: np.ndarray
    start: np.ndarray
    end: np.ndarray


def _chain(
    logits: np.ndarray,
    mask: np.ndarray,
    transitions: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    scheme: TagScheme | None,
) -> _Chain:
    lengths = np.asarray(mask, bool).sum(axis=1)
    longest = max(1, int(lengths.max(initial=0)))
    # A diverged model's NaN must not outscore the constraints.
    emissions = np.nan_to_num(
        np.asarray(logits)[:, :longest].astype(np.float64),
        nan=0.0,
        posinf=1e30,
        neginf=-1e30,
    )
    scores = [np.asarray(x, np.float64) for x in (start, transitions, end)]
    if scheme is not None:
        scores = [
            np.where(allowed, score, _IMPOSSIBLE)
            for allowed, score in zip(scheme.allowed, scores, strict=True)
        ]
    first, matrix, last = scores
    return _Chain(
        np.ascontiguousarray(emissions.transpose(1, 2, 0)), lengths, matrix, first, last
    )


def _forward_backward(chain: _Chain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-mass of all paths up to (with) and from (without) each tag, and in all.

    Returns alpha, beta: (length, tags, batch); log Z: (batch,).
    """
    emissions = chain.emissions
    matrix = chain.transitions[:, :, None]
    alpha, beta = np.empty_like(emissions), np.empty_like(emissions)
    alpha[0] = chain.start[:, None] + emissions[0]
    for t in range(1, len(emissions)):
        step = _log_sum_exp(alpha[t - 1][:, None] + matrix, axis=0) + emissions[t]
        alpha[t] = np.where(t < chain.lengths, step, alpha[t - 1])
    beta[-1] = chain.end[:, None]
    for t in range(len(emissions) - 2, -1, -1):
        step = _log_sum_exp(matrix + (emissions[t + 1] + beta[t + 1])[None], axis=1)
        beta[t] = np.where(t + 1 < chain.lengths, step, chain.end[:, None])
    return alpha, beta, _log_sum_exp(alpha[-1] + chain.end[:, None], axis=0)


def _log_sum_exp(x: np.ndarray, axis: int) -> np.ndarray:
    top = x.max(axis=axis, keepdims=True)
    return np.log(np.exp(x - top).sum(axis=axis)) + top.squeeze(axis)
