"""GlobalPointer against bert4keras, and against a few lines of numpy."""

import os
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.heads.pointer import GlobalPointerHead, multilabel_losses, span_matrix

LENGTHS = np.array([6, 4, 0])
MASK = np.arange(6) < LENGTHS[:, None]
SPANS = np.array(
    [
        [[0, 0, 2], [1, 1, 1], [0, 0, 5], [1, 0, 0]],
        [[2, 3, 3], [0, 0, 1], [-1, -1, -1], [-1, -1, -1]],
        [[-1, -1, -1]] * 4,
    ],
    np.int32,
)
KINDS = pytest.mark.parametrize("efficient", [False, True], ids=["plain", "efficient"])
RUNS = pytest.mark.parametrize("xla", [False, True], ids=["eager", "xla"])


def make_head(efficient, seed=0, hidden=10, labels=3, size=8):
    head = GlobalPointerHead(labels, size, efficient, name="spans")
    head.build((None, None, hidden))
    random = np.random.default_rng(seed)
    for variable in head.variables:
        variable.assign(random.normal(0, 0.5, variable.shape))
    return head


def make_states(seed=1, hidden=10):
    return np.random.default_rng(seed).normal(size=(3, 6, hidden)).astype(np.float32)


def numpy_logits(head, states):
    """Every score with its own dot product; the turn is a complex product."""
    weights = {v.path.split("/", 1)[1]: v.numpy() for v in head.variables}
    size, labels = head.head_size, head.labels
    x = states @ weights["projection/kernel"].T + weights["projection/bias"]
    pairs = x.reshape(*x.shape[:2], -1, 2, size)
    angles = np.arange(x.shape[1])[:, None] / 10000 ** (np.arange(0, size, 2) / size)
    turned = (pairs[..., ::2] + 1j * pairs[..., 1::2]) * np.exp(1j * angles)[
        :, None, None
    ]
    q, k = turned[..., 0, :], turned[..., 1, :]
    logits = np.einsum("bild,bjld->blij", q, k.conj()).real / np.sqrt(size)
    if head.efficient:
        b = x @ weights["boundaries/kernel"].T + weights["boundaries/bias"]
        b = b.reshape(*x.shape[:2], labels, 2).transpose(3, 0, 2, 1) / 2
        logits = logits + b[0][..., :, None] + b[1][..., None, :]
    return logits


def allowed(mask):
    pairs = mask[:, None, :, None] & mask[:, None, None, :]
    return pairs & np.triu(np.ones((6, 6), bool))


@KINDS
def test_logits_are_those_of_numpy(efficient):
    head, states = make_head(efficient), make_states()
    logits = head(states, MASK).numpy()
    inside = np.broadcast_to(allowed(MASK), logits.shape)
    np.testing.assert_allclose(
        logits[inside], numpy_logits(head, states)[inside], atol=1e-5
    )
    assert (logits[~inside] < -1e8).all()
    assert np.isfinite(logits).all()


def numpy_loss(logits, mask, spans):
    """Mean over labels of log(1 + sum e^s) + log(1 + sum e^-s), row by row."""
    total = 0.0
    for row, length in enumerate(mask.sum(1)):
        gold = {tuple(span) for span in spans[row].tolist() if span[0] >= 0}
        for label in range(logits.shape[1]):
            positive = negative = 1.0
            for i in range(length):
                for j in range(i, length):
                    score = float(logits[row, label, i, j])
                    if (label, i, j) in gold:
                        positive += np.exp(-score)
                    else:
                        negative += np.exp(score)
            total += (np.log(positive) + np.log(negative)) / logits.shape[1]
    return total


