"""Triple decoders against the loops of the published scripts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.decoders.triples import MOST_TRIPLES, link_triples, nearest_spans

SEEDS = st.integers(0, 10_000)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def published_pairs(probabilities, start_threshold, end_threshold):
    """(length, labels, 2) -> start, end, label: the first end at or after a start."""
    starts = zip(*np.where(probabilities[:, :, 0] > start_threshold), strict=True)
    found = []
    for start, label in starts:
        for end, other in zip(
            *np.where(probabilities[:, :, 1] > end_threshold), strict=True
        ):
            if start <= end and label == other:
                found.append((int(start), int(end) + 1, int(label)))
                break
    return found


@settings(max_examples=60)
@given(SEEDS, st.sampled_from([1, 2, 4]), st.integers(1, 3))
def test_nearest_spans_are_those_of_the_published_loop(seed, power, labels):
    random = np.random.default_rng(seed)
    logits = random.normal(1.0, 2.0, (3, 8, labels, 2)).astype(np.float32)
    lengths = np.array([8, 5, 0])
    mask = np.arange(8) < lengths[:, None]
    found = nearest_spans(logits, mask, power, 0.6, 0.5)
    probabilities = sigmoid(logits.astype(np.float64)) ** power
    for row, length in enumerate(lengths):
        expected = published_pairs(probabilities[row, :length], 0.6, 0.5)
        assert [span[:3] for span in found[row]] == expected
        for start, end, label, score in found[row]:
            both = (
                probabilities[row, start, label, 0],
                probabilities[row, end - 1, label, 1],
            )
            assert abs(score - min(both)) < 1e-6


def published_links(entities, starts, lasts):
    subjects, objects = set(), set()
    for label, head, tail in zip(*np.where(entities > 0), strict=True):
        if head <= tail:
            (objects if label else subjects).add((int(head), int(tail)))
    found = set()
    for sh, st_ in subjects:
        for oh, ot in objects:
            first = np.where(starts[:, sh, oh] > 0)[0]
            second = np.where(lasts[:, st_, ot] > 0)[0]
            for predicate in set(first.tolist()) & set(second.tolist()):
                found.add(((sh, st_ + 1), predicate, (oh, ot + 1)))
    return found


@settings(max_examples=60)
@given(SEEDS)
def test_links_are_those_of_the_published_loop(seed):
    random = np.random.default_rng(seed)
    entities = random.normal(-0.7, 1.0, (2, 2, 6, 6)).astype(np.float32)
    starts, lasts = random.normal(0, 1.0, (2, 2, 3, 6, 6)).astype(np.float32)
    lengths = np.array([6, 4])
    mask = np.arange(6) < lengths[:, None]
    found = link_triples(entities, starts, lasts, mask)
    for row, n in enumerate(lengths):
        cut = [a[row, :, :n, :n] for a in (entities, starts, lasts)]
        assert {triple[:3] for triple in found[row]} == published_links(*cut)
        assert len({triple[:3] for triple in found[row]}) == len(found[row])
        for (ss, se), predicate, (os, oe), score in found[row]:
            weakest = min(
                entities[row, 0, ss, se - 1],
                entities[row, 1, os, oe - 1],
                starts[row, predicate, ss, os],
                lasts[row, predicate, se - 1, oe - 1],
            )
            assert abs(score - sigmoid(weakest)) < 1e-6


def test_an_untrained_model_answers_in_bounds():
    ones = np.ones((1, 4, 200, 200), np.float32)
    [found] = link_triples(ones[:, :2], ones, ones, np.ones((1, 200), bool))
    assert len(found) == MOST_TRIPLES


def test_nothing_above_the_threshold():
    low = np.full((1, 2, 5, 5), -1.0, np.float32)
    mask = np.ones((1, 5), bool)
    assert link_triples(low, low, low, mask) == [[]]
    assert nearest_spans(low[..., :2], mask[:, :2], 2, 0.6, 0.5) == [[]]
