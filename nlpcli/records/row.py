"""One line of data as an object that is asked for typed keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_file import NotJson, parse_json
from nlpcli.files.json_text import dumps

SHOWN = 40  # characters of a bad value in its message


@dataclass(frozen=True)
class Row:
    """A JSON object, and where it stands: ``origin`` is "file:12".

    ``hint`` ends the message about a key that is not there; ``names`` are the keys of
    the file where they are called otherwise. What is wrong with a part that can be
    left out goes to ``problems``. Every getter raises DataError.
    """

    values: Mapping[str, Any]
    origin: str = ""
    hint: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    problems: list[DataError] = field(default_factory=list)

    def __contains__(self, key: str) -> bool:
        return self.names.get(key, key) in self.values

    def get(self, key: str, otherwise: Any = None) -> Any:
        """The value as it is, or ``otherwise``."""
        return self.values.get(self.names.get(key, key), otherwise)

    def value(self, key: str) -> Any:
        """The value as it is."""
        if key not in self:
            raise self.missing(key)
        return self.get(key)

    def missing(self, *keys: str) -> DataError:
        """That one of these keys should be here."""
        wanted = " or ".join(f'"{self.names.get(key, key)}"' for key in keys)
        there = ", ".join(f'"{name}"' for name in islice(self.values, SHOWN)) or "none"
        return self.error(
            f"expected the key {wanted}, got the keys {shorten(there, 80)}{self.hint}"
        )

    def string(self, key: str) -> str:
        """A string, perhaps an empty one."""
        return str(self._typed(key, str, "a string"))

    def text(self, key: str) -> str:
        """A string with something in it, without the space around it."""
        text = self.string(key).strip()
        if not text:
            raise self.error(f'expected text for "{key}", got none')
        return text

    def integer(self, key: str) -> int:
        """A whole number."""
        return int(self._typed(key, int, "an integer"))

    def items(self, key: str) -> list[Any]:
        """A list."""
        return list(self._typed(key, list, "a list"))

    def object(self, key: str) -> Row:
        """An object, named by its key in messages."""
        values = self._typed(key, dict, "an object")
        origin = f"{self.origin}: {key}" if self.origin else key
        return Row(values, origin, problems=self.problems)

    def objects(self, key: str, what: str) -> Iterator[Row]:
        """The objects of a list, each named ``what`` and its number in messages."""
        for number, item in enumerate(self.items(key), start=1):
            origin = f"{self.origin}: {what} {number}"
            if not isinstance(item, dict):
                raise DataError(f"{origin}: expected an object, got {shown(item)}")
            yield Row(item, origin, problems=self.problems)

    def error(self, message: str) -> DataError:
        """What is wrong with this row."""
        return DataError(f"{self.origin}: {message}" if self.origin else message)

    def _typed(self, key: str, kind: type, name: str) -> Any:
        value = self.value(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(f'expected {name} for "{key}", got {shown(value)}')
        return value


def shorten(text: str, length: int = SHOWN) -> str:
    """The beginning of a text, for a message."""
    return text if len(text) <= length else text[: length - 1] + "…"


def shown(value: Any) -> str:
    """The beginning of a value as JSON, for a message."""
    return shorten(dumps(value))


def parse_object(text: str, origin: str) -> dict[str, Any]:
    """The JSON object in ``text``; DataError with ``origin`` when it is not one.

    A number that is not finite, a key that stands twice and more than 64 levels are
    not JSON to us.
    """
    try:
        value = parse_json(text)
    except NotJson as error:
        value, reason = None, f" ({error})"
    else:
        reason = ""
    if not isinstance(value, dict):
        raise DataError(
            f"{origin}: expected a JSON object, got {shorten(text.strip())!r}{reason}"
        )
    return value
