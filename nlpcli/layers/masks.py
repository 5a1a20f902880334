"""Boolean attention masks (True = may look) and their additive form."""

from __future__ import annotations

from typing import Any

from keras import ops


def padding(padding_mask: Any) -> Any:
    """Every query may look at every real token.

    padding_mask: (batch, length) bool -> (batch, 1, 1, length) bool.
    """
    return ops.cast(padding_mask, "bool")[:, None, None, :]


def unilm(segment_ids: Any, padding_mask: Any) -> Any:
    """Each segment sees those before it and its own past; segment 0 all of itself.

    (UniLM, Dong et al. 2019, arXiv 1905.03197, in the form of bert4keras: i may look
    at j when the running sum of segment ids at j is at most that at i.) Padding has
    segment 0 and so the sum of the last token: it is masked as well. segment_ids,
    padding_mask: (batch, length) -> (batch, 1, length, length) bool.
    """
    sums = ops.cumsum(ops.cast(segment_ids, "int32"), axis=1)
    seen = sums[:, None, None, :] <= sums[:, None, :, None]
    return ops.logical_and(seen, padding(padding_mask))


def causal(segment_ids: Any, padding_mask: Any) -> Any:
    """Every token sees itself and its past.

    padding_mask: (batch, length) -> (batch, 1, length, length) bool; segment_ids are
    not looked at, but all masks are called alike.
    """
    places = ops.arange(ops.shape(padding_mask)[1])
    seen = places[None, :] <= places[:, None]
    return ops.logical_and(seen[None, None], padding(padding_mask))


def additive(attention_mask: Any) -> Any:
    """0 where a query may look, a large negative number elsewhere; float32.

    Finite, so that a row with nothing to look at (a padding row) stays finite.
    """
    return (1.0 - ops.cast(attention_mask, "float32")) * -1e9
