"""The dense layer against numpy, in one product and in shares of few rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.layers.dense import FEW_ROWS, Dense, product, shared_products


def filled(inputs, units):
    layer = Dense(inputs, units)
    layer.build()
    rng = np.random.default_rng(0)
    for variable in layer.variables:
        variable.assign(rng.normal(size=variable.shape))
    return layer


def test_kernel_is_stored_units_first():
    layer = filled(3, 5)
    assert {v.name: tuple(v.shape) for v in layer.variables} == {
        "kernel": (5, 3),
        "bias": (5,),
    }
    x = np.random.default_rng(1).normal(size=(2, 4, 3)).astype(np.float32)
    expected = x @ layer.kernel.numpy().T + layer.bias.numpy()
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 70),
    inputs=st.integers(1, 9),
    units=st.integers(1, 24),
    shares=st.integers(1, 16),
)
def test_shares_of_a_product_make_the_product(rows, inputs, units, shares):
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, inputs)).astype(np.float32)
    matrix = rng.normal(size=(units, inputs)).astype(np.float32)
    with shared_products(shares):
        found = product(tf.constant(x), tf.constant(matrix))
    np.testing.assert_allclose(found, x @ matrix.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 4, FEW_ROWS + 1])
def test_compiled_layer_in_shares_equals_the_plain_one(rows):
    layer = filled(16, 12)
    x = np.random.default_rng(2).normal(size=(rows, 16)).astype(np.float32)
    compiled = tf.function(layer.call, jit_compile=True, autograph=False)
    with shared_products(4):
        found = compiled(tf.constant(x))
    np.testing.assert_allclose(found, layer(x), rtol=1e-4, atol=1e-5)


def test_shares_end_with_their_block():
    with pytest.raises(KeyError), shared_products(2):
        raise KeyError
    x, matrix = keras.ops.ones((2, 3)), keras.ops.ones((4, 3))
    concrete = tf.function(product).get_concrete_function(
        tf.TensorSpec(x.shape), tf.TensorSpec(matrix.shape)
    )
    assert "BatchMatMulV2" not in {op.type for op in concrete.graph.get_operations()}
