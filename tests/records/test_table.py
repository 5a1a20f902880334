"""Columns between tabs."""

import gzip

import pytest

from nlpcli.errors import DataError
from nlpcli.records.convert import convert
from nlpcli.records.lines import Lines
from nlpcli.records.read import read
from nlpcli.records.table import columns, is_table, read_table
from tests.records.notes import NoteForm

NAMES = {"text", "label"}


@pytest.mark.parametrize(
    ("first", "keys"),
    [
        ("id\tquery\tlabel", ["id", "query", "label"]),
        ("text\ttext\tlabel", ["text_a", "text_b", "label"]),
    ],
)
def test_a_header_names_the_columns_when_it_tells_them_apart(tmp_path, first, keys):
    path = tmp_path / "data.tsv"
    path.write_text(f"{first}\n甲\t乙\t1\n", "utf-8")
    with Lines(path) as lines:
        (row,) = read_table(lines, {"label"})
    assert dict(row.values) == dict(zip(keys, ["甲", "乙", "1"], strict=True))
    assert row.origin == f"{path}:2"


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(path, names=NAMES):
    with Lines(path) as lines:
        return list(read_table(lines, names))


def values_of(path, names=NAMES):
    return [dict(row.values) for row in rows_of(path, names)]


@pytest.mark.parametrize(
    "head", ["text\tlabel", "TEXT\tLabel", " text \tlabel ", "text\t\u3000label"]
)
def test_a_header_in_any_case(tmp_path, head):
    path = write(tmp_path / "a.tsv", f"\n{head}\n甲\t1\n")
    assert values_of(path) == [{"text": "甲", "label": "1"}]
    assert rows_of(path)[0].origin == f"{path}:3"


def test_a_header_may_name_more_than_is_wanted(tmp_path):
    path = write(tmp_path / "a.tsv", "qid\ttext\tlabel\n7\t甲\t1\n")
    assert values_of(path) == [{"qid": "7", "text": "甲", "label": "1"}]


def test_text_a_alone_is_the_text(tmp_path):
    path = write(tmp_path / "a.tsv", "label\ttext_a\n1\t很好\n")
    assert values_of(path) == [{"label": "1", "text": "很好"}]
    path = write(tmp_path / "b.tsv", "label\ttext_a\ttext_b\n1\t甲\t乙\n")
    assert values_of(path) == [{"label": "1", "text_a": "甲", "text_b": "乙"}]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("甲\t乙\t1", {"text_a": "甲", "text_b": "乙", "label": "1"}),
        ("9\t甲\t乙\t1", {"text_a": "甲", "text_b": "乙", "label": "1"}),
        ("x\t9\t甲\t乙\t1", {"text_a": "甲", "text_b": "乙", "label": "1"}),
    ],
)
def test_three_columns_and_more_are_a_pair_and_its_label(tmp_path, line, values):
    (found,) = values_of(write(tmp_path / "a.tsv", f"{line}\n"))
    assert found.items() >= values.items()
    assert len(found) == len(line.split("\t"))


@pytest.mark.parametrize("first", ["label", "text"])
def test_of_two_columns_the_label_has_fewer_values(tmp_path, first):
    texts, labels = ["很好", "不好", "一般", "很好吃"], ["1", "0", "0", "1"]
    pairs = list(zip(texts, labels, strict=True))
    lines = [f"{y}\t{x}" if first == "label" else f"{x}\t{y}" for x, y in pairs]
    path = write(tmp_path / "a.tsv", "\n".join(lines))
    assert values_of(path) == [{"text": x, "label": y} for x, y in pairs]


def test_where_both_have_as_many_the_text_comes_first(tmp_path):
    path = write(tmp_path / "a.tsv", "甲\t1\n乙\t0\n")
    assert values_of(path) == [
        {"text": "甲", "label": "1"},
        {"text": "乙", "label": "0"},
    ]


