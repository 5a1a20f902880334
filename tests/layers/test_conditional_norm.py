"""Conditional layer norm against numpy and against bert4keras."""

import os
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from keras import ops

from nlpcli.layers.conditional_norm import ConditionalLayerNorm

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(2.0, 3.0, (3, 5, 8)).astype(np.float32)
CONDITION = RANDOM.normal(size=(3, 6)).astype(np.float32)


def make_norm(epsilon=1e-6):
    norm = ConditionalLayerNorm(8, 6, epsilon)
    norm.build()
    return norm


def fill(norm):
    random = np.random.default_rng(1)
    for variable in norm.variables:
        variable.assign(random.normal(size=variable.shape))
    return [variable.numpy() for variable in norm.variables]


def test_at_first_it_is_a_plain_layer_norm():
    plain = keras.layers.LayerNormalization(epsilon=1e-6)
    np.testing.assert_allclose(
        np.asarray(make_norm()(X, CONDITION)), np.asarray(plain(X)), atol=1e-5
    )


def test_against_numpy():
    norm = make_norm()
    gamma, beta, gamma_kernel, beta_kernel = fill(norm)
    expected = np.empty_like(X)
    for row in range(3):
        scale = gamma + CONDITION[row] @ gamma_kernel
        offset = beta + CONDITION[row] @ beta_kernel
        for place in range(5):
            x = X[row, place]
            y = (x - x.mean()) / np.sqrt(x.var() + 1e-6)
            expected[row, place] = y * scale + offset
    np.testing.assert_allclose(np.asarray(norm(X, CONDITION)), expected, atol=1e-4)


def test_half_precision_comes_out_as_float32():
    norm = make_norm()
    fill(norm)
    out = norm(ops.cast(X, "bfloat16"), CONDITION)
    assert out.dtype == "float32"
    exact = np.asarray(norm(X, CONDITION))
    np.testing.assert_allclose(np.asarray(out), exact, atol=0.2)


BERT4KERAS = """
import sys
import numpy as np
from bert4keras.backend import keras
from bert4keras.layers import LayerNormalization
data = np.load(sys.argv[1])
x = keras.layers.Input(data["x"].shape[1:])
condition = keras.layers.Input(data["condition"].shape[1:])
layer = LayerNormalization(conditional=True)
model = keras.models.Model([x, condition], layer([x, condition]))
names = {"beta:0": "beta", "gamma:0": "gamma"}
for weight in layer.weights:
    tail = weight.name.rsplit("/", 1)[1]
    if tail.startswith("kernel"):
        own = layer.beta_dense.kernel is weight
        value = data["beta_kernel" if own else "gamma_kernel"]
    else:
        value = data[names[tail]]
    keras.backend.set_value(weight, value)
np.save(sys.argv[2], model.predict([data["x"], data["condition"]]))
"""


@pytest.mark.parity
@pytest.mark.skipif(find_spec("bert4keras") is None, reason="needs bert4keras")
def test_against_bert4keras(tmp_path):
    norm = make_norm(epsilon=keras.config.epsilon())
    names = ("gamma", "beta", "gamma_kernel", "beta_kernel")
    weights = dict(zip(names, fill(norm), strict=True))
    source, output = tmp_path / "in.npz", tmp_path / "out.npy"
    np.savez(source, x=X, condition=CONDITION, **weights)
    subprocess.run(
        [sys.executable, "-c", BERT4KERAS, str(source), str(output)],
        env={**os.environ, "TF_KERAS": "1", "TF_USE_LEGACY_KERAS": "1"},
        check=True,
        capture_output=True,
    )
    np.testing.assert_allclose(
        np.asarray(norm(X, CONDITION)), np.load(output), atol=1e-4
    )
