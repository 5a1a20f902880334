"""CRF loss and gradient against every path written out, with and without XLA."""

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.decoders.tags import TagScheme
from nlpcli.heads.crf import CrfHead, log_partition, sequence_losses
from tests.decoders.chains import all_paths, random_chain

SCHEME = TagScheme(["X", "Y"])
RUNS = pytest.mark.parametrize("xla", [False, True], ids=["plain", "xla"])


def example(seed=0, batch=5, length=4, tags=5, scale=1.0):
    logits, mask, *scores = random_chain(seed, batch, length, tags, scale)
    labels = np.random.default_rng(seed).integers(0, tags, mask.shape)
    return np.where(mask, labels, -1).astype(np.int32), logits, mask, scores


def head_with(scores, allowed=None):
    """A built head (hidden size 3) with these transitions, start and end scores."""
    head = CrfHead(len(scores[0]), allowed)
    head.build((None, None, 3))
    transitions, start, end = scores
    head.transitions.assign(transitions)
    head.start_scores.assign(start)
    head.end_scores.assign(end)
    return head


def loss_and_gradients(head, labels, logits, mask, xla=False, dynamic=False):
    """(total, weight), then gradients for logits, transitions, start and end."""
    variables = [head.transitions, head.start_scores, head.end_scores]

    def run(labels, logits, mask):
        sources = [logits, *(v.value for v in variables)]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            total, weight = head.loss(labels, logits, mask)
        return (total, weight), tape.gradient(total, sources)

    shapes = [[None] * a.ndim if dynamic else a.shape for a in (labels, logits, mask)]
    if dynamic:
        shapes[1][-1] = logits.shape[-1]
    signature = [
        tf.TensorSpec(shape, array.dtype)
        for shape, array in zip(shapes, (labels, logits, mask), strict=True)
    ]
    function = tf.function(run, input_signature=signature, jit_compile=xla or None)
    (total, weight), gradients = function(labels, logits, mask)
    return float(total), float(weight), [g.numpy() for g in gradients]


@RUNS
def test_loss_and_gradient_are_those_of_all_paths(xla):
    labels, logits, mask, scores = example(batch=8)
    head = head_with(scores)
    total, weight, gradients = loss_and_gradients(head, labels, logits, mask, xla)
    expected, expected_gradients = by_all_paths(labels, logits, mask, *scores)
    assert weight == mask.any(1).sum()
    assert total == pytest.approx(expected, rel=1e-5)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-6)


def by_all_paths(labels, logits, mask, transitions, start, end):
    """Loss and its gradient: expected counts of every score less the gold counts."""
    total = 0.0
    counts = [np.zeros(a.shape) for a in (logits, transitions, start, end)]

    def count(row, path, weight):
        for t, tag in enumerate(path):
            counts[0][row, t, tag] += weight
        for a, b in pairwise(path):
            counts[1][a, b] += weight
        counts[2][path[0]] += weight
        counts[3][path[-1]] += weight

    for row, length in enumerate(mask.sum(1)):
        if not length:
            continue
        gold = tuple(labels[row, :length])
        scores = dict(all_paths(logits[row, :length], start, transitions, end))
        log_z = np.log(np.sum(np.exp(list(scores.values()))))
        total += log_z - scores[gold]
        for path, score in scores.items():
            count(row, path, np.exp(score - log_z))
        count(row, gold, -1.0)
    return total, counts


def test_gradient_agrees_with_finite_differences():
    labels, logits, mask, scores = example(3, batch=3, length=6, tags=3)
    head = head_with(scores)
    _, _, gradients = loss_and_gradients(head, labels, logits, mask)
    for place, gradient in ((None, gradients[0]), (0, gradients[1])):
        values = logits if place is None else scores[place]
        flat, step = values.reshape(-1), 1e-2
        for index in range(0, flat.size, 5):
            sides = []
            for sign in (1.0, -1.0):
                moved = flat.copy()
                moved[index] += sign * step
                moved = moved.reshape(values.shape)
                if place is None:
                    sides.append(by_all_paths(labels, moved, mask, *scores)[0])
                else:
                    parts = [moved, *scores[1:]]
                    sides.append(by_all_paths(labels, logits, mask, *parts)[0])
            slope = (sides[0] - sides[1]) / (2 * step)
            assert gradient.reshape(-1)[index] == pytest.approx(slope, abs=1e-3)


@RUNS
def test_log_partition_sums_all_paths(xla):
    _, logits, _, (transitions, start, end) = example(5, batch=2, length=5)
    mask = np.arange(5) < np.array([[5], [3]])
    function = tf.function(log_partition, jit_compile=xla or None)
    found = function(*map(tf.constant, (logits, mask, start, transitions, end)))
    for row, length in enumerate((5, 3)):
        paths = all_paths(logits[row, :length], start, transitions, end)
        expected = np.log(sum(np.exp(score) for _, score in paths))
        assert float(found[row]) == pytest.approx(expected, rel=1e-6)


@RUNS
def test_constraints_in_training_leave_only_legal_paths(xla):
    _, logits, mask, scores = example(1)
    spans = [[(0, 2, "X")], [], [], [], []]
    labels = np.stack([SCHEME.encode(row, mask.shape[1]) for row in spans])
    head = head_with(scores, SCHEME.allowed)
    total, _, gradients = loss_and_gradients(head, labels, logits, mask, xla)
    transitions, start, end = scores
    expected = 0.0
    for row, length in enumerate(mask.sum(1)):
        if length:
            paths = dict(
                all_paths(logits[row, :length], start, transitions, end, SCHEME.allowed)
            )
            log_z = np.log(np.sum(np.exp(list(paths.values()))))
            expected += log_z - paths[tuple(labels[row, :length])]
    assert total == pytest.approx(expected, rel=1e-5)
    assert all(np.isfinite(g).all() for g in gradients)
    assert not gradients[1][~SCHEME.allowed.transitions].any()
    assert not gradients[2][~SCHEME.allowed.start].any()


