"""Labels and their numbers."""

import pytest

from nlpcli.errors import DataError
from nlpcli.tasks.labels import Labels


def learnt(*own, what="label"):
    labels = Labels(what)
    for names in own:
        labels.learn(names)
    return labels


def test_numbers_follow_the_sorted_names_whatever_the_order():
    labels = learnt(["乙", "甲"], [], ["甲"], ["丙"])
    assert labels.names == sorted(["甲", "乙", "丙"])
    assert [labels.number(name) for name in labels.names] == [0, 1, 2]
    assert len(labels) == 3


def test_an_example_counts_a_label_once():
    labels = learnt(["a", "a", "b"], ["a"])
    assert labels.counts == {"a": 2, "b": 1}
    assert labels.examples == 2


def test_a_strange_label_is_told_with_those_there_are():
    labels = learnt(["a", "b"], what="predicate")
    labels.require(["b", "a"], "dev.jsonl:1")
    with pytest.raises(DataError) as caught:
        labels.require(["a", "c"], "dev.jsonl:3")
    assert str(caught.value) == (
        "dev.jsonl:3: expected a predicate of the training data (a, b), got 'c'"
    )


def test_rare_labels_count_as_frequent_ones():
    """n / (labels x count), so that the weighted counts of all are the same."""
    labels = learnt(*[["a"]] * 6, *[["b"]] * 3, ["c"])
    weights = labels.balanced(several=False)
    assert weights == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    counts = [labels.counts[name] for name in labels.names]
    shares = [weight * count for weight, count in zip(weights, counts, strict=True)]
    assert shares == pytest.approx([10 / 3] * 3)
    assert sum(shares) == pytest.approx(labels.examples), "the loss keeps its size"


def test_of_several_missing_one_counts_as_finding_it_wrongly():
    labels = learnt(["a", "b"], ["a"], ["a"], [])
    assert labels.balanced(several=True) == pytest.approx([1 / 3, 3 / 1])


def test_names_of_a_run_are_known_and_weigh_nothing():
    labels = Labels(names=["b", "a"])
    assert labels.names == ["b", "a"], "numbers are those of the run"
    labels.require(["a"], "x")
    assert labels.balanced(several=False) is None


def test_restored_names_keep_what_was_counted():
    """A vocabulary that is cut has its recipe learn again, then restore."""
    labels = learnt(["a"], ["b"], ["b"])
    labels.restore(["a", "b"])
    assert labels.balanced(several=False) == pytest.approx([3 / 2, 3 / 4])
    with pytest.raises(DataError):
        labels.require(["c"], "x")
