"""How a text is put to a language model: a sentence with places to be filled."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nlpcli.records.row import Row

_PLACE = re.compile(r"\{([^\W\d]\w*)\}")
_LIKE_ONE = re.compile(r"\{[^\W\d][^{}\s\"':,]*\}|\{\}")
_ANSWER = "answer"


@dataclass(frozen=True)
class Template:
    """``head`` is what stands before the answer, ``tail`` what stands behind it."""

    head: str
    tail: str

    @classmethod
    def of(cls, text: str) -> Template:
        """A template with one {answer}."""
        head, tail = text.split(f"{{{_ANSWER}}}")
        return cls(head, tail)

    @property
    def keys(self) -> tuple[str, ...]:
        """What is asked of a line."""
        return tuple(dict.fromkeys(_PLACE.findall(self.head + self.tail)))

    def before(self, row: Row) -> str:
        """What stands before the answer; raises DataError."""
        return _filled(self.head, row)

    def behind(self, row: Row) -> str:
        """What stands behind it."""
        return _filled(self.tail, row)


def template_problem(text: str) -> str | None:
    """What is wrong with a template."""
    count = _PLACE.findall(text).count(_ANSWER)
    if count != 1:
        return f"expected {{{_ANSWER}}} once, got {count} in {text!r}"
    if strange := next(_LIKE_ONE.finditer(_PLACE.sub("", text)), None):
        return f"expected keys in braces such as {{text}}, got {strange[0]} in {text!r}"
    if not Template.of(text).keys:
        return f"expected {{text}} or another key of a line, got none in {text!r}"
    return None


def answer_of(row: Row) -> str:
    """The answer of a solved example."""
    key = next((key for key in (_ANSWER, "label") if key in row), None)
    if key is None:
        raise row.missing(_ANSWER, "label")
    return row.string(key)


def _filled(text: str, row: Row) -> str:
    return _PLACE.sub(lambda place: row.string(place[1]), text)