@RUNS
@KINDS
def test_loss_and_gradient_are_those_of_numpy(efficient, xla):
    head, states = make_head(efficient), make_states()

    def run(states, mask, spans):
        with tf.GradientTape() as tape:
            tape.watch(states)
            logits = head(states, mask)
            total, weight = head.loss(spans, logits, mask)
        return total, weight, tape.gradient(total, states)

    function = tf.function(run, jit_compile=xla or None)
    total, weight, gradient = function(*map(tf.constant, (states, MASK, SPANS)))
    assert float(weight) == 2.0
    truth = numpy_logits(head, states)
    assert float(total) == pytest.approx(numpy_loss(truth, MASK, SPANS), rel=1e-5)
    gradient = gradient.numpy()
    assert not gradient[~MASK].any()
    for row, place, unit in ((0, 0, 3), (0, 5, 0), (1, 3, 9), (1, 1, 1)):
        sides = []
        for step in (1e-4, -1e-4):
            moved = states.astype(np.float64)
            moved[row, place, unit] += step
            sides.append(numpy_loss(numpy_logits(head, moved), MASK, SPANS))
        slope = (sides[0] - sides[1]) / 2e-4
        assert gradient[row, place, unit] == pytest.approx(slope, abs=1e-4)


def test_gold_spans_and_gold_matrix_are_one():
    head = make_head(False)
    logits = head(make_states(), MASK)
    matrix = np.zeros(logits.shape, bool)
    for row, place in np.argwhere(SPANS[..., 0] >= 0):
        matrix[(row, *SPANS[row, place])] = True
    np.testing.assert_array_equal(span_matrix(SPANS, logits.shape), matrix)
    assert head.loss(matrix, logits, MASK) == head.loss(SPANS, logits, MASK)


