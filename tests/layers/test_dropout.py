"""Dropout: rate, scale, independence, seeds, precision and XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.layers.dropout import Dropout


def masks(seed, calls=2, rate=0.3, size=100_000):
    keras.utils.set_random_seed(seed)
    layer = Dropout(rate)
    x = tf.ones((size,))
    return [np.asarray(layer(x, training=True)) for _ in range(calls)]


def test_rate_and_scale():
    (values,) = masks(0, calls=1)
    assert set(np.unique(values)) == {np.float32(0.0), np.float32(1 / 0.7)}
    assert (values == 0).mean() == pytest.approx(0.3, abs=0.005)


def test_calls_are_independent_and_seeded():
    first, second = (m == 0 for m in masks(1))
    assert (first & second).mean() == pytest.approx(0.09, abs=0.005)
    assert np.array_equal(masks(1)[0] == 0, first)
    assert not np.array_equal(masks(2)[0] == 0, first)


def test_neighbours_are_independent():
    (values,) = masks(3, calls=1, rate=0.5)
    zero = values == 0
    for lag in (1, 2, 16, 384):
        both = (zero[lag:] & zero[:-lag]).mean()
        assert both == pytest.approx(0.25, abs=0.01)


def test_off_outside_training_and_at_rate_zero():
    x = tf.ones((4, 4))
    assert np.array_equal(Dropout(0.5)(x), x)
    assert np.array_equal(Dropout(0.0)(x, training=True), x)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_same_mask_under_xla(dtype):
    results = []
    for xla in (False, True):
        keras.utils.set_random_seed(5)
        layer = Dropout(0.2, dtype=dtype)
        function = tf.function(lambda x: layer(x, training=True), jit_compile=xla)  # noqa: B023
        results.append(
            np.asarray(tf.cast(function(tf.ones((8, 33), dtype)), "float32"))
        )
    assert np.array_equal(*results)
