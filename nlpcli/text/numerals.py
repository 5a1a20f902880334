"""The numbers of a Chinese text, as an arithmetic expression writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from nlpcli.text.rational import value_text

_LONGEST = 20  # characters of a number; what is longer is no quantity


def written_numbers(text: str) -> list[str]:
    """The numbers of a text in order.

    "12", "0.5" and "20%" stand for themselves, the fraction ``3/4`` for its two whole
    numbers. Chinese ones count too: ``三十五`` is "35", ``三分之一`` "3" and "1",
    ``百分之八`` "8%", ``半`` "0.5", and a price at ``七五折`` is "75%".
    """
    found = (_number(match) for match in _FOUND.finditer(text))
    return [number for number in found if number and len(number) <= _LONGEST]


_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")}
_DIGITS |= {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
_PLAIN = r"[0-9]+(?:\.[0-9]+)?"
_CHINESE = f"[{''.join(_DIGITS)}{''.join(_UNITS)}]+"
_FOUND = re.compile(
    rf"(?P<price>{_PLAIN}|[一二三四五六七八九]+)折"
    rf"|百分之(?P<percent>{_PLAIN}|{_CHINESE})"
    rf"|(?P<plain>{_PLAIN}%?)"
    r"|(?P<half>半)"
    # 三千克 are three kilograms, not three thousand grams
    rf"|(?P<chinese>{_CHINESE}?(?=千[克米瓦])|{_CHINESE})"
)


def _number(match: re.Match[str]) -> str | None:
    kind = match.lastgroup
    text = match[kind] if kind else ""
    if kind == "half":
        return "0.5"
    if kind == "plain":
        return text
    number = text if text.isascii() else _chinese_number(text)
    if kind == "chinese" or number is None:
        return number
    if kind == "percent":
        return f"{number}%"
    if len(number) > _LONGEST:
        return None
    # 7折 is 70% of the price, 75折 and 7.5折 are 75%.
    tenths = Fraction(number) if len(number) == 1 or "." in number else None
    return f"{number if tenths is None else value_text(tenths * 10)}%"


def _chinese_number(text: str) -> str | None:
    """``二〇一二`` is "2012", ``三百零五`` "305"; None for a unit alone, as in 千克."""
    if not any(character in _DIGITS for character in text):
        return "10" if text == "十" else None
    if not any(character in _UNITS for character in text):
        return "".join(str(_DIGITS[character]) for character in text)
    return str(sum(_sections(text)))


def _sections(text: str) -> Iterator[int]:
    """The values of the parts that end in 亿 and 万, and of the rest."""
    section, digit, waiting = 0, 0, False
    for character in text:
        if character in _DIGITS:
            digit, waiting = _DIGITS[character], True
        elif _UNITS[character] < 10**4:
            section += (digit if waiting else 1) * _UNITS[character]
            digit, waiting = 0, False
        else:
            yield (section + digit) * _UNITS[character]
            section, digit, waiting = 0, 0, False
    yield section + digit
