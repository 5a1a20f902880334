"""Products of int8 against numpy: the sums to the unit, the scales to a rounding."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.layers.dense import FEW_ROWS, Dense, product, shared_products
from nlpcli.layers.quantized import (
    EXACT,
    LARGEST,
    Quantized,
    exact_sums,
    quantize_rows,
)
from nlpcli.runtime.quantize import compiled_integers


def by_hand(x, kernel):
    """The product as numpy writes it: int32 sums, and what it comes to."""
    steps = [np.maximum(np.abs(m).max(1), 1e-30) / np.float32(127) for m in (x, kernel)]
    left, right = (
        np.rint(m * (np.float32(127) / np.maximum(np.abs(m).max(1), 1e-30))[:, None])
        for m in (x, kernel)
    )
    sums = left.astype(np.int32) @ right.astype(np.int32).T
    return sums, sums * steps[0][:, None].astype(float) * steps[1].astype(float)


def quantized(kernel):
    values, scale = quantize_rows(tf.constant(kernel))
    return Quantized(values, scale[:, 0])


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, FEW_ROWS + 6),
    inputs=st.integers(1, 9),
    units=st.integers(1, 24),
    shares=st.integers(1, 16),
    machine=st.booleans(),
)
def test_products_are_those_of_numpy(rows, inputs, units, shares, machine):
    x, kernel = normal(rows, rows, inputs), normal(units, units, inputs)
    sums, expected = by_hand(x, kernel)
    with shared_products(shares), compiled_integers(machine):
        found = product(tf.constant(x), quantized(kernel))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    left, right = quantize_rows(tf.constant(x))[0], quantized(kernel).values
    np.testing.assert_array_equal(exact_sums(left, right), sums)


@pytest.mark.parametrize("rows", [1, 2, 5, FEW_ROWS + 1])
def test_compiled_products_are_those_of_numpy(rows):
    x, kernel = normal(rows, rows, 96), normal(0, 40, 96)
    compiled = tf.function(product, jit_compile=True, autograph=False)
    with shared_products(2), compiled_integers():
        found = compiled(tf.constant(x), quantized(kernel))
    np.testing.assert_allclose(found, by_hand(x, kernel)[1], rtol=1e-5, atol=1e-5)


def test_compiled_products_may_feed_a_reduction():
    # of bfloat16 such a program aborts the process
    x, kernel = normal(1, 8, 96), normal(2, 40, 96)

    @tf.function(jit_compile=True, autograph=False)
    def reduced(x):
        found = product(x, quantized(kernel))
        return tf.reduce_max(found, 1), tf.reduce_sum(found, 1), tf.reduce_sum(found, 0)

    expected = by_hand(x, kernel)[1]
    for shares in (1, 2):
        with shared_products(shares), compiled_integers():
            most, across, down = reduced(tf.constant(x))
        np.testing.assert_allclose(most, expected.max(1), rtol=1e-4)
        np.testing.assert_allclose(across, expected.sum(1), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(down, expected.sum(0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("inputs", [EXACT, EXACT + 1, 3 * EXACT])
def test_the_largest_sums_are_exact(inputs):
    ends = np.array([[1, -1], [1, 1]], np.int8).repeat(inputs // 2 + 1, 1)[:, :inputs]
    rows = np.full((3, inputs), LARGEST, np.int8)
    rows[1, -1] = LARGEST - 1
    expected = rows.astype(np.int32) @ (LARGEST * ends.astype(np.int32)).T
    found = exact_sums(tf.constant(rows), tf.constant(LARGEST * ends))
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, expected)


def test_rows_reach_the_ends_and_no_further_and_zeros_stay():
    x = np.array([[3, -3, 1], [0, 0, 0], [1e30, -1, 0], [1e-35, 0, 0]], np.float32)
    values, scale = quantize_rows(tf.constant(x))
    np.testing.assert_array_equal(
        values, [[127, -127, 42], [0, 0, 0], [127, 0, 0], [0, 0, 0]]
    )
    assert np.all(np.isfinite(scale))
    found = product(tf.constant(x), quantized(x)).numpy()
    assert np.all(found[1] == 0) and np.all(found[:, 1] == 0)


def test_a_row_is_quantised_alike_in_any_company():
    x, kernel = normal(3, 9, 33), quantized(normal(4, 12, 33))
    together = product(tf.constant(x), kernel).numpy()
    alone = [product(tf.constant(x[i : i + 1]), kernel).numpy()[0] for i in range(9)]
    np.testing.assert_array_equal(together, alone)


def test_a_layer_in_int8_keeps_no_float_kernel():
    layer = Dense(33, 12)
    layer.build()
    layer.bias.assign(normal(1, 12))
    x = normal(2, 2, 4, 33)
    before, kernel = layer(x).numpy(), weakref.ref(layer.kernel)
    layer.to_int8()
    gc.collect()
    assert kernel() is None
    assert {v.name: v.dtype for v in layer.variables} == {
        "bias": "float32",
        "kernel_int8": "int8",
        "kernel_scale": "float32",
    }
    assert [v.name for v in layer.trainable_variables] == ["bias"]
    np.testing.assert_allclose(layer(x), before, atol=0.05)


def test_a_layer_in_int8_answers_in_half_precision():
    layer = Dense(33, 12, dtype="mixed_bfloat16")
    layer.build()
    x = keras.ops.cast(normal(2, 4, 33), "bfloat16")
    before = layer(x)
    layer.to_int8()
    found = layer(x)
    assert found.dtype == before.dtype
    np.testing.assert_allclose(
        keras.ops.cast(found, "float32"), keras.ops.cast(before, "float32"), atol=0.1
    )