def test_loss_is_exact_for_huge_scores_and_its_gradient_finite():
    """The paper's formula where e^s alone would overflow, and no gold at all."""
    logits = tf.constant([[[[500.0, -800.0], [-1e9, 3.0]]], [[[-500.0, 0.0]] * 2]])
    labels = tf.constant([[[[False, True], [False, False]]], [[[False] * 2] * 2]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = multilabel_losses(labels, logits)
    np.testing.assert_allclose(losses, [[1300.0], [np.log(3.0)]], rtol=1e-6)
    gradient = tape.gradient(losses, logits).numpy()
    np.testing.assert_allclose(gradient[0, 0], [[1.0, -1.0], [0.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(gradient[1, 0], [[0.0, 1 / 3]] * 2, atol=1e-6)


@KINDS
def test_padding_changes_nothing(efficient):
    head, states = make_head(efficient), make_states()
    total, weight = head.loss(SPANS, head(states, MASK), MASK)
    wide = ((0, 2), (0, 3))
    mask = np.pad(MASK, wide)
    spans = np.pad(SPANS, ((0, 2), (0, 1), (0, 0)), constant_values=-1)
    padded = np.pad(states, (*wide, (0, 0)), constant_values=7.0)
    again = head.loss(spans, head(padded, mask), mask)
    assert float(again[0]) == pytest.approx(float(total), rel=1e-6)
    assert float(again[1]) == float(weight)
    nothing = np.zeros_like(MASK)
    empty = head.loss(np.full_like(SPANS, -1), head(states, nothing), nothing)
    assert [float(x) for x in empty] == [0.0, 0.0]


@KINDS
def test_a_dynamic_shape_gives_the_same_numbers(efficient):
    head, states = make_head(efficient), make_states()

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, 10)),
            tf.TensorSpec((None, None), tf.bool),
            tf.TensorSpec((None, None, 3), tf.int32),
        ]
    )
    def run(states, mask, spans):
        return head.loss(spans, head(states, mask), mask)

    expected = head.loss(SPANS, head(states, MASK), MASK)
    found = run(states, MASK, SPANS)
    assert float(found[0]) == pytest.approx(float(expected[0]), rel=1e-6)
    assert float(found[1]) == float(expected[1])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@KINDS
def test_logits_and_loss_are_float32_in_half_precision(efficient, policy):
    states = make_states()
    head = GlobalPointerHead(3, 8, efficient, dtype=policy)
    head.build((None, None, 10))
    reference = GlobalPointerHead(3, 8, efficient)
    reference.build((None, None, 10))
    for ours, theirs in zip(head.variables, reference.variables, strict=True):
        theirs.assign(ours)
    logits = head(keras.ops.cast(states, head.compute_dtype), MASK)
    total, _ = head.loss(SPANS, logits, MASK)
    assert (logits.dtype, total.dtype) == (tf.float32, tf.float32)
    inside = np.broadcast_to(allowed(MASK), logits.shape)
    expected = reference(states, MASK).numpy()
    np.testing.assert_allclose(logits.numpy()[inside], expected[inside], atol=0.1)


def test_variables_have_names_that_files_rely_on():
    paths = {v.path: tuple(v.shape) for v in make_head(True).variables}
    assert paths == {
        "spans/projection/kernel": (16, 10),
        "spans/projection/bias": (16,),
        "spans/boundaries/kernel": (6, 16),
        "spans/boundaries/bias": (6,),
    }
    assert {v.path for v in make_head(False).variables} == {
        "spans/projection/kernel",
        "spans/projection/bias",
    }


BERT4KERAS = """
import sys
import numpy as np
import tensorflow as tf
from bert4keras.backend import multilabel_categorical_crossentropy
from bert4keras.layers import EfficientGlobalPointer, GlobalPointer

data = dict(np.load(sys.argv[1]))
states, mask, matrix = (tf.constant(data[k]) for k in ("states", "mask", "matrix"))
out = {}
for name, layer in dict(plain=GlobalPointer, efficient=EfficientGlobalPointer).items():
    layer = layer(heads=3, head_size=8)
    layer(states, mask=mask)
    kernels = [data[f"{name}_{i}"] for i in range(len(layer.weights))]
    layer.set_weights(kernels)
    logits = layer(states, mask=mask)
    losses = multilabel_categorical_crossentropy(
        tf.reshape(tf.cast(matrix, "float32"), (2 * 3, -1)),
        tf.reshape(logits, (2 * 3, -1)),
    )
    out[name + "_logits"] = logits.numpy()
    out[name + "_loss"] = tf.reduce_mean(losses).numpy()
np.savez(sys.argv[2], **out)
"""


@pytest.mark.parity
def test_logits_and_loss_are_those_of_bert4keras(tmp_path):
    if not (find_spec("bert4keras") and find_spec("tf_keras")):
        pytest.skip("needs bert4keras and tf_keras")
    states, mask = make_states()[:2], MASK[:2]
    heads = {"plain": make_head(False), "efficient": make_head(True)}
    matrix = np.asarray(span_matrix(SPANS[:2], (2, 3, 6, 6)))
    weights = {"plain": [v.numpy().T for v in heads["plain"].variables]}
    kernel, bias, last_kernel, last_bias = (
        v.numpy().T for v in heads["efficient"].variables
    )
    # Theirs interleaves query and key units, and puts the last score first.
    pairs = np.arange(16).reshape(2, 8).T.ravel()
    swap = np.arange(6).reshape(3, 2)[:, ::-1].ravel()
    weights["efficient"] = [
        kernel[:, pairs],
        bias[pairs],
        last_kernel[pairs][:, swap],
        last_bias[swap],
    ]
    named = {f"{k}_{i}": w for k, many in weights.items() for i, w in enumerate(many)}
    np.savez(tmp_path / "in.npz", states=states, mask=mask, matrix=matrix, **named)
    (tmp_path / "run.py").write_text(BERT4KERAS)
    subprocess.run(
        [sys.executable, "run.py", "in.npz", "out.npz"],
        cwd=tmp_path,
        env={**os.environ, "TF_KERAS": "1", "TF_USE_LEGACY_KERAS": "1"},
        check=True,
        timeout=300,
    )
    theirs = np.load(tmp_path / "out.npz")
    for name, head in heads.items():
        logits = head(states, mask)
        their_logits = theirs[f"{name}_logits"]
        inside = np.broadcast_to(allowed(mask), logits.shape)
        np.testing.assert_array_equal(np.isfinite(their_logits), inside)
        np.testing.assert_allclose(
            logits.numpy()[inside], their_logits[inside], atol=1e-5
        )
        total, weight = head.loss(matrix, logits, mask)
        assert float(total / weight) == pytest.approx(
            float(theirs[f"{name}_loss"]), rel=1e-5
        )
