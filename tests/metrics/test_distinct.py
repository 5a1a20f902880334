"""Distinct-n against counting by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.metrics.distinct import distinct


def test_by_hand():
    # 你好 你好吗: 3 different of 5 characters; 你好, 好吗: 2 different pairs.
    assert distinct(["你好", "你好吗"], 1) == pytest.approx(3 / 5)
    assert distinct(["你好", "你好吗"], 2) == pytest.approx(2 / 5)
    assert distinct(["你好", "你好吗"], 3) == pytest.approx(1 / 5)
    assert distinct(["你好", "你好吗"], 4) == 0.0


def test_no_ngram_crosses_answers():
    assert distinct(["春花", "秋月"], 2) == pytest.approx(2 / 4)
    assert distinct(["春花秋月"], 2) == pytest.approx(3 / 4)


def test_edges():
    assert distinct([], 1) is None
    assert distinct(["", " \u3000"], 2) is None
    assert distinct(["好"], 1) == 1.0
    assert distinct(["好"], 2) == 0.0
    assert distinct(["哈哈哈哈"] * 25, 1) == pytest.approx(1 / 100)
    assert distinct(["哈 哈"], 2) == pytest.approx(1 / 2)
    assert distinct((text for text in ["春", "花"]), 1) == 1.0


@given(st.lists(st.text("春花秋月", max_size=9), max_size=9), st.integers(1, 4))
def test_against_brute_force(answers, size):
    grams = [
        tuple(answer[at : at + size])
        for answer in answers
        for at in range(len(answer))
        if at + size <= len(answer)
    ]
    total = len("".join(answers))
    expected = len(dict.fromkeys(grams)) / total if total else None
    assert distinct(answers, size) == expected
    assert expected is None or 0 <= expected <= 1
