"""One line as an object: typed keys with their messages, and what is no JSON to us."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError
from nlpcli.files.json_file import DEEPEST
from nlpcli.files.json_text import dumps
from nlpcli.records.row import Row, parse_object

VALUES = {
    "text": " 王 ",
    "blank": " \u3000",
    "number": 3,
    "yes": True,
    "share": 0.5,
    "nothing": None,
    "list": [1],
    "object": {"a": 1},
}
ROW = Row(VALUES, "a.jsonl:12")


def test_typed_keys():
    assert ROW.string("text") == " 王 "
    assert ROW.string("blank") == " \u3000"
    assert ROW.text("text") == "王"
    assert ROW.integer("number") == 3
    assert ROW.items("list") == [1]
    assert ROW.value("nothing") is None
    assert (ROW.get("number"), ROW.get("none"), ROW.get("none", 7)) == (3, None, 7)
    assert "nothing" in ROW and "none" not in ROW


@pytest.mark.parametrize(
    ("getter", "key", "told"),
    [
        ("string", "number", 'expected a string for "number", got 3'),
        ("string", "nothing", 'expected a string for "nothing", got null'),
        ("text", "object", 'expected a string for "object", got {"a": 1}'),
        ("text", "blank", 'expected text for "blank", got none'),
        ("integer", "text", 'expected an integer for "text", got " 王 "'),
        ("integer", "yes", 'expected an integer for "yes", got true'),
        ("integer", "share", 'expected an integer for "share", got 0.5'),
        ("items", "object", 'expected a list for "object", got {"a": 1}'),
    ],
)
def test_a_value_of_another_type_says_what_came(getter, key, told):
    with pytest.raises(DataError) as caught:
        getattr(ROW, getter)(key)
    assert str(caught.value) == f"a.jsonl:12: {told}"


@pytest.mark.parametrize("getter", ["value", "string", "text", "integer", "items"])
def test_a_missing_key_says_which_are_there(getter):
    row = Row({"body": 1, "title": 2}, "f:1", hint=" (or convert it)")
    with pytest.raises(DataError) as caught:
        getattr(row, getter)("text")
    assert str(caught.value) == (
        'f:1: expected the key "text", got the keys "body", "title" (or convert it)'
    )
    with pytest.raises(
        DataError, match=r'^expected the key "text", got the keys none$'
    ):
        getattr(Row({}), getter)("text")


def test_one_of_several_keys_may_be_missing():
    told = str(Row({"a": 1}, "f:1").missing("text", "turns"))
    assert told == 'f:1: expected the key "text" or "turns", got the keys "a"'


def test_keys_may_have_other_names_in_the_file():
    row = Row({"message": "王", "text": 3}, "f:1", names={"text": "message"})
    assert row.string("text") == row.get("text") == "王"
    assert "text" in row
    other = Row({"text": "王"}, "f:1", names={"text": "message"})
    assert "text" not in other
    with pytest.raises(
        DataError, match='expected the key "message", got the keys "tex'
    ):
        other.string("text")


def test_objects_of_a_list_have_their_numbers():
    problems = []
    row = Row({"spans": [{"a": 1}, {"a": "x"}]}, "f:3", problems=problems)
    first, second = row.objects("spans", "span")
    assert first.integer("a") == 1
    with pytest.raises(DataError, match=r'^f:3: span 2: expected an integer for "a"'):
        second.integer("a")
    assert first.problems is problems, "what is wrong inside is told of the line"
    with pytest.raises(
        DataError, match=r"^f:3: span 1: expected an object, got \[2\]$"
    ):
        list(Row({"spans": [[2]]}, "f:3").objects("spans", "span"))


def test_what_is_shown_of_a_value_is_short():
    row = Row({"text": ["长" * 1000], "k" * 1000: 1}, "f:1")
    for error in (lambda: row.string("text"), lambda: row.string("none")):
        with pytest.raises(DataError) as caught:
            error()
        assert len(str(caught.value)) < 150 and "…" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{broken", "'{broken' (Expecting property name enclosed in double quotes, "),
        ("[1]", "'[1]'"),
        ("3", "'3'"),
        ('{"a": NaN}', "'{\"a\": NaN}' (NaN is no finite number)"),
        ('{"a": -Infinity}', "'{\"a\": -Infinity}' (-Infinity is no finite number)"),
        ('{"a": 1} {', "'{\"a\": 1} {' (Extra data, column 10)"),
        ("[" * 100_000, f"'{'[' * 39}…' ("),
        ('{"a": 1e999}', "'{\"a\": 1e999}' (1e999 is no finite number)"),
        ('{"a": -1e999}', "(-1e999 is no finite number)"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "(the name 'b' stands twice)"),
        ('{"' + "长" * 1000 + '": 1, "' + "长" * 1000 + '": 1}', "stands twice)"),
        ('{"a": ' + "1" * 5000 + "}", "(Exceeds the limit"),
        ("\t\x1b[2J", "'\\x1b[2J' (Expecting value, column 2)"),
    ],
)
def test_a_bad_object_is_one_short_line(text, shown):
    with pytest.raises(DataError) as caught:
        parse_object(text, "train.jsonl:1042")
    message = str(caught.value)
    assert message.startswith("train.jsonl:1042: expected a JSON object, got ")
    assert shown in message
    assert "\n" not in message and len(message) < 250


@pytest.mark.parametrize("kind", ["[", '{"a":'])
def test_how_deep_an_object_may_be(kind):
    def nested(levels):
        inside = kind * (levels - 1)
        return f'{{"a": {inside}{"null" if kind != "[" else ""}' + (
            ("]" if kind == "[" else "}") * (levels - 1) + "}"
        )

    assert parse_object(nested(DEEPEST), "f:1")
    with pytest.raises(DataError, match=rf"\(nested deeper than {DEEPEST} levels\)"):
        parse_object(nested(DEEPEST + 1), "f:1")
    flat = dumps({"a": [[]] * 1000, "b": "[{" * 1000})
    assert parse_object(flat, "f:1"), "many are not deep"


def test_numbers_that_are_fine():
    row = parse_object('{"a": 1e308, "b": -0.0, "c": 1e-999, "d": 7}', "f:1")
    assert row == {"a": 1e308, "b": 0.0, "c": 0.0, "d": 7}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(text=st.text(st.characters(categories=["L", "Cs", "Cc", "So"])), value=values)
def test_what_is_written_is_read(text, value):
    paired = json.loads(json.dumps(text))  # surrogates that make a pair become one
    line = dumps({"text": paired, "value": value})
    assert parse_object(line.encode("utf-8").decode(), "f:1")["text"] == paired
    assert "\n" not in line
