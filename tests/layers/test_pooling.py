"""Pooling and whitening against numpy."""

import numpy as np
import pytest

from nlpcli.layers.pooling import Pooling, Whitening, normalised, whitening_of

RNG = np.random.default_rng(3)
STATES = RNG.normal(size=(2, 5, 8)).astype("float32")
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)


def test_mean_is_over_what_the_mask_shows():
    found = np.asarray(Pooling("mean", 8)(STATES, MASK))
    assert np.allclose(found, [STATES[0, :3].mean(0), STATES[1].mean(0)], atol=1e-6)
    nothing = np.asarray(Pooling("mean", 8)(STATES, np.zeros_like(MASK)))
    assert not nothing.any()


def test_the_pooler_is_linear():
    layer = Pooling("pooler", 8)
    kernel, bias = (np.asarray(v) for v in layer.pooler.trainable_variables)
    assert np.allclose(layer(STATES, MASK), STATES[:, 0] @ kernel.T + bias, atol=1e-5)
    assert np.allclose(Pooling("cls", 8)(STATES, MASK), STATES[:, 0])


def test_whitened_vectors_have_mean_zero_and_no_correlation():
    vectors = RNG.normal(size=(200, 8)) @ RNG.normal(size=(8, 8)) + 3.0
    layer = Whitening(8, 5)
    layer.fit(vectors)
    white = np.asarray(layer(vectors.astype("float32")), np.float64)
    assert white.mean(axis=0) == pytest.approx(np.zeros(5), abs=1e-4)
    assert np.cov(white, rowvar=False, bias=True) == pytest.approx(np.eye(5), abs=1e-3)
    kept = np.linalg.eigvalsh(np.cov(vectors, rowvar=False, bias=True))[::-1][:5]
    _, matrix = whitening_of(vectors, 5)
    assert 1 / (matrix**2).sum(axis=0) == pytest.approx(kept, rel=1e-6), "largest first"


def test_directions_without_variance_stay_finite():
    few = np.repeat(RNG.normal(size=(1, 8)), 4, axis=0)
    mean, matrix = whitening_of(few, 8)
    assert np.isfinite(matrix).all() and mean == pytest.approx(few[0])
    assert not np.asarray(normalised(np.zeros((1, 4), "float32"))).any()
