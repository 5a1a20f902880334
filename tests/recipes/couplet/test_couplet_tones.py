"""Level against oblique tones."""

import sys

import numpy as np
import pytest

from nlpcli.errors import NlpcliError
from nlpcli.recipes.couplet.tones import demanded_tones, tonal_agreement
from nlpcli.text import tones
from nlpcli.text.tones import FREE, LEVEL, OBLIQUE

pytest.importorskip("pypinyin", reason="needs the extra tones")


def test_classes():
    found = {c: tones.tone_class(c) for c in "天海月行a,1的"}
    # 行 is xing2 and hang4 among others; a letter has no tone
    assert found == {
        "天": LEVEL,
        "海": OBLIQUE,
        "月": OBLIQUE,
        "行": FREE,
        "a": FREE,
        ",": FREE,
        "1": FREE,
        "的": FREE,
    }


def test_demands_at_even_places_and_at_the_end():
    # 白2 日4 依1 山1 尽4: places 2, 4 and the last
    assert demanded_tones("白日依山尽") == [0, LEVEL, 0, OBLIQUE, LEVEL]


def test_each_clause_counts_from_one():
    # 天1 下4 , 春1 风1 来2 : the mark is no place
    assert demanded_tones("天下,春风来") == [0, LEVEL, 0, 0, OBLIQUE, OBLIQUE]
    # a mark at the end does not hide the last character
    assert demanded_tones("天。") == [OBLIQUE, 0]


def test_a_free_character_demands_nothing():
    assert demanded_tones("天行") == [0, FREE]
    assert demanded_tones("") == []


def test_agreement_counts_what_can_be_held_to_it():
    assert tonal_agreement("白日依山尽", "黄河入海流") == (3, 3)
    assert tonal_agreement("白日依山尽", "白日依山尽") == (0, 3)
    assert tonal_agreement("天行", "海内") == (0, 0)
    assert tonal_agreement("海内", "") == (0, 0)


def test_tokens():
    found = tones.token_tones(["[CLS]", "天", "海", "##a", "行"])
    assert np.array_equal(found, [FREE, LEVEL, OBLIQUE, FREE, FREE])


def test_without_pypinyin_the_error_names_the_extra(monkeypatch):
    tones._tones.cache_clear()
    tones._reader.cache_clear()
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    with pytest.raises(NlpcliError, match=r'pip install "nlpcli\[tones\]"'):
        demanded_tones("海内")
    tones._tones.cache_clear()
    tones._reader.cache_clear()
