"""Numbers of texts, in digits and in Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.text.numerals import written_numbers
from nlpcli.text.rational import evaluate


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("小明有12个苹果，吃了25%，每个0.5千克", ["12", "25%", "0.5"]),
        ("用去3/4，还剩(3+1/2)米", ["3", "4", "3", "1", "2"]),
        ("三十五人和两百零八人", ["35", "208"]),
        (
            "二〇一二年，一万二千三百人，十二个，三亿",
            ["2012", "12300", "12", "300000000"],
        ),
        ("三分之二是百分之几", ["3", "2"]),
        ("百分之二十和百分之5.5", ["20%", "5.5%"]),
        ("打7折、七五折、8.5折、85折、九折", ["70%", "75%", "85%", "85%", "90%"]),
        ("半小时走三千克，两千米，3千克", ["0.5", "3", "2", "3"]),
        ("两千元", ["2000"]),
        ("几千米，数百人，十个", ["10"]),
        ("没有数", []),
        ("9" * 400, []),
        ("一" * 400 + "折", []),
    ],
)
def test_written_numbers(text: str, numbers: list[str]) -> None:
    assert written_numbers(text) == numbers


@given(st.integers(1, 99_999_999))
def test_chinese_numbers_read_back(number: int) -> None:
    assert written_numbers(f"有{_chinese(number)}个") == [str(number)]


def _chinese(number: int) -> str:
    """By the school rule: 10010 is 一万零一十."""
    if number >= 10**4:
        rest = number % 10**4
        between = "零" if 0 < rest < 1000 else ""
        behind = _chinese(rest) if rest else ""
        return _chinese(number // 10**4) + "万" + between + behind
    text, zero = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // unit % 10
        if digit:
            text += (
                ("零" if zero and text else "") + "零一二三四五六七八九"[digit] + name
            )
        zero = zero or not digit if digit == 0 else False
    return text


@given(st.text("0123456789.%三十百千万亿半折分之一/()", max_size=30))
def test_every_number_has_a_value(text: str) -> None:
    for number in written_numbers(text):
        assert evaluate(number) >= 0
        assert number.isascii()
