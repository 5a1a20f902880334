"""Whether answers by products in bfloat16 are those of float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

APART = 0.05  # of the largest logit: how far rounding may move one
MASKED = 1e6  # logits beyond are masks


def apart(found: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    """The largest difference of a logit, as a share of the largest logit of its kind.

    Infinite where one is not finite that should be.
    """
    most = 0.0
    for name, values in right.items():
        wide, given = (np.asarray(x, np.float64) for x in (values, found[name]))
        real = np.abs(wide) < MASKED
        if not real.any():
            continue
        if not np.isfinite(given[real]).all():
            return float("inf")
        largest = max(np.abs(wide[real]).max(), 1e-6)
        most = max(most, float(np.abs(given - wide)[real].max() / largest))
    return most
