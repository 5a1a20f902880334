"""Loss and gradients of classification against numpy; what may not count."""

import numpy as np
import pytest
import tensorflow as tf

from nlpcli.heads.classification import ClassificationHead

ROWS, LENGTH, HIDDEN, LABELS = 5, 4, 6, 3
WEIGHTS = [0.5, 2.0, 3.5]
MASK = np.arange(LENGTH) < np.array([4, 2, 1, 3, 4])[:, None]
ONE = np.array([[0], [2], [1], [1], [0]], np.int32)
ANY = np.array([[0, 2], [1, -1], [-1, -1], [0, 1], [2, -1]], np.int32)


@pytest.fixture
def states():
    return (
        np.random.default_rng(1).normal(size=(ROWS, LENGTH, HIDDEN)).astype("float32")
    )


def make(several, weights=None, pooling="cls", dropout=0.0):
    head = ClassificationHead(HIDDEN, LABELS, pooling, dropout, several, weights)
    random = np.random.default_rng(0)
    for variable in head.trainable_variables:
        variable.assign(random.normal(0, 0.5, variable.shape))
    return head


def loss_of(head, labels, states, mask=MASK):
    """total / weight, and its gradients for kernel, bias and states."""
    states = tf.constant(states)
    variables = [head.scores.kernel.value, head.scores.bias.value]
    with tf.GradientTape() as tape:
        tape.watch(states)
        total, weight = head.loss(labels, head(states, mask), mask)
        loss = total / weight
    found = tape.gradient(loss, [*variables, states])
    return float(loss), [np.asarray(tf.convert_to_tensor(x)) for x in found]


def by_numpy(head, labels, states, weights, mask=MASK):
    """The same in plain numpy, by the derivatives of softmax and sigmoid."""
    kernel, bias = head.scores.kernel.numpy(), head.scores.bias.numpy()
    shares = np.zeros(mask.shape)
    shares[:, 0] = 1.0
    if head.pooling.kind == "mean":
        shares = mask / np.maximum(mask.sum(1, keepdims=True), 1)
    pooled = np.einsum("rl,rlh->rh", shares, states)
    logits = pooled @ kernel.T + bias
    gold = np.array(
        [[label in own for label in range(LABELS)] for own in labels], float
    )
    real = mask.any(axis=1).astype(float)
    if head.several:
        chance = 1 / (1 + np.exp(-logits))
        each = -gold * weights * np.log(chance) - (1 - gold) * np.log(1 - chance)
        loss = (real * each.mean(axis=1)).sum() / real.sum()
        slope = gold * weights * (chance - 1) + (1 - gold) * chance
        slope = slope * (real / real.sum() / LABELS)[:, None]
    else:
        chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        counts = real * (gold * weights).sum(axis=1)
        loss = -(counts * (gold * np.log(chance)).sum(axis=1)).sum() / counts.sum()
        slope = (chance - gold) * (counts / counts.sum())[:, None]
    back = np.einsum("rl,rh->rlh", shares, slope @ kernel)
    return loss, [slope.T @ pooled, slope.sum(axis=0), back]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(("several", "labels"), [(False, ONE), (True, ANY)])
def test_loss_and_gradients(states, several, labels, weights, pooling):
    head = make(several, weights, pooling)
    loss, gradients = loss_of(head, labels, states)
    counted = np.ones(LABELS) if weights is None else np.array(weights)
    expected, slopes = by_numpy(head, labels, states, counted)
    assert loss == pytest.approx(expected, rel=1e-5)
    for found, slope in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(found, slope, atol=1e-6)


@pytest.mark.parametrize(("several", "labels"), [(False, ONE), (True, ANY)])
def test_filler_rows_count_nothing(states, several, labels):
    """Rows without a token, as batches of a fixed size have them at their end."""
    head = make(several, WEIGHTS)
    padded = np.concatenate([states, np.full((2, LENGTH, HIDDEN), 9.0, "float32")])
    mask = np.concatenate([MASK, np.zeros((2, LENGTH), bool)])
    gold = np.concatenate([labels, np.full((2, labels.shape[1]), -1, np.int32)])
    wider = np.concatenate([gold, np.full((7, 2), -1, np.int32)], axis=1)
    plain, slopes = loss_of(head, labels, states)
    for told in (gold, wider):
        loss, gradients = loss_of(head, told, padded, mask)
        assert loss == pytest.approx(plain, rel=1e-6)
        for found, slope in zip(gradients[:2], slopes[:2], strict=True):
            np.testing.assert_allclose(found, slope, atol=1e-6)
        assert not gradients[2][ROWS:].any()


@pytest.mark.parametrize(("several", "labels"), [(False, ONE), (True, ANY)])
def test_micro_batches_add_up(states, several, labels):
    head = make(several, WEIGHTS)
    whole = head.loss(labels, head(states, MASK), MASK)
    cuts = [slice(0, 2), slice(2, 3), slice(3, None)]
    parts = [head.loss(labels[x], head(states[x], MASK[x]), MASK[x]) for x in cuts]
    sums = np.sum([[float(value) for value in part] for part in parts], axis=0)
    assert sums == pytest.approx([float(value) for value in whole], rel=1e-6)


@pytest.mark.parametrize(("several", "labels"), [(False, ONE), (True, ANY)])
def test_far_logits_lose_nothing(several, labels):
    """In float32 a probability of exactly 0 or 1 has an infinite or lost logarithm."""
    head = make(several)
    logits = np.array([[90.0, -90.0, 0.0]] * ROWS, "float32")
    total, weight = head.loss(labels, logits, MASK)
    exact = logits.astype(np.float64)
    gold = np.array([[label in own for label in range(LABELS)] for own in labels])
    if several:
        each = np.logaddexp(0, np.where(gold, -exact, exact)).mean(axis=1)
    else:
        each = np.logaddexp.reduce(exact, axis=1) - exact[gold]
    assert float(total) == pytest.approx(each.sum(), rel=1e-6)
    assert float(weight) == ROWS


def test_logits_are_float32_under_half_precision(states):
    policy = "mixed_bfloat16"
    head = ClassificationHead(HIDDEN, LABELS, "mean", 0.0, dtype=policy)
    assert head(states.astype("float16"), MASK).dtype == tf.float32


def test_dropout_is_for_training(states):
    head = make(False, dropout=0.5)
    plain = np.asarray(head(states, MASK))
    assert np.array_equal(plain, head(states, MASK))
    assert not np.allclose(plain, head(states, MASK, training=True))
