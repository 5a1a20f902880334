"""Rotary positions against complex numbers."""

import numpy as np
from keras import ops

from nlpcli.layers.positions import rotary


def test_each_pair_turns_by_its_angle():
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 8)).astype(np.float32)
    turns = np.exp(1j * np.arange(7)[:, None] / 10000 ** (np.arange(0, 8, 2) / 8))
    expected = (x[..., ::2] + 1j * x[..., 1::2]) * turns
    found = np.asarray(rotary(x, np.arange(7)))
    np.testing.assert_allclose(found[..., ::2], expected.real, atol=1e-6)
    np.testing.assert_allclose(found[..., 1::2], expected.imag, atol=1e-6)


def test_products_depend_on_the_distance_alone():
    q, k = np.random.default_rng(1).normal(size=(2, 1, 16)).astype(np.float32)
    products = [
        float(ops.sum(rotary(q, np.array([i])) * rotary(k, np.array([i + 3]))))
        for i in (0, 5, 400)
    ]
    np.testing.assert_allclose(products, products[0], rtol=1e-4)


def test_positions_of_each_row_and_half_precision():
    """bfloat16 cannot count past 256: the angles must not be its own."""
    x = np.ones((2, 1, 2, 4), np.float32)
    positions = np.array([[300, 301], [511, 0]])[:, None]
    exact = np.asarray(rotary(x, positions))
    half = rotary(ops.cast(x, "bfloat16"), positions)
    assert half.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(ops.cast(half, "float32")), exact, atol=0.01)
    np.testing.assert_array_equal(exact[1, 0, 1], 1.0)
