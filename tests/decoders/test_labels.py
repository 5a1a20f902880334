"""Logits of labels to answers."""

import warnings

import numpy as np
import pytest

from nlpcli.decoders.labels import chosen_labels, probabilities, ranked_labels

NAMES = ["a", "b", "c"]


def test_one_of_all_sums_to_one():
    logits = np.array([[1.0, 2.0, 3.0], [900.0, -900.0, 0.0]], np.float32)
    found = probabilities(logits, several=False)
    powers = np.exp([1.0, 2.0, 3.0])
    assert found[0] == pytest.approx(powers / powers.sum())
    assert found[1] == pytest.approx([1.0, 0.0, 0.0])


def test_several_stand_each_by_itself():
    logits = np.array([[0.0, 3.0, -3.0], [900.0, -900.0, -40.0]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = probabilities(logits, several=True)
    assert found[0] == pytest.approx([0.5, 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(3))])
    assert found[1][:2].tolist() == [1.0, 0.0]
    assert found[1][2] == pytest.approx(np.exp(-40.0), rel=1e-6), "small ones differ"


def test_likeliest_first_and_equal_ones_in_the_order_of_the_labels():
    told = ranked_labels(NAMES, np.array([0.25, 0.5, 0.25]))
    assert [item["label"] for item in told] == ["b", "a", "c"]
    assert told[0] == {"label": "b", "probability": 0.5}
    rounded = ranked_labels(NAMES, np.array([0.123456, 0.0, 0.0]))[0]
    assert rounded["probability"] == 0.1235


@pytest.mark.parametrize(
    ("thresholds", "chosen"),
    [
        ({}, ["b", "a"]),
        ({"a": 0.6, "c": 0.3}, ["b", "c"]),
        ({"b": 0.9, "a": 0.51}, []),
        ({"b": 0.8}, ["b", "a"]),
    ],
)
def test_those_that_reach_their_threshold(thresholds, chosen):
    chances = np.array([0.5, 0.8, 0.4])
    found = chosen_labels(NAMES, chances, thresholds)
    assert [item["label"] for item in found] == chosen


def test_a_threshold_is_compared_before_rounding():
    chances = np.array([0.49999, 0.50001, 0.0])
    found = chosen_labels(NAMES, chances, {})
    assert found == [{"label": "b", "probability": 0.5}]
