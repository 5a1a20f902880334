"""JSON files: one reader for all, which says what it met."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from nlpcli.errors import CheckpointError, NlpcliError
from nlpcli.files.plain_file import MOST_BYTES, read_plain

_BOM = b"\xef\xbb\xbf"
SHOWN = 60  # characters of what came, in a message
DEEPEST = 64  # objects and lists inside one another
# A value takes up to a hundred times its text: `{},{},` of 64 MiB would be 6 GiB.
MOST_VALUES = 2_000_000


class NotJson(ValueError):
    """Why some bytes are no JSON object: ``expected ..., got ...``."""


def read_json_object(
    path: str | Path,
    error: type[NlpcliError] = CheckpointError,
    most_values: int = MOST_VALUES,
) -> dict[str, Any]:
    """The JSON object that a file holds; a byte order mark is no content.

    Raises NotFoundError for a missing file and ``error``, with the path and what came,
    for a file that is not plain, is too large, or holds anything else.
    """
    raw = read_plain(path, MOST_BYTES, error)
    try:
        return parse_json_object(raw.removeprefix(_BOM), most_values)
    except NotJson as problem:
        raise error(f"{path}: {problem}") from problem


def parse_json_object(
    raw: bytes | bytearray, most_values: int = MOST_VALUES
) -> dict[str, Any]:
    """The JSON object in some bytes, in bounded memory; raises NotJson."""
    if raw[:100].lstrip().startswith(b"["):  # told before a long list is read
        text = raw[: 4 * SHOWN].decode("utf-8", "replace")
        raise NotJson(f"expected a JSON object, got {short(' '.join(text.split()))}")
    if sum(map(raw.count, (b",", b":", b"[", b"{"))) > most_values:
        raise NotJson(f"expected JSON of at most {most_values} values, got more")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(
            f"expected UTF-8, got byte 0x{raw[error.start]:02x} at position "
            f"{error.start + 1}"
        ) from error
    try:
        value = parse_json(text)
    except NotJson as error:
        came = repr(short(text.strip())) if text.strip() else "nothing"
        raise NotJson(f"expected JSON, got {came} ({error})") from error
    if not isinstance(value, dict):
        raise NotJson(f"expected a JSON object, got {short(' '.join(text.split()))}")
    return value


def parse_json(text: str) -> Any:
    """The JSON value of a text; raises NotJson, which says what is wrong with it.

    NaN, infinities and numbers too large for a float are refused: JSON has none, and
    sizes and scores would carry them on. So are a name that stands twice in an object
    and more than 64 levels.
    """
    try:
        value = json.loads(
            text, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_once
        )
    except json.JSONDecodeError as error:
        where = f"column {error.colno}"
        if error.lineno > 1:
            where = f"line {error.lineno}, {where}"
        raise NotJson(f"{error.msg}, {where}") from error
    except RecursionError as error:
        raise NotJson("nested too deep") from error
    except NotJson:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise NotJson(short(str(error))) from error
    if text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST:
        raise NotJson(f"nested deeper than {DEEPEST} levels")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotJson(f"{short(text)} is no finite number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        last = {name: place for place, (name, _) in enumerate(pairs)}
        twice = next(n for place, (n, _) in enumerate(pairs) if last[n] != place)
        raise NotJson(f"the name {short(twice)!r} stands twice")
    return found


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, (dict, list))]:
        depth += 1
        level = [
            part
            for item in level
            for part in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def short(text: str) -> str:
    """The beginning of what came, for a message."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
