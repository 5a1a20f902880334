"""Text that any UTF-8 stream can carry: JSON, and what a person reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BYTES = re.compile("[\udc80-\udcff]+")
# What a terminal obeys or nobody sees: control characters of both blocks, marks of
# direction, line ends of Unicode's own, characters without width (but the joiners of
# emoji and scripts, and variation selectors), tags, halves of pairs.
_UNSEEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def dumps(value: Any) -> str:
    """One line of JSON, Chinese as it is, what ``escaped`` escapes as ``\\uXXXX``.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    return escaped(json.dumps(value, ensure_ascii=False, allow_nan=False))


def escaped(text: str) -> str:
    """JSON text that says the same, with nothing in it that a terminal obeys."""
    return _UNSEEN.sub(_as_json, text)


def readable(text: str) -> str:
    """Text for people: what a terminal obeys, or nobody sees, is spelled out.

    Line ends and tabs stay; ``in_one_line`` and ``in_a_cell`` take those too. Every
    message, table, report and readable answer comes through one of the three.

    A locale without UTF-8 leaves each byte of a file name as a surrogate (PEP 383):
    such bytes come out as the UTF-8 that they are, and what is none (a name in GBK,
    half of a pair) as ``\\udXXX``.
    """
    return _UNSEEN.sub(_spelled, named(text))


def in_one_line(text: str) -> str:
    """``readable`` without line ends."""
    return readable(text.replace("\r", "\\r").replace("\n", "\\n"))


def in_a_cell(text: str) -> str:
    """``readable`` without line ends and tabs, for a place in a table."""
    return in_one_line(text).replace("\t", "\\t")


def named(text: str) -> str:
    """The text with names of files as they are, where a locale left their bytes."""
    return _BYTES.sub(lambda match: _decoded(match[0]), text)


def _spelled(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _as_json(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def plain(value: Any) -> Any:
    """Values that JSON has: numpy's numbers as Python's, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _decoded(surrogates: str) -> str:
    raw = surrogates.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "surrogateescape")
