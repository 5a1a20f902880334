"""Linear attention against its definition, pair by pair."""

import keras
import numpy as np
import pytest
from keras import ops

from nlpcli.layers import masks
from nlpcli.layers.linear_attention import LinearAttention
from nlpcli.layers.look import Look
from nlpcli.layers.positions import Plain, Rotary

BATCH, LENGTH, HEADS, SIZE = 3, 7, 2, 4
REAL = np.arange(LENGTH) < np.array([7, 4, 1])[:, None]
SEGMENTS = (np.arange(LENGTH) >= 2) & REAL
SEEN = {
    "all": None,
    "padding": masks.padding(REAL),
    "causal": masks.causal(None, REAL),
    "unilm": masks.unilm(SEGMENTS.astype(np.int32), REAL),
}


def layer_of(positions=None, keys=0, seed=0):
    keras.utils.set_random_seed(seed)
    layer = LinearAttention(
        HEADS * SIZE, HEADS, 0.0, 0.7, positions, num_key_heads=keys
    )
    layer.build()
    rng = np.random.default_rng(seed)
    layer.qkv.bias.assign(rng.normal(size=layer.qkv.bias.shape))
    return layer


def states(seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(BATCH, LENGTH, HEADS * SIZE)).astype(np.float32)


def phi(x):
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def turned(x, place):
    turns = np.exp(1j * place / 10000 ** (np.arange(0, SIZE, 2) / SIZE))
    both = (x[::2] + 1j * x[1::2]) * turns
    return np.stack([both.real, both.imag], -1).reshape(-1)


def pair_by_pair(layer, x, seen, rotary=False, keys=HEADS):
    """The definition, in float64 and loops."""
    fused = x.astype(np.float64) @ np.asarray(layer.qkv.kernel, np.float64).T
    fused = fused + np.asarray(layer.qkv.bias)
    q, k, v = np.split(fused, [HEADS * SIZE, (HEADS + keys) * SIZE], axis=-1)
    if seen is None:
        seen = np.ones((1, 1, 1, LENGTH), bool)
    seen = np.broadcast_to(seen, (BATCH, 1, LENGTH, LENGTH))[:, 0]
    out = np.zeros((BATCH, LENGTH, HEADS * SIZE))
    for row, head, i in np.ndindex(BATCH, HEADS, LENGTH):
        mine = slice(head * SIZE, (head + 1) * SIZE)
        other = head * keys // HEADS
        its = slice(other * SIZE, (other + 1) * SIZE)
        one, total, gathered = phi(q[row, i, mine]), 0.0, np.zeros(SIZE)
        for j in np.flatnonzero(seen[row, i]):
            key = phi(k[row, j, its])
            total += one @ key
            weight = turned(one, i) @ turned(key, j) if rotary else one @ key
            gathered += weight * v[row, j, its]
        out[row, i, mine] = gathered / max(total, 1e-30)
    return out @ np.asarray(layer.projection.kernel).T


def attended(layer, x, look):
    """What the queries gather, with the last bias, and what is kept."""
    rows, kept = layer.walk(x, look)
    return layer.projection.finish(rows, x), kept


@pytest.mark.parametrize("kind", SEEN)
@pytest.mark.parametrize("keys", [2, 1])
@pytest.mark.parametrize("rotary", [False, True])
def test_every_mask_equals_the_definition(kind, keys, rotary):
    scheme = Rotary(SIZE) if rotary else Plain()
    layer, x = layer_of(scheme, keys), states()
    places = scheme.prepare(np.arange(LENGTH)[None], None, "float32")
    found, kept = attended(layer, x, Look(SEEN[kind], places))
    expected = pair_by_pair(layer, x, SEEN[kind], rotary, keys)
    assert kept is None
    np.testing.assert_allclose(
        np.asarray(found)[REAL], expected[REAL], rtol=1e-4, atol=1e-4
    )


def test_the_running_sums_are_the_past(seed=3):
    """A token after the other from the sums of a prompt: as under the causal mask."""
    scheme = Rotary(SIZE)
    layer, x = layer_of(scheme), states(seed)
    width, start = 2, 4
    real = np.ones((BATCH, LENGTH), bool)
    places = scheme.prepare(np.arange(LENGTH)[None], None, "float32")
    whole, _ = attended(layer, x, Look(masks.causal(None, real), places))
    first = scheme.prepare(np.arange(start)[None], None, "float32")
    seen = masks.causal(None, real[:, :start])
    _, kept = attended(layer, x[:, :start], Look(seen, first, keep=True))
    kept = tuple(ops.repeat(part[:, :, None], width, axis=2) for part in kept)
    for place in range(start, LENGTH):
        token = np.repeat(x[:, place : place + 1], width, axis=1)
        here = scheme.prepare(np.full((BATCH, width), place), None, "float32")
        found, kept = attended(layer, token, Look(places=here, cache=kept))
        for one in range(width):
            np.testing.assert_allclose(
                np.asarray(found)[:, one], np.asarray(whole)[:, place], atol=1e-4
            )


def test_a_row_that_sees_nothing_is_finite():
    layer, x = layer_of(), states()
    nothing = np.zeros((BATCH, LENGTH), bool)
    for seen in (masks.padding(nothing), masks.causal(None, nothing)):
        assert np.isfinite(np.asarray(attended(layer, x, Look(seen))[0])).all()


def test_half_precision_sums_in_float32():
    """A thousand terms of about one: bfloat16 stops counting at 256."""
    layer = LinearAttention(SIZE, 1, dtype="mixed_bfloat16")
    layer.build()
    layer.qkv.kernel.assign(np.zeros(layer.qkv.kernel.shape))
    layer.qkv.bias.assign(np.ones(3 * SIZE))
    layer.projection.kernel.assign(np.eye(SIZE))
    x = ops.zeros((1, 1000, SIZE), "bfloat16")
    found, kept = attended(layer, x, Look(keep=True))
    assert kept[0].dtype == kept[1].dtype == "float32"
    np.testing.assert_allclose(np.asarray(kept[1]), 2000.0)
    np.testing.assert_allclose(np.asarray(ops.cast(found, "float32")), 1.0)
