"""Rotary positions against complex numbers."""

import numpy as np
from keras import ops

from nlpcli.layers.positions import Rotary, hierarchical_rows, rotary


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


def test_halves_are_pairs_of_the_two_halves():
    x = np.random.default_rng(2).normal(size=(1, 2, 9, 8)).astype(np.float32)
    scheme = Rotary(8, halves=True)
    places = scheme.prepare(np.arange(9)[None], None, "float32")
    turns = np.exp(1j * np.arange(9)[:, None] / 10000 ** (np.arange(0, 8, 2) / 8))
    expected = (x[..., :4] + 1j * x[..., 4:]) * turns
    found = np.asarray(scheme.turn(x, places))
    np.testing.assert_allclose(found[..., :4], expected.real, atol=1e-6)
    np.testing.assert_allclose(found[..., 4:], expected.imag, atol=1e-6)


def test_the_scheme_s_angles_are_float32_in_half_precision():
    x = np.random.default_rng(3).normal(size=(1, 1, 600, 8)).astype(np.float32)
    scheme = Rotary(8)
    places = scheme.prepare(np.arange(600)[None], None, "bfloat16")
    assert all(part.dtype == "float32" for part in places)
    half = scheme.turn(ops.cast(x, "bfloat16"), places)
    assert half.dtype == "bfloat16"
    exact = np.asarray(rotary(x, np.arange(600)))
    np.testing.assert_allclose(np.asarray(ops.cast(half, "float32")), exact, atol=0.05)


def test_hierarchical_rows_are_the_table_and_go_on():
    """alpha u_i + (1 - alpha) u_j, by the definition of the post."""
    table = np.random.default_rng(4).normal(size=(5, 3))
    alpha = 0.4
    found = np.asarray(hierarchical_rows(table, np.arange(25), alpha))
    np.testing.assert_allclose(found[:5], table, atol=1e-12)
    u = (table - alpha * table[0]) / (1 - alpha)
    for place in range(25):
        expected = alpha * u[place // 5] + (1 - alpha) * u[place % 5]
        np.testing.assert_allclose(found[place], expected, atol=1e-12)
    assert len(np.unique(found.round(9), axis=0)) == 25
