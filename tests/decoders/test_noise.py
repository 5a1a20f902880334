"""The noise of sampling: uniform, independent, and the example's own."""

import numpy as np
import pytest
from keras import ops

from nlpcli.decoders.noise import gumbel

KEYS = np.arange(64, dtype=np.int32)


def noise(keys, step, width, size):
    return ops.convert_to_numpy(gumbel(keys, step, width, size))


def uniform(*arguments):
    return np.exp(-np.exp(-noise(*arguments).astype(np.float64)))


def test_it_is_gumbel_noise():
    values = uniform(KEYS, 3, 8, 500)
    counts = np.histogram(values, bins=100, range=(0.0, 1.0))[0]
    expected = values.size / 100
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < 99 + 5 * (2 * 99) ** 0.5
    assert np.isfinite(noise(KEYS, 0, 4, 2000)).all()


@pytest.mark.parametrize("apart", ["keys", "steps", "samples", "places"])
def test_neighbours_are_independent(apart):
    values = np.stack([uniform(KEYS, step, 8, 100) for step in range(6)])
    axis = ["steps", "keys", "samples", "places"].index(apart)
    one = np.delete(values, 0, axis).ravel()
    other = np.delete(values, -1, axis).ravel()
    # A correlation has a deviation of 1 / sqrt(n) where there is none.
    assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / len(one) ** 0.5


def test_an_example_s_noise_is_its_own():
    together = noise(KEYS, 2, 4, 30)
    np.testing.assert_array_equal(noise(KEYS[[9]], 2, 4, 30)[0], together[9])
    np.testing.assert_array_equal(noise(KEYS[::-1], 2, 4, 30), together[::-1])
    # More samples, or a larger vocabulary, change none that were there before.
    np.testing.assert_array_equal(noise(KEYS, 2, 2, 20), together[:, :2, :20])


def test_extreme_keys_are_fine():
    keys = np.array([0, 1, 2**31 - 1, -1, -(2**31)], np.int32)
    values = noise(keys, 2**20, 2, 50)
    assert np.isfinite(values).all()
    assert len(np.unique(values)) > 490
