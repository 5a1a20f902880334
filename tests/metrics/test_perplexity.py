"""Perplexity of known distributions and of hopeless ones."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DivergedError
from nlpcli.metrics.perplexity import LARGEST, perplexity


@given(st.integers(1, 30_000), st.integers(1, 10_000))
def test_uniform_guessing_is_as_perplexed_as_choices(choices, tokens):
    assert perplexity(tokens * math.log(choices), tokens) == pytest.approx(choices)


def test_is_the_geometric_mean_of_one_over_probability():
    probabilities = np.array([0.5, 0.25, 0.125, 0.9], dtype=np.float32)
    total = np.float32(-np.log(probabilities).sum())
    expected = np.prod(1 / probabilities.astype(float)) ** (1 / 4)
    value = perplexity(total, 4)
    assert value == pytest.approx(expected, rel=1e-6)
    assert type(value) is float


def test_edges():
    assert perplexity(0.0, 0) is None
    assert perplexity(0.0, 1) == 1.0
    assert perplexity(709.0, 1) == pytest.approx(math.exp(709.0))
    assert perplexity(1000.0, 1) == perplexity(math.inf, 3) == LARGEST
    assert json.loads(json.dumps(perplexity(1e308, 1), allow_nan=False)) == LARGEST
    with pytest.raises(DivergedError, match=r"7 tokens.*nan"):
        perplexity(math.nan, 7)
