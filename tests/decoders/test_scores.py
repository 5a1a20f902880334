"""Scores of the next token against sorting and plain Python."""

import numpy as np
import pytest
from keras import ops

from nlpcli.decoders import scores
from tests.decoders.recomputation import log_softmax

RNG = np.random.default_rng(0)
LOGITS = (RNG.normal(size=(2, 3, 9)) * 3).astype(np.float32)
TOKENS = RNG.integers(0, 4, (2, 3, 10)).astype(np.int32)


def array(x):
    return ops.convert_to_numpy(x)


def test_log_softmax_equals_numpy_where_numbers_are_large():
    for logits in (LOGITS, LOGITS * 1e4, np.zeros_like(LOGITS) - 1e30):
        expected = log_softmax(logits.astype(np.float64))
        np.testing.assert_allclose(
            array(scores.log_softmax(logits)), expected, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("penalty", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("step", [0, 1, 6, 10])
def test_repeats_are_divided_or_multiplied(penalty, step):
    found = array(scores.penalise_repeats(LOGITS, TOKENS, step, penalty))
    expected = LOGITS.copy()
    for place in np.ndindex(2, 3):
        for token in set(TOKENS[place][:step].tolist()):
            value = expected[place][token]
            expected[place][token] = value / penalty if value > 0 else value * penalty
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("step", [0, 1, 2, 5, 9])
def test_what_would_repeat_an_ngram_is_found(size, step):
    found = array(scores.repeats_ngram(TOKENS, step, size, 9))
    for place in np.ndindex(2, 3):
        answer = TOKENS[place][:step].tolist()
        before = {tuple(answer[at : at + size]) for at in range(len(answer) - size + 1)}
        tail = answer[len(answer) - size + 1 :] if size > 1 else []
        expected = [(*tail, token) in before for token in range(9)]
        assert found[place].tolist() == expected


def test_an_ngram_longer_than_the_answer_forbids_nothing():
    assert not array(scores.repeats_ngram(TOKENS[..., :3], 3, 5, 9)).any()


@pytest.mark.parametrize("count", [1, 2, 5, 9, 20])
def test_top_k_keeps_what_sorting_keeps(count):
    found = array(scores.keep_top_k(LOGITS, count))
    least = -np.sort(-LOGITS, axis=-1)[..., [min(count, 9) - 1]]
    np.testing.assert_array_equal(
        found, np.where(least <= LOGITS, LOGITS, np.float32(scores.NEVER))
    )


def test_top_k_keeps_all_that_tie_with_the_last():
    tied = np.array([[[3.0, 1.0, 1.0, 1.0, -2.0, 0.0]]], np.float32)
    kept = array(scores.keep_top_k(tied, 2)) > scores.NEVER
    assert kept.tolist() == [[[True, True, True, True, False, False]]]


@pytest.mark.parametrize("share", [1e-6, 0.3, 0.7, 0.95, 0.9999])
def test_top_p_keeps_what_sorting_keeps(share):
    wide = (np.random.default_rng(1).normal(size=(4, 5, 300)) * 2).astype(np.float32)
    found = array(scores.keep_top_p(wide, share)) > scores.NEVER
    p = np.exp(log_softmax(wide.astype(np.float64)))
    order = np.argsort(-p, axis=-1)
    reached = np.cumsum(np.take_along_axis(p, order, -1), -1)
    # What comes before a token must not have reached the share yet.
    before = np.empty_like(p)
    np.put_along_axis(before, order, reached - np.take_along_axis(p, order, -1), -1)
    np.testing.assert_array_equal(found, before < share)


def test_filters_leave_the_impossible_impossible():
    logits = LOGITS.copy()
    logits[..., 2:] = scores.NEVER
    for kept in (scores.keep_top_k(logits, 5), scores.keep_top_p(logits, 1.0)):
        assert (array(kept)[..., 2:] == np.float32(scores.NEVER)).all()
        np.testing.assert_array_equal(array(kept)[..., :2], logits[..., :2])


def test_the_end_grows_surer_past_the_expected_length():
    logp = log_softmax(LOGITS.astype(np.float64)).astype(np.float32)
    end = 4
    for over in (-3, 0):
        np.testing.assert_array_equal(array(scores.press_to_end(logp, end, over)), logp)
    p = np.exp(logp.astype(np.float64))
    for over in (1, 2, 10):
        found = np.exp(array(scores.press_to_end(logp, end, over)).astype(np.float64))
        np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-5)
        keep = (1.0 - scores.HAZARD) ** over
        expected = p * keep
        expected[..., end] = 1.0 - (1.0 - p[..., end]) * keep
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("end_logit", [-1e30, -1e9, -100.0, 0.0, 100.0, 1e9])
def test_pressing_stays_finite_however_sure_the_model_is(end_logit):
    logits = LOGITS.copy()
    logits[..., 4] = end_logit
    for over in (1, 5, 1000, 2**30):
        found = array(scores.press_to_end(scores.log_softmax(logits), 4, over))
        assert np.isfinite(found).all()
        assert (found <= 1e-6).all()


@pytest.mark.parametrize(
    ("batch", "candidates", "count"),
    [(1, 7, 3), (2, 128, 1), (3, 1000, 2), (2, 1025, 4), (1, 21128, 2), (2, 5003, 8)],
)
@pytest.mark.parametrize("values", ["distinct", "ties", "impossible"])
def test_top_candidates_are_those_of_a_full_sort(batch, candidates, count, values):
    rng = np.random.default_rng(candidates + count)
    table = rng.normal(size=(batch, candidates)).astype(np.float32)
    if values == "ties":
        table = np.round(table)
    if values == "impossible":
        table[:, rng.permutation(candidates)[: candidates - 2]] = -1e30
    best, places = map(array, scores.top_candidates(table, count))
    expected = -np.sort(-table, axis=1)[:, :count]
    np.testing.assert_array_equal(best, expected)
    np.testing.assert_array_equal(np.take_along_axis(table, places, 1), best)
    assert all(len(set(row)) == count for row in places)
    if values == "distinct":
        order = np.argsort(-table, axis=1)[:, :count]
        np.testing.assert_array_equal(places, order)
