"""Viterbi, marginals and span scores against every path written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nlpcli.decoders.tags import TagScheme
from nlpcli.decoders.viterbi import marginals, span_scores, viterbi
from tests.decoders.chains import all_paths, legal, random_chain

SCHEME = TagScheme(["X", "Y"])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scheme", [None, SCHEME])
def test_the_best_path_is_the_best_of_all_paths(seed, scheme):
    logits, mask, transitions, start, end = random_chain(seed, 5, 5, 5)
    tags, scores = viterbi(logits, mask, transitions, start, end, scheme)
    for row, length in enumerate(mask.sum(1)):
        assert tags[row].shape == (length,)
        if length == 0:
            assert scores[row] == 0.0
            continue
        path, score = max(
            all_paths(
                logits[row, :length], start, transitions, end, scheme and scheme.allowed
            ),
            key=lambda pair: pair[1],
        )
        assert tuple(tags[row]) == path
        assert scores[row] == pytest.approx(score, abs=1e-5)


@given(
    logits=hnp.arrays(np.float32, (3, 6, 5), elements=st.floats(width=32)),
    transitions=hnp.arrays(np.float32, (5, 5), elements=st.floats(-1e4, 1e4, width=32)),
    lengths=st.lists(st.integers(0, 6), min_size=3, max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_no_impossible_transition_whatever_the_numbers(logits, transitions, lengths):
    """NaN, infinities and huge scores included."""
    mask = np.arange(6) < np.array(lengths)[:, None]
    zeros = np.zeros(5, np.float32)
    tags, scores = viterbi(logits, mask, transitions, zeros, zeros, SCHEME)
    assert np.isfinite(scores).all()
    for row, length in zip(tags, lengths, strict=True):
        assert len(row) == length
        assert not length or legal(row, SCHEME.allowed)
    spans = [SCHEME.decode(row) for row in tags]
    found = span_scores(logits, mask, transitions, zeros, zeros, SCHEME, spans)
    assert all(0.0 <= score <= 1.0 for row in found for score in row)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scheme", [None, SCHEME])
def test_marginals_are_sums_over_all_paths(seed, scheme):
    logits, mask, transitions, start, end = random_chain(seed, 4, 5, 5)
    found = marginals(logits, mask, transitions, start, end, scheme)
    for row, length in enumerate(mask.sum(1)):
        expected = np.zeros((5, 5))
        if length:
            paths, weights = _distribution(
                logits[row, :length], start, transitions, end, scheme
            )
            for path, weight in zip(paths, weights, strict=True):
                expected[np.arange(length), path] += weight
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_span_scores_are_the_mass_of_the_paths_with_that_entity(seed):
    logits, mask, transitions, start, end = random_chain(seed, 4, 5, 5)
    spans = [
        [
            (first, stop, label)
            for first in range(length)
            for stop in range(first + 1, length + 1)
            for label in SCHEME.labels
        ]
        for length in mask.sum(1)
    ]
    found = span_scores(logits, mask, transitions, start, end, SCHEME, spans)
    for row, length in enumerate(mask.sum(1)):
        assert len(found[row]) == len(spans[row])
        if not length:
            continue
        expected = dict.fromkeys(spans[row], 0.0)
        paths, weights = _distribution(
            logits[row, :length], start, transitions, end, SCHEME
        )
        for path, weight in zip(paths, weights, strict=True):
            for span in SCHEME.decode(np.array(path)):
                expected[span] += weight
        np.testing.assert_allclose(found[row], list(expected.values()), atol=1e-6)


def test_a_row_alone_and_in_a_padded_batch_answer_alike():
    logits, mask, *scores = random_chain(7, 6, 9, 5)
    tags, best = viterbi(logits, mask, *scores, SCHEME)
    spans = [SCHEME.decode(row) for row in tags]
    sure = span_scores(logits, mask, *scores, scheme=SCHEME, spans=spans)
    for row, length in enumerate(mask.sum(1)):
        own = slice(row, row + 1), slice(0, max(1, length))
        alone, score = viterbi(logits[own], mask[own], *scores, SCHEME)
        assert alone[0].tolist() == tags[row].tolist()
        assert score[0] == best[row]
        again = span_scores(
            logits[own], mask[own], *scores, scheme=SCHEME, spans=[spans[row]]
        )
        assert again[0] == pytest.approx(sure[row], abs=1e-12)


def test_a_long_text_keeps_its_precision():
    """2,000 positions of large scores: marginals still sum to one."""
    logits, mask, *scores = random_chain(1, 2, 2000, 5, scale=30.0)
    sums = marginals(logits, mask, *scores, SCHEME).sum(-1)
    np.testing.assert_allclose(sums[mask], 1.0, atol=1e-9)


def _distribution(logits, start, transitions, end, scheme):
    allowed = scheme and scheme.allowed
    paths, scores = zip(
        *all_paths(logits, start, transitions, end, allowed), strict=True
    )
    weights = np.exp(np.array(scores) - max(scores))
    return paths, weights / weights.sum()
