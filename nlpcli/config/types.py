"""What a declared type accepts: plain YAML values in, typed values out."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from nlpcli.files.json_text import readable

Bounds = Mapping[str, float | None]

_HOLDS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_NAMES = {int: "integer", float: "number", bool: "true or false", str: "text"}
_TRUTH = {"yes": True, "no": False, "on": True, "off": False}
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


class Mismatch(ValueError):
    """A value that the declared type does not take; ``place`` is where inside it."""

    def __init__(self, value: Any, place: str = "") -> None:
        self.value = value
        self.place = place
        super().__init__(shown(value))


def convert(value: Any, declared: Any, bounds: Bounds, text: str | None = None) -> Any:
    """The typed value, or Mismatch.

    An integer is a number too, a bool is neither, a number in quotes ('1e-5') is a
    number, and yes, no, on and off are truth values where one is declared. ``text`` is
    the value as typed on the command line: it counts where text is declared, or a file
    called 2024 would become an integer.
    """
    kind, optional = _split(declared)
    if value is None:
        if optional:
            return None
        raise Mismatch(value)
    if get_origin(kind) is tuple:
        return _items(value, get_args(kind)[0], bounds)
    if get_origin(kind) is Literal:
        return _choice(_as_text(value, text), get_args(kind))
    if kind is str:
        value = _as_text(value, text)
    elif kind is float:
        value = _as_float(value)
    elif kind is bool and isinstance(value, str):
        value = _TRUTH.get(value.lower(), value)
    if type(value) is not kind or not _inside(value, bounds):
        raise Mismatch(value)
    return value


def describe(declared: Any, bounds: Bounds) -> str:
    """The declared type in the words of the error messages and the schema."""
    kind, optional = _split(declared)
    if get_origin(kind) is Literal:
        name = " | ".join(str(choice) for choice in get_args(kind))
    elif get_origin(kind) is tuple:
        name = f"list of {describe(get_args(kind)[0], bounds)}"
    else:
        limits = [
            f"{sign} {limit}" for sign, limit in bounds.items() if limit is not None
        ]
        name = f"{_NAMES[kind]} {' and '.join(limits)}".rstrip()
    return f"{name} or null" if optional else name


def shown(value: Any) -> str:
    """A value as it would stand in a file, short and safe to print."""
    text = readable(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _split(declared: Any) -> tuple[Any, bool]:
    """``X | None`` as (X, True); of other unions there are none."""
    kinds = [kind for kind in get_args(declared) if kind is not NoneType]
    if NoneType in get_args(declared):
        return kinds[0], True
    return declared, False


def _as_text(value: Any, text: str | None) -> Any:
    if text is None or text.lstrip()[:1] in ("'", '"'):
        return value
    return text.strip()


def _as_float(value: Any) -> Any:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return value
    try:
        number = float(value)
    except OverflowError as error:
        raise Mismatch(value) from error
    if not math.isfinite(number):
        raise Mismatch(value)
    return number


def _choice(value: Any, choices: tuple[Any, ...]) -> Any:
    if isinstance(value, bool) and {"on", "off"} <= set(choices):
        return "on" if value else "off"
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
    raise Mismatch(value)


def _items(value: Any, declared: Any, bounds: Bounds) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise Mismatch(value)
    items = []
    for index, item in enumerate(value):
        try:
            items.append(convert(item, declared, bounds))
        except Mismatch as error:
            raise Mismatch(error.value, f"[{index}]{error.place}") from error
    return tuple(items)


def _inside(value: Any, bounds: Bounds) -> bool:
    return all(
        _HOLDS[sign](value, limit)
        for sign, limit in bounds.items()
        if limit is not None
    )
