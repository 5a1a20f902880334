"""CasRel: loss, marks and draws against plain loops; gradients where others die."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.heads.casrel import (
    CasRelHead,
    CasRelModel,
    draw_subject,
    object_marks,
    power_losses,
)

LENGTH, PREDICATES = 7, 3
SUBJECTS = np.array(
    [[[0, 1], [0, 2], [4, 4]], [[2, 3], [-1, -1], [-1, -1]], [[-1, -1]] * 3], np.int32
)
TRIPLES = np.array(
    [
        [[0, 1, 0, 3, 4], [0, 1, 0, 5, 5], [0, 1, 2, 3, 4], [0, 2, 1, 5, 6]],
        [[2, 3, 1, 0, 1], [-1] * 5, [-1] * 5, [-1] * 5],
        [[-1] * 5] * 4,
    ],
    np.int32,
)
MASK = np.arange(LENGTH) < np.array([7, 5, 4])[:, None]


@pytest.mark.parametrize("power", [1, 2, 4])
def test_losses_are_cross_entropies_of_powers(power):
    """In float64, where the plain formula still holds."""
    x = np.linspace(-9, 9, 41)
    p = 1 / (1 + np.exp(-x)) ** power
    for label in (False, True):
        expected = -np.log(p if label else 1 - p)
        found = power_losses(np.full(x.shape, label), x.astype(np.float32), power)
        np.testing.assert_allclose(np.asarray(found), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("power", [2, 4])
def test_gradient_never_dies(power):
    """A positive far down is pulled up with the force of the power; a clipped
    probability has gradient zero there."""
    x = tf.constant([-300.0, -30.0, -5.0, 0.0, 30.0, 300.0])
    for label, expected in (
        (True, -power * tf.sigmoid(-x)),
        (False, None),
    ):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(power_losses(tf.fill((6,), label), x, power))
        assert np.isfinite(total)
        gradient = tape.gradient(total, x).numpy()
        assert np.isfinite(gradient).all()
        if expected is not None:
            np.testing.assert_allclose(gradient, expected, rtol=1e-5)
        else:
            np.testing.assert_allclose(gradient[-2:], 1.0, atol=1e-5)
            assert (gradient >= 0).all()
    clipped = tf.constant([-5.0])
    with tf.GradientTape() as tape:
        tape.watch(clipped)
        loss = keras.losses.binary_crossentropy(
            tf.ones(1), tf.sigmoid(clipped) ** 4, from_logits=False
        )
    assert tape.gradient(loss, clipped).numpy() == 0.0


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_drawn_subject_is_made_of_gold_ends(one, other):
    chances = np.array([[one, other]] * 3, np.float32)
    drawn = np.asarray(draw_subject(SUBJECTS, chances))
    for row, (start, last) in enumerate(drawn.tolist()):
        gold = [span for span in SUBJECTS[row].tolist() if span[0] >= 0]
        if not gold:
            assert (start, last) == (-1, -1)
            continue
        assert start in [s for s, _ in gold]
        assert last in [e for _, e in gold if e >= start]


def test_every_pair_of_ends_is_drawn_as_often_as_it_should():
    """Starts with their multiplicity, then lasts not before them."""
    chances = np.random.default_rng(0).random((6000, 2)).astype(np.float32)
    subjects = np.tile(SUBJECTS[:1], (6000, 1, 1))
    drawn, counts = np.unique(
        np.asarray(draw_subject(subjects, chances)), axis=0, return_counts=True
    )
    shares = {tuple(d): c / 6000 for d, c in zip(drawn.tolist(), counts, strict=True)}
    expected = {(0, 1): 2 / 9, (0, 2): 2 / 9, (0, 4): 2 / 9, (4, 4): 1 / 3}
    assert shares.keys() == expected.keys()
    for pair, share in expected.items():
        assert shares[pair] == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    "subject",
    [
        [[0, 1], [2, 3], [-1, -1]],
        [[0, 2], [2, 2], [-1, -1]],
        [[4, 4], [2, 3], [-1, -1]],
    ],
)
def test_object_marks_by_loops(subject):
    shape = (3, LENGTH, PREDICATES, 2)
    expected = np.zeros(shape, bool)
    for row, (start, last) in enumerate(subject):
        for s, e, predicate, first, final in TRIPLES[row].tolist():
            if s >= 0 and (s, e) == (start, last):
                expected[row, first, predicate, 0] = True
                expected[row, final, predicate, 1] = True
    found = object_marks(TRIPLES, np.array(subject, np.int32), shape)
    np.testing.assert_array_equal(np.asarray(found), expected)


class Encoder(keras.layers.Layer):
    """Given states instead of a backbone."""

    def __init__(self, states):
        super().__init__()
        self.states = states
        self.token_embedding = None

    def call(self, token_ids, segment_ids, padding_mask, training=False):
        return tf.constant(self.states)


@pytest.fixture
def model():
    random = np.random.default_rng(3)
    head = CasRelHead(6, PREDICATES)
    head.build()
    for variable in head.variables:
        variable.assign(random.normal(0, 0.7, variable.shape))
    states = random.normal(size=(3, LENGTH, 6)).astype(np.float32)
    keras.utils.set_random_seed(5)
    return CasRelModel(Encoder(states), head, None, "char_mask")


def gold_inputs():
    return {
        "token_ids": np.zeros((3, LENGTH), np.int32),
        "padding_mask": MASK,
        "char_mask": MASK,
        "subjects": SUBJECTS,
        "triples": TRIPLES,
    }


def numpy_scores(model, subject):
    """Logits of subjects and of one subject's objects, position by position."""
    weights = {v.path.split("/", 1)[1]: v.numpy() for v in model.head.variables}
    states = model.backbone.states
    subjects = states @ weights["subjects/kernel"].T + weights["subjects/bias"]
    objects = np.empty((3, LENGTH, PREDICATES, 2))
    for row, (start, last) in enumerate(np.maximum(subject, 0)):
        condition = np.concatenate([states[row, start], states[row, last]])
        gamma = weights["norm/gamma"] + condition @ weights["norm/gamma_kernel"]
        beta = weights["norm/beta"] + condition @ weights["norm/beta_kernel"]
        for place in range(LENGTH):
            x = states[row, place]
            y = (x - x.mean()) / np.sqrt(x.var() + 1e-6) * gamma + beta
            scores = y @ weights["objects/kernel"].T + weights["objects/bias"]
            objects[row, place] = scores.reshape(PREDICATES, 2)
    return subjects, objects