@RUNS
def test_padding_changes_nothing(xla):
    """Neither positions nor rows, even when what they hold is not a number."""
    labels, logits, mask, scores = example(2)
    wide = ((0, 3), (0, 4))
    padded = (
        np.pad(labels, wide, constant_values=-100),
        np.pad(logits, (*wide, (0, 0)), constant_values=np.nan),
        np.pad(mask, wide),
    )
    head = head_with(scores)
    total, weight, gradients = loss_and_gradients(head, labels, logits, mask, xla)
    again = loss_and_gradients(head, *padded, xla)
    assert again[:2] == (pytest.approx(total, rel=1e-6), weight)
    inside = again[2][0][: len(labels), : labels.shape[1]]
    np.testing.assert_allclose(inside, gradients[0], atol=1e-6)
    assert np.count_nonzero(again[2][0]) == np.count_nonzero(inside)
    for one, two in zip(gradients[1:], again[2][1:], strict=True):
        np.testing.assert_allclose(two, one, atol=1e-6)


@RUNS
def test_rows_of_padding_alone_are_exactly_nothing(xla):
    labels, logits, mask, scores = example()
    total, weight, gradients = loss_and_gradients(
        head_with(scores), labels, logits, np.zeros_like(mask), xla
    )
    assert (total, weight) == (0.0, 0.0)
    assert not any(g.any() for g in gradients)


@pytest.mark.parametrize("length", [1, 4])
def test_a_dynamic_length_gives_the_same_numbers(length):
    labels, logits, mask, scores = example(4, length=length)
    head = head_with(scores)
    runs = [
        loss_and_gradients(head, labels, logits, mask, **options)
        for options in ({}, {"dynamic": True}, {"xla": True})
    ]
    for total, weight, gradients in runs[1:]:
        assert total == pytest.approx(runs[0][0], rel=1e-5)
        assert weight == runs[0][1]
        for one, two in zip(runs[0][2], gradients, strict=True):
            np.testing.assert_allclose(two, one, atol=2e-6)


def test_a_small_loss_of_a_long_text_keeps_its_digits():
    """The gold path scores thousands; its loss is the mass of the others."""
    length, margin = 512, 10.0
    labels = np.random.default_rng(0).integers(0, 5, (1, length)).astype(np.int32)
    logits = margin * np.eye(5, dtype=np.float32)[labels]
    zeros = np.zeros((5, 5), np.float32)
    mask = np.ones((1, length), bool)
    arrays = map(tf.constant, (labels, logits, mask, zeros[0], zeros, zeros[0]))
    found = float(tf.function(sequence_losses)(*arrays)[0])
    assert found == pytest.approx(length * np.log1p(4 * np.exp(-margin)), rel=1e-3)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_logits_and_loss_are_float32_under_every_policy(policy):
    keras.config.set_dtype_policy(policy)  # float32 again after the test, conftest.py
    head = CrfHead(5, name="tags")
    head.build((None, None, 8))
    states = keras.random.normal((2, 6, 8), seed=1)
    states = keras.ops.cast(states, keras.config.dtype_policy().compute_dtype)
    mask = np.ones((2, 6), bool)
    logits = head(states, mask, training=True)
    total, weight = head.loss(np.zeros((2, 6), np.int32), logits, mask)
    assert [x.dtype.name for x in (logits, total, weight)] == ["float32"] * 3
    assert {v.dtype for v in head.variables} == {"float32"}
    # Zero transitions: a softmax at each position.
    expected = -np.log(keras.ops.softmax(logits)[..., 0]).sum()
    assert float(total) == pytest.approx(expected, rel=1e-5)


def test_variables_have_names_that_files_rely_on():
    head = CrfHead(5, name="tags")
    head.build((None, None, 8))
    assert {v.path: tuple(v.shape) for v in head.variables} == {
        "tags/emissions/kernel": (5, 8),
        "tags/emissions/bias": (5,),
        "tags/transitions": (5, 5),
        "tags/start_scores": (5,),
        "tags/end_scores": (5,),
    }
    assert [p.shape for p in head.parameters()] == [(5, 5), (5,), (5,)]


def test_learning_the_order_of_tags_alone():
    """Emissions say nothing; transitions and ends learn X-Y-X-Y and where it stops."""
    labels = np.array([[1, 2, 1, 2], [1, 2, 0, 0]], np.int32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
    logits = np.zeros((2, 4, 3), np.float32)
    head = head_with([np.zeros((3, 3)), np.zeros(3), np.zeros(3)])
    variables = [head.transitions, head.start_scores, head.end_scores]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            total, _ = head.loss(labels, logits, mask)
        sources = [v.value for v in variables]
        for variable, gradient in zip(
            variables, tape.gradient(total, sources), strict=True
        ):
            variable.assign_sub(gradient)
        return total

    for _ in range(60):
        total = step()
    assert total < 0.5
    assert head.parameters()[0][1].argmax() == 2
    assert head.parameters()[1].argmax() == 1
    assert head.parameters()[2].argmax() == 2
