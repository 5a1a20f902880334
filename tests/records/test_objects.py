"""JSON objects of a file: on a line, over several, in a list, broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nlpcli.errors import DataError
from nlpcli.records import objects
from nlpcli.records.lines import Lines
from nlpcli.records.objects import json_objects

ROWS = [{"a": "{"}, {"b": {"c": [1, {"d": '}\\"{'}]}}, {"e": []}]


def read(path: Path, text: str) -> list[Any]:
    path.write_text(text, "utf-8")
    with Lines(path) as lines:
        return list(json_objects(lines))


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("\n".join(json.dumps(row) for row in ROWS), [1, 2, 3]),
        ("\n\n".join(json.dumps(row) for row in ROWS) + "\n", [1, 3, 5]),
        (json.dumps(ROWS), [1, 1, 1]),
        ("[\n" + ",\n".join(json.dumps(row) for row in ROWS) + "\n]\n", [2, 3, 4]),
        (", ".join(json.dumps(row) for row in ROWS), [1, 1, 1]),
        ('{\n"a":\n"{"}\n{"b":{"c":[1,\n {"d": 2}]}}', None),
        ('{\n"a": "{"\n}\n' + json.dumps(ROWS[1]) + '\n{"e":\n[]\n}', [1, 4, 5]),
    ],
)
def test_objects_and_their_places(
    tmp_path: Path, text: str, places: list[int] | None
) -> None:
    path = tmp_path / "a.json"
    found = read(path, text)
    if places is None:  # a line that opens an object is one, whatever is unfinished
        assert [isinstance(item, DataError) for item in found] == [False, True, True]
        return
    assert [dict(item.values) for item in found] == ROWS
    assert [item.origin for item in found] == [f"{path}:{place}" for place in places]


@pytest.mark.parametrize(
    ("broken", "errors", "told"),
    [
        ("?", 1, "expected a JSON object, got '?'"),
        ('{"a": "', 1, "Unterminated string"),
        ('{\n"a": "}\n"b": 1}', 1, "Invalid control character"),
        ('{"a": {', 1, "Expecting property name"),
        ('{"a": 1} "b"', 1, "Extra data"),
        ("}\n}", 2, "got '}'"),
        ("[1, 2]", 1, "Extra data"),
        ('{"a": NaN}', 1, "NaN is no finite number"),
        ('{"a": -Infinity}', 1, "-Infinity is no finite number"),
        ('{"a": 1, "a": 1}', 1, "the name 'a' stands twice"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", 1, "nested deeper than 64"),
        ('{"a": ' + "[" * 100_000, 1, "expected a JSON object"),
        ('{"a": "' + '\\"' * 9 + "\\", 1, "expected a JSON object"),
    ],
)
def test_behind_a_broken_one_it_goes_on(
    tmp_path: Path, broken: str, errors: int, told: str
) -> None:
    path = tmp_path / "a.json"
    first, *bad, last = read(path, f'{{"a": 1}}\n{broken}\n{{"b": 2}}\n')
    assert (first.values, last.values) == ({"a": 1}, {"b": 2})
    assert len(bad) == errors
    assert isinstance(bad[0], DataError)
    assert str(bad[0]).startswith(f"{path}:2: ")
    assert told in str(bad[0])


@pytest.mark.parametrize("end", ["}", '"x": }'])
def test_each_line_is_parsed_once_or_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """An object over many lines that end as objects do, whole or broken."""
    parsed: list[int] = []
    parse = objects.parse_json
    monkeypatch.setattr(
        objects, "parse_json", lambda text: parsed.append(len(text)) or parse(text)
    )
    inner = [f'"{number}": {{"a": 1}},' for number in range(2000)]
    text = "\n".join(["{", *inner, '"b": 2', end])
    found = read(tmp_path / "a.json", text)
    assert len(found) == 1
    assert isinstance(found[0], DataError) == (end != "}")
    assert sum(parsed) <= 2 * len(text)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "text", ['{"a": "' + '\\"' * 100_000 + "\\", '"' * 100_001, "{" * 100_000]
)
def test_evil_lines_are_read_quickly(tmp_path: Path, text: str) -> None:
    (found,) = read(tmp_path / "a.json", text)
    assert isinstance(found, DataError)
