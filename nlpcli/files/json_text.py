"""Text that any UTF-8 stream can carry: JSON, and what a person reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BYTES = re.compile("[\udc80-\udcff]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def dumps(value: Any) -> str:
    """One line of JSON, Chinese as it is, lone surrogates as ``\\udXXX`` escapes.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    return escaped(json.dumps(value, ensure_ascii=False, allow_nan=False))


def escaped(text: str) -> str:
    """JSON text with each lone surrogate as the escape that reads back as it."""
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def readable(text: str) -> str:
    """The text with every surrogate gone: for messages and reports, not for answers.

    A locale without UTF-8 leaves each byte of a file name as a surrogate (PEP 383):
    such bytes come out as the UTF-8 that they are, and what is none (a name in GBK,
    half of a pair) as ``\\udXXX``.
    """
    named = _BYTES.sub(lambda match: _decoded(match[0]), text)
    return named.encode("utf-8", "backslashreplace").decode("utf-8")


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
