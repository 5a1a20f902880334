"""JSON files: one reader for all, which says what it met."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from nlpcli.errors import CheckpointError, NlpcliError, NotFoundError

_BOM = b"\xef\xbb\xbf"
SHOWN = 60  # characters of what came, in a message


class NotJson(ValueError):
    """Why some bytes are no JSON object: ``expected ..., got ...``."""


def read_json_object(
    path: str | Path, error: type[NlpcliError] = CheckpointError
) -> dict[str, Any]:
    """The JSON object that a file holds; a byte order mark is no content.

    Raises NotFoundError for a missing file and ``error``, with the path and what came,
    for a file that cannot be read or holds anything else.
    """
    try:
        return parse_json_object(Path(path).read_bytes().removeprefix(_BOM))
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from problem
    except NotJson as problem:
        raise error(f"{path}: {problem}") from problem


def parse_json_object(raw: bytes, once: bool = False) -> dict[str, Any]:
    """The JSON object in some bytes; ``once`` refuses a key that stands twice.

    NaN, infinities and numbers too large for a float are refused: JSON has none, and
    sizes and scores would carry them on. Raises NotJson.
    """
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text,
            parse_float=_finite,
            parse_constant=_finite,
            object_pairs_hook=_once if once else None,
        )
    except UnicodeDecodeError as error:
        raise NotJson(
            f"expected UTF-8, got byte 0x{raw[error.start]:02x} at position "
            f"{error.start + 1}"
        ) from error
    except json.JSONDecodeError as error:
        came = repr(_short(text.strip())) if text.strip() else "nothing"
        raise NotJson(
            f"expected JSON, got {came} ({error.msg}, line {error.lineno}, column "
            f"{error.colno})"
        ) from error
    except RecursionError as error:
        raise NotJson("expected JSON, got lists or objects nested too deep") from error
    except NotJson:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise NotJson(f"expected JSON, got {_short(str(error))}") from error
    if not isinstance(value, dict):
        raise NotJson(f"expected a JSON object, got {_short(text.strip())}")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotJson(f"expected JSON with finite numbers, got {_short(text)}")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJson("expected each name once, got one that stands twice")
    return found


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
