"""A text or two under the names that data sets give them."""

import pytest

from nlpcli.errors import DataError
from nlpcli.records.pairs import NAMES, joined, named, texts_of
from nlpcli.records.row import Row


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"text": "甲"}, ("甲",)),
        ({"sentence": " 甲 \n"}, ("甲",)),
        ({"review": "甲"}, ("甲",)),
        ({"content": "甲", "id": 3}, ("甲",)),
        ({"title": "题", "content": "文"}, ("文",)),
        ({"text_a": "甲", "text_b": "乙"}, ("甲", "乙")),
        ({"sentence1": "甲", "sentence2": " 乙"}, ("甲", "乙")),
        ({"a": "甲", "b": "乙"}, ("甲", "乙")),
        ({"text": "甲乙", "text_a": "甲", "text_b": "乙"}, ("甲", "乙")),
        ({"text": "甲\t乙"}, ("甲", "乙")),
        ({"text": "甲\t"}, ("甲",)),
        ({"text": "\t乙"}, ("乙",)),
        ({"text": "甲\t乙\t丙"}, ("甲\t乙\t丙",)),
        ({"text": ""}, ("",)),
        ({"text_a": "", "text_b": " "}, ("", "")),
        ({"text": '他说"好"'}, ('他说"好"',)),
    ],
)
def test_texts_of_a_row(values, texts):
    assert texts_of(Row(values)) == texts


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"body": "甲"}, 'a:3: expected the key "text", got the keys "body"'),
        ({"text_a": "甲"}, 'a:3: expected the key "text", got the keys "text_a"'),
        ({"sentence": 3}, 'a:3: expected a string for "sentence", got 3'),
        ({"text_a": "甲", "text_b": None}, 'expected a string for "text_b", got null'),
        ({}, 'expected the key "text", got the keys none'),
    ],
)
def test_rows_without_text(values, message):
    with pytest.raises(DataError) as caught:
        texts_of(Row(values, "a:3"))
    assert message in str(caught.value)


def test_the_key_of_the_text_may_be_another():
    row = Row({"body": "甲\t乙"}, names={"text": "body"})
    assert texts_of(row) == ("甲", "乙")


@pytest.mark.parametrize("texts", [("甲",), ("甲", "乙"), ("甲\t乙\t丙",)])
def test_our_own_names_are_read_again(texts):
    assert texts_of(Row(named(texts))) == texts
    assert set(named(texts)) <= NAMES


def test_one_line_of_them():
    assert joined(("甲",)) == "甲"
    assert joined(("甲", "乙")) == "甲\t乙"
    assert joined(("甲\t一", "乙")) == "甲 一\t乙", "a tab parts two texts only"
    assert texts_of(Row({"text": joined(("甲\t一", "乙"))})) == ("甲 一", "乙")