def test_model_loss_against_numpy(model):
    inputs = gold_inputs()
    logits = model(inputs, training=True)
    subject = np.asarray(logits["subject"])
    subjects, objects = numpy_scores(model, subject)
    np.testing.assert_allclose(np.asarray(logits["subjects"]), subjects, atol=1e-4)
    np.testing.assert_allclose(np.asarray(logits["objects"]), objects, atol=1e-3)
    gold_subjects = np.zeros((3, LENGTH, 2))
    for row in range(3):
        for start, last in SUBJECTS[row].tolist():
            if start >= 0:
                gold_subjects[row, start, 0] = gold_subjects[row, last, 1] = 1
    gold_objects = np.asarray(object_marks(TRIPLES, subject, objects.shape))
    total = 0.0
    for row in range(3):
        for place in np.flatnonzero(MASK[row]):
            first = entropy(gold_subjects[row, place], subjects[row, place], 2)
            total += first.mean()
            if subject[row, 0] >= 0:
                second = entropy(gold_objects[row, place], objects[row, place], 4)
                total += second.mean(axis=-1).sum()
    found, weight = model.task_loss(inputs, logits)
    assert float(weight) == MASK.sum()
    assert float(found) == pytest.approx(total, rel=1e-4)


def entropy(labels, logits, power):
    p = 1 / (1 + np.exp(-logits.astype(np.float64))) ** power
    return -(labels * np.log(p) + (1 - labels) * np.log1p(-p))


def test_draws_go_on_and_come_again_from_their_state(model):
    inputs = gold_inputs()

    def draws(count):
        return [np.asarray(model(inputs)["subject"]).tolist() for _ in range(count)]

    state = model.draws.state.numpy()
    first = draws(12)
    assert len({str(draw) for draw in first}) > 1
    model.draws.state.assign(state)
    assert draws(12) == first
    paths = [v.path for v in model.variables if "seed_generator_state" in v.path]
    assert len(paths) == 1, "resume finds the state by this name"


def test_second_stage_is_the_first_with_that_subject(model):
    inputs = {k: v for k, v in gold_inputs().items() if v.ndim == 2}
    first = model(inputs)
    assert set(first) == {"subjects", "hidden_states"}
    second = model(
        {
            "hidden_states": first["hidden_states"],
            "candidate_rows": np.array([0, 0, 1], np.int32),
            "candidates": np.array([[0, 1], [4, 4], [2, 3]], np.int32),
        }
    )["objects"]
    for subject in ([[0, 1], [2, 3], [0, 0]], [[4, 4], [2, 3], [0, 0]]):
        _, objects = numpy_scores(model, np.array(subject))
        index = 0 if subject[0] == [0, 1] else 1
        np.testing.assert_allclose(np.asarray(second[index]), objects[0], atol=1e-3)
        np.testing.assert_allclose(np.asarray(second[2]), objects[1], atol=1e-3)
