"""Files that are one JSON value, or an object a line."""

import pytest

from nlpcli.errors import DataError
from nlpcli.records.lines import Lines
from nlpcli.records.read import json_values


def values(path, text):
    path.write_text(text, encoding="utf-8")
    with Lines(path) as lines:
        whole, found = json_values(lines)
        return whole, [(origin.removeprefix(str(path)), v) for origin, v in found]


def test_one_value_and_one_a_line(tmp_path):
    path = tmp_path / "a.json"
    assert values(path, '{"a":\n[1]}\n') == (True, [("", {"a": [1]})])
    assert values(path, "[1,\n2]") == (True, [("", [1, 2])])
    assert values(path, '{"a": 1}') == (True, [("", {"a": 1})])
    whole, found = values(path, '\n{"a": 1}\n\n{"a"\n{"a": 3}\n')
    assert not whole
    assert [origin for origin, _ in found] == [":2", ":4", ":5"]
    assert isinstance(found[1][1], DataError)
    assert [found[0][1], found[2][1]] == [{"a": 1}, {"a": 3}]


@pytest.mark.parametrize("text", ["", "\n", "3", "一", '{"a": ', '{"a": NaN,\n"b": 1}'])
def test_neither(tmp_path, text):
    with pytest.raises(DataError, match=r"a\.json: expected"):
        values(tmp_path / "a.json", text)