def test_lines_of_another_width_do_not_tell_which_is_the_label(tmp_path):
    content = "1\t甲\n0\t乙\n1\t丙\n" + "".join(f"{i}\n" for i in range(9))
    rows = rows_of(write(tmp_path / "a.tsv", content))
    assert [row.get("label") for row in rows[:3]] == ["1", "0", "1"]
    assert all(isinstance(row, DataError) for row in rows[3:])


def test_quotes_are_data(tmp_path):
    content = 'text\tlabel\n"甲\t1\n他说"好"\t\'0\'\n"乙"\t1\n""丙""\t"\n'
    assert values_of(write(tmp_path / "a.tsv", content)) == [
        {"text": '"甲', "label": "1"},
        {"text": '他说"好"', "label": "'0'"},
        {"text": '"乙"', "label": "1"},
        {"text": '""丙""', "label": '"'},
    ]


def test_a_wrong_number_of_cells_is_a_bad_line_in_its_place(tmp_path):
    content = "text\tlabel\n甲\t1\n乙\n丙\t1\t2\n\n \n丁\t0\n戊\t\n"
    path = write(tmp_path / "a.tsv", content)
    first, few, many, last, empty = rows_of(path)
    told = "expected 2 columns between tabs, as the first line has, got"
    assert str(few) == f"{path}:3: {told} 1"
    assert str(many) == f"{path}:4: {told} 3"
    assert (first.get("text"), last.get("text")) == ("甲", "丁")
    assert dict(empty.values) == {"text": "戊", "label": ""}, "the form says what it is"


@pytest.mark.parametrize("head", ["text\tlabel\n", ""])
def test_mark_line_ends_and_gzip(tmp_path, head):
    content = f"\ufeff{head}甲乙\t1\n丙丁\t1\n".replace("\n", "\r\n").encode()
    wanted = [{"text": "甲乙", "label": "1"}, {"text": "丙丁", "label": "1"}]
    assert values_of(write(tmp_path / "a.tsv", content)) == wanted
    assert values_of(write(tmp_path / "a.gz", gzip.compress(content))) == wanted


def test_a_line_that_is_no_text_stays_in_its_place(tmp_path):
    path = write(tmp_path / "a.tsv", b"text\tlabel\n\xff\t1\n\xe7\x94\xb2\t0\n")
    bad, good = rows_of(path)
    assert "a.tsv:2: expected UTF-8, got byte 0xff" in str(bad)
    assert good.get("text") == "甲"
    path = write(tmp_path / "b.tsv", b"\xff\n\xe7\x94\xb2\t0\n\xe4\xb9\x99\t0\n")
    bad, first, _ = rows_of(path)
    assert isinstance(bad, DataError) and first.get("label") == "0"


@pytest.mark.parametrize(
    ("content", "table"),
    [
        ("甲\t1\n", True),
        ("\n\n甲\t1\n", True),
        ('{"text": "甲\\t乙"}\n', False),
        ('{"text":\t"甲"}\n', False),
        ("甲,1\n", False),
        ("", False),
    ],
)
def test_what_is_a_table(tmp_path, content, table):
    with Lines(write(tmp_path / "a", content)) as lines:
        assert is_table(lines) is table


def test_a_table_is_a_format_of_a_form_that_training_reads(tmp_path):
    class Table(NoteForm):
        @property
        def published(self):
            return {"columns": columns(self, {"text"})}

    path = write(tmp_path / "a.tsv", "text\tid\n甲\t1\ndull\t2\n乙\n")
    good, dull, short = read(Table(), path)
    assert (good.text, good.origin) == ("甲", f"{path}:2")
    assert str(dull) == f"{path}:3: expected more than dull"
    assert f"{path}:4: expected 2 columns" in str(short)
    path = write(tmp_path / "b.tsv", "id\ttext\n1\t甲\n")
    assert convert(Table(), path, tmp_path / "b.jsonl")["from"] == "columns"
