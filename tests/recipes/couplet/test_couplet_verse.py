"""The rules of a couplet, told apart by what they forbid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.recipes.couplet.verse import (
    answer_tokens,
    broken_rules,
    is_mark,
    verse_features,
    without_spaces,
)
from nlpcli.text.tokenizers.load import subset, tiny_tokenizer


@pytest.mark.parametrize(
    ("first", "second", "broken"),
    [
        ("海内存知己", "天涯若比邻", []),
        ("春风,得意", "秋月,无声", []),
        ("春风,得意", "秋月、无声", ["marks"]),
        ("春风得意", "秋月,声", ["marks"]),
        ("春春夏夏", "秋秋冬冬", []),
        ("春春夏夏", "秋秋冬雪", ["repetition"]),
        ("春夏秋冬", "日月日星", ["repetition"]),
        ("海内", "海外", ["sharing"]),
        ("海内存", "天涯", ["length"]),
        ("海内", "内天", ["sharing"]),
        ("", "", []),
        ("……", "……", []),
    ],
)
def test_broken_rules(first, second, broken):
    assert broken_rules(first, second) == broken


def test_marks_are_what_is_neither_letter_nor_number():
    assert all(is_mark(c) for c in ",,。!、…—·￥~□😀\u200b")
    assert not any(is_mark(c) for c in "海a1々〇ⅣＡ")


def test_unknown_characters_stay_different():
    """Two characters without a token repeat nothing; the same one again does."""
    ids = np.array([1, 1, 1], np.int32)
    verse = verse_features("𠀀𠀁𠀀", ids, [0, 0, 0])
    assert verse["repeat_of"].tolist() == [0, 1, 0]


@given(st.text("海内存,。a", max_size=12))
def test_features_say_what_the_line_says(line):
    verse = verse_features(line, np.arange(len(line)), [0] * len(line))
    for i, origin in enumerate(verse["repeat_of"]):
        assert line[origin] == line[i]
        assert line[i] not in line[:origin]
    assert verse["answer_length"] == len(line)
    assert verse["punctuation"].tolist() == [is_mark(c) for c in line]


def test_demands_hold_for_every_place_of_a_character():
    verse = verse_features("天天天", np.array([5, 5, 5]), [0, 2, 0])
    assert verse["tone"].tolist() == [2, 2, 2]


def test_answer_tokens_are_single_characters_that_read_back():
    tokenizer = tiny_tokenizer()
    vocab = tokenizer.vocab
    keep = [vocab.index[t] for t in ["海", "内", ",", "##a", "a", "1"]]
    small, _ = subset(tokenizer, keep)
    rows = len(small.vocab.tokens) + 3  # of a table with more than there are tokens
    allowed = answer_tokens(small, rows)
    assert len(allowed) == rows and not allowed[-3:].any()
    found = {t for t, a in zip(small.vocab.tokens, allowed[:-3], strict=True) if a}
    assert found == {"海", "内", "a", "1"}


def test_spaces_are_no_part_of_a_line():
    assert without_spaces(" 海内\u3000存 知\t己\n") == "海内存知己"
