"""From logits to the scores that a search compares; (batch, width, vocabulary)."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

NEVER = -1e30  # finite, so that differences are never NaN
HAZARD = 0.2  # each token past the expected length leaves 80% of "not yet"
BLOCKS = 128  # of candidates, in the search for the best


def log_softmax(logits: Any) -> Any:
    """log p, float32."""
    logits = ops.cast(logits, "float32")
    top = ops.max(logits, axis=-1, keepdims=True)
    total = ops.sum(ops.exp(logits - top), axis=-1, keepdims=True)
    return logits - top - ops.log(total)


def chosen_logp(logits: Any, parents: Any, tokens: Any) -> Any:
    """log p of single tokens: (batch, chosen), the places of ``parents`` in the width.

    Reads no more of the vocabulary than its normaliser, which log_softmax shares.
    """
    logits = ops.cast(logits, "float32")
    batch, width, vocab_size = logits.shape
    top = ops.max(logits, axis=-1, keepdims=True)
    total = ops.sum(ops.exp(logits - top), axis=-1, keepdims=True)
    places = parents * vocab_size + tokens
    flat = ops.reshape(logits, (batch, width * vocab_size))
    normaliser = ops.take_along_axis((top + ops.log(total))[..., 0], parents, axis=1)
    return ops.take_along_axis(flat, places, axis=1) - normaliser


def penalise_repeats(logits: Any, tokens: Any, step: Any, penalty: Any) -> Any:
    """Scores of tokens that the answer has: divided by the penalty, or multiplied.

    (CTRL, Keskar et al. 2019, arXiv 1909.05858.) tokens: (batch, width, places), of
    which the first ``step`` count.
    """
    seen = _marked(tokens, ops.arange(tokens.shape[-1]) < step, logits.shape[-1])
    changed = ops.where(logits > 0, logits / penalty, logits * penalty)
    return ops.where(seen, changed, logits)


def repeats_ngram(tokens: Any, step: Any, size: int, vocab_size: int) -> Any:
    """True for the tokens that would repeat an n-gram of the answer.

    tokens: (batch, width, places); returns (batch, width, vocabulary) bool.
    """
    places = tokens.shape[-1]
    if places < size:
        return ops.zeros((*tokens.shape[:2], vocab_size), "bool")
    starts = np.arange(places - size + 1)
    matched = ops.broadcast_to(
        starts + size - 1 < step, (*tokens.shape[:2], len(starts))
    )
    for place in range(size - 1):
        recent = ops.take(tokens, ops.maximum(step - size + 1 + place, 0), axis=2)
        here = tokens[..., place : place + len(starts)]
        matched = ops.logical_and(matched, here == recent[..., None])
    return _marked(tokens[..., size - 1 :], matched, vocab_size)


def press_to_end(logp: Any, end_id: int, over: Any) -> Any:
    """Log-probabilities under which every answer ends.

    Past the expected length the chance of going on is multiplied by 1 - HAZARD for
    each token (``over``: how many, () int32, may be negative), so the end comes with
    probability 1, as in the self-terminating models of Welleck et al. 2020 (arXiv
    2002.02492). The others keep their proportions.
    """
    count = ops.cast(ops.maximum(over, 0), "float32")
    keep = count * float(np.log1p(-HAZARD))
    end = logp[..., end_id : end_id + 1]
    go_on = ops.log1p(-ops.exp(ops.minimum(end, -1e-7))) + keep
    pressed = ops.log1p(-ops.exp(ops.minimum(go_on, -1e-7)))
    is_end = ops.arange(logp.shape[-1]) == end_id
    return ops.where(over > 0, ops.where(is_end, pressed, logp + keep), logp)


def keep_top_k(scores: Any, count: int) -> Any:
    """Scores of the ``count`` best and of what ties with the last; NEVER elsewhere."""
    return _keep(scores, lambda kept: ops.sum(ops.cast(kept, "int32"), -1) >= count)


def keep_top_p(scores: Any, share: Any) -> Any:
    """The fewest best whose probabilities reach ``share`` (Holtzman et al. 2020).

    scores need not be normalised; the token that crosses the share is kept.
    """
    probabilities = ops.exp(log_softmax(scores))

    def enough(kept: Any) -> Any:
        return ops.sum(ops.where(kept, probabilities, 0.0), -1) >= share

    return _keep(scores, enough)


def _keep(scores: Any, enough: Any) -> Any:
    """NEVER below the highest threshold that keeps enough of the scores.

    Bisection over the bits of a float: exact after 32 halvings, where sorting a
    vocabulary takes many times as long. ``enough``: (.., vocabulary) bool -> (..).
    """
    keys = _ordered(scores)
    low = ops.min(keys, axis=-1)
    high = ops.max(keys, axis=-1)
    one = ops.convert_to_tensor(np.uint32(1))
    for _ in range(32):
        # (low + high + 1) / 2, rounded up, without overflow
        apart = high - low
        middle = low + ops.right_shift(apart, one) + ops.bitwise_and(apart, one)
        good = enough(keys >= middle[..., None])
        low = ops.where(good, middle, low)
        high = ops.where(good, high, middle - one)
    return ops.where(keys >= low[..., None], scores, NEVER)


def _ordered(scores: Any) -> Any:
    """uint32 that sort as the floats do; what is impossible becomes 0."""
    bits = ops.view(ops.cast(scores, "float32"), "uint32")
    sign = ops.convert_to_tensor(np.uint32(0x80000000))
    negative = bits >= sign
    return ops.where(negative, ops.bitwise_not(bits), bits + sign)


def _marked(tokens: Any, where: Any, vocab_size: int) -> Any:
    """True at the tokens of the places that count: (batch, width, vocabulary)."""
    batch, width, places = tokens.shape
    rows = ops.reshape(tokens, (batch * width, places))
    counted = ops.broadcast_to(where, (batch, width, places))
    index = ops.where(ops.reshape(counted, rows.shape), rows, vocab_size)
    owner = ops.broadcast_to(ops.arange(batch * width)[:, None], rows.shape)
    flat = ops.reshape(owner * (vocab_size + 1) + index, (-1, 1))
    marks = ops.scatter(
        flat,
        ops.ones((batch * width * places,), "int32"),
        (batch * width * (vocab_size + 1),),
    )
    return ops.reshape(marks, (batch, width, vocab_size + 1))[..., :vocab_size] > 0


def top_candidates(scores: Any, count: int) -> tuple[Any, Any]:
    """The ``count`` largest of (batch, candidates) and their places, largest first.

    The largest values lie in the blocks with the largest maxima, so only ``count``
    blocks are sorted. A block is every n-th candidate: its maximum is then a
    maximum of whole rows, which a CPU takes eight at a time.
    """
    batch, candidates = scores.shape
    blocks = -(-candidates // BLOCKS)
    if blocks <= 2 * count:
        values, places = ops.top_k(scores, count)
        return values, ops.cast(places, "int32")
    padding = BLOCKS * blocks - candidates
    padded = ops.pad(scores, ((0, 0), (0, padding)), constant_values=2 * NEVER)
    table = ops.reshape(padded, (batch, BLOCKS, blocks))
    _, chosen = ops.top_k(ops.max(table, axis=1), count)
    inside = ops.take_along_axis(table, chosen[:, None, :], axis=2)
    values, places = ops.top_k(ops.reshape(inside, (batch, BLOCKS * count)), count)
    column = ops.take_along_axis(chosen, places % count, axis=1)
    return values, ops.cast((places // count) * blocks + column, "int32")
