"""Windows of passages: they tile, end at sentences, and hold the answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.text.passages import read_passage, window_around, windows
from nlpcli.text.tokenizers.load import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
TEXTS = st.text(alphabet="天地，。！”“ \n3", min_size=1, max_size=60).filter(str.strip)


def passage(text):
    return read_passage(TOKENIZER, text)


def texts(text, longest):
    found = windows(passage(text), longest)
    places = [window.place(0, len(window)) for window in found]
    return [text[start:end] for start, end in places]


def test_windows_end_at_sentences_then_clauses_then_anywhere():
    assert texts("春天来了。花开了。", 20) == ["春天来了。花开了。"]
    assert texts("春天来了。花开了。", 8) == ["春天来了。", "花开了。"]
    assert texts("春天来了，花开了，好看。", 8) == ["春天来了，", "花开了，好看。"]
    assert texts("春天来了花开了", 4) == ["春天来了", "花开了"]
    assert texts("春 天\n花开了", 4) == ["春 天", "花开了"]


def test_closing_marks_stay_with_their_sentence():
    assert texts("他说：“春天来了！！”花开了。", 12) == [
        "他说：“春天来了！！”",
        "花开了。",
    ]
    assert texts("值3.5元吗？不。", 7) == ["值3.5元吗？", "不。"]


@given(TEXTS, st.integers(1, 12))
def test_windows_tile_the_passage(text, longest):
    whole = passage(text)
    found = windows(whole, longest)
    assert all(0 < len(window) <= longest for window in found)
    ids = np.concatenate([window.token_ids for window in found])
    assert ids.tolist() == whole.token_ids.tolist()


@given(TEXTS, st.integers(1, 12), st.data())
def test_the_window_around_an_answer_holds_it(text, longest, data):
    whole = passage(text)
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start + 1, min(len(whole), start + longest)))
    first, last = window_around(whole, start, end, longest)
    assert 0 <= first <= start < end <= last <= len(whole)
    assert last - first <= longest


def test_an_answer_over_the_border_gets_the_window_of_its_sentence():
    whole = passage("春天来了。花开了。草绿了。鸟叫了。")
    assert window_around(whole, 5, 6, 9) == (0, 9)
    assert window_around(whole, 7, 11, 9) == (5, 13)
    assert window_around(whole, 5, 13, 8) == (5, 13)


@pytest.mark.parametrize("needle", ["花开", "了。", "春"])
def test_find_gives_the_first_occurrence(needle):
    text = "春 天来了。花开了。"
    whole = passage(text)
    ids = TOKENIZER.encode_characters(needle).token_ids
    at = whole.find(ids)
    start, end = whole.place(at, at + len(ids))
    assert text[start:end] == needle
    assert whole.find(np.array([], np.int32)) == -1
    assert whole.find(np.full(99, 1, np.int32)) == -1
