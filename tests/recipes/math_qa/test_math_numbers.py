"""The numbers that an expression may hold, and how it takes them over."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nlpcli.recipes.math_qa import numbers
from nlpcli.recipes.math_qa.numbers import CONSTANTS, align, allowed_numbers
from nlpcli.text.rational import number_value


def test_allowed_are_the_question_then_constants() -> None:
    allowed = allowed_numbers("37个人分2个组，又来37人")
    assert allowed[:2] == ["37", "2"]
    assert sorted(allowed) == sorted({"37", *CONSTANTS})


def test_align() -> None:
    question = "打七五折，2.50元，降20%，用5/8"
    pieces = ["0.75", "*", "2.5", "/", "(", "1", "-", "0.2", ")", "+", "0.625"]
    expected = ["75%", "*", "2.50", "/", "(", "1", "-", "20%", ")", "+", "0.625"]
    assert align(pieces, question) == expected
    assert align(["2"], "增加200%") == ["2"]
    assert align(["13"], "增加1300%") == ["13"]
    assert align(["0.50"], "增加50%，或0.5") == ["50%"]


def test_aligning_looks_at_each_number_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(text: str) -> Fraction:
        asked.append(text)
        return number_value(text)

    monkeypatch.setattr(numbers, "number_value", counted)
    question = "，".join(f"{number}.5元" for number in range(1000))
    pieces = [f"{number}.50" for number in range(200)]
    assert align(pieces, question) == [f"{number}.5" for number in range(200)]
    assert len(asked) <= 1200
