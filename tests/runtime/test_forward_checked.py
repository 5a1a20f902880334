"""Products in bfloat16 are taken where their answers agree with float32."""

import logging

import keras
import numpy as np
import pytest

from nlpcli.runtime import forward
from nlpcli.runtime.checked import apart
from nlpcli.runtime.forward import Forward
from tests.tiny_task import make_batch, make_model


def test_the_largest_difference_counts_beside_the_largest_logit():
    right = {"a": np.array([[4.0, -2.0, -1e9]]), "b": np.array([1.0])}
    found = {"a": np.array([[4.0, -1.0, -1e9]]), "b": np.array([1.1])}
    assert apart(found, right) == pytest.approx(0.25)
    assert apart(right, right) == 0.0
    assert apart({**found, "b": np.array([np.nan])}, right) == float("inf")
    assert apart({"a": np.array([-1e9])}, {"a": np.array([-1e9])}) == 0.0


@pytest.mark.parametrize("agrees", [True, False])
def test_the_first_batch_decides(agrees, monkeypatch, caplog):
    keras.utils.set_random_seed(0)
    model = make_model()
    batch = make_batch(1)
    exact = Forward(model, xla=False)(batch)["labels"]
    held = Forward(model, xla=False, held=True)(batch)["labels"]
    assert 0.0 < np.abs(held - exact).max() < 0.05 * np.abs(exact).max()
    if not agrees:
        monkeypatch.setattr(forward, "APART", 1e-9)
    chosen = Forward(model, xla=False, held=True, checked=True)
    with caplog.at_level(logging.INFO, "nlpcli"):
        logits = chosen(batch)["labels"]
    assert np.array_equal(logits, held if agrees else exact)
    told = "bfloat16 (logits within" if agrees else "float32, since bfloat16 moves"
    assert told in caplog.text
    caplog.clear()
    assert np.array_equal(chosen(batch)["labels"], logits)
    assert not caplog.text
