"""Boolean attention masks (True = may look) and their additive form."""

from __future__ import annotations

from typing import Any

from keras import ops


def padding(padding_mask: Any) -> Any:
    """Every query may look at every real token.

    padding_mask: (batch, length) bool -> (batch, 1, 1, length) bool.
    """
    return ops.cast(padding_mask, "bool")[:, None, None, :]


def additive(attention_mask: Any) -> Any:
    """0 where a query may look, a large negative number elsewhere; float32.

    Finite, so that a row with nothing to look at (a padding row) stays finite.
    """
    return (1.0 - ops.cast(attention_mask, "float32")) * -1e9
