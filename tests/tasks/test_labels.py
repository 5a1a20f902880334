"""Labels: sorted, numbered, required, balanced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError
from nlpcli.tasks.labels import Labels

NAMES = st.lists(st.lists(st.sampled_from(["乙", "甲", "a", "B", "b"]), max_size=4))


@given(NAMES, st.randoms())
def test_numbers_do_not_depend_on_the_order_of_learning(examples, random):
    one, other = Labels(), Labels()
    for names in examples:
        one.learn(names)
    random.shuffle(examples)
    for names in examples:
        other.learn(names)
    assert one.names == other.names == sorted({n for names in examples for n in names})
    assert [one.number(name) for name in one.names] == list(range(len(one)))


def test_labels_of_a_run_keep_their_numbers():
    """What was saved is restored as it was, sorted or not."""
    labels = Labels(names=["b", "a"])
    assert (labels.number("b"), labels.number("a"), len(labels)) == (0, 1, 2)
    labels.require(["a", "b"], "dev.jsonl:1")
    labels.learn(["a"])
    assert labels.names == ["b", "a"], "what is known changes nothing"
    labels.learn(["0"])
    assert labels.names == ["0", "a", "b"]


def test_a_label_that_training_never_met():
    labels = Labels("predicate")
    labels.learn(["导演", "作者"])
    labels.require([], "dev.jsonl:1")
    labels.require(iter(["作者"]), "dev.jsonl:1")
    with pytest.raises(DataError) as caught:
        labels.require(["作者", "主演", "导演"], "dev.jsonl:2")
    assert str(caught.value) == (
        "dev.jsonl:2: expected a predicate of the training data (作者, 导演), "
        "got '主演'"
    )
    with pytest.raises(DataError, match="expected a label of the training data"):
        Labels().require(["x"], "f:1")


def test_a_label_counts_once_an_example():
    labels = Labels()
    for names in (["a", "a"], ["a", "b"], [], ["a"]):
        labels.learn(iter(names))
    assert labels.examples == 4
    assert dict(labels.counts) == {"a": 3, "b": 1}


def test_restored_names_keep_what_was_counted():
    """A vocabulary that is cut has its recipe learn again, then restore."""
    labels = Labels()
    for names in (["a"], ["b"], ["b"]):
        labels.learn(names)
    labels.restore(["a", "b"])
    assert labels.balanced(False) == pytest.approx([3 / 2, 3 / 4])
    labels.restore(["c"])
    with pytest.raises(DataError):
        labels.require(["a"], "f:1")


def test_balance_is_in_inverse_proportion():
    labels = Labels()
    assert labels.balanced(False) is None
    for names in (["a"], ["a"], ["a"], ["b"]):
        labels.learn(names)
    assert labels.balanced(False) == pytest.approx([4 / 6, 4 / 2])
    weights = dict(zip(labels.names, labels.balanced(False), strict=True))
    assert sum(weights[n] for n in "aaab") == pytest.approx(4), "the sum stays"
    assert labels.balanced(True) == pytest.approx([1 / 3, 3 / 1])
