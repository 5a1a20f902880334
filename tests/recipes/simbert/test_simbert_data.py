"""Files of synonyms and pairs: what is read, what is refused, with line numbers."""

import gzip
import json

import pytest

from nlpcli.errors import DataError, UsageError
from nlpcli.files.json_text import dumps
from nlpcli.recipes.simbert.form import SimilarityExample, SimilarityForm
from nlpcli.records.check import check
from nlpcli.records.convert import convert
from nlpcli.records.read import read
from nlpcli.text.tokenizers.load import tiny_tokenizer

FORM = SimilarityForm()


def write(folder, *lines, name="data.txt"):
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines), "utf-8")
    return path


def told(path):
    return [
        str(x) if isinstance(x, DataError) else (x.kind, x.texts, x.label)
        for x in read(FORM, path)
    ]


def test_all_shapes_of_json(tmp_path):
    rows = [
        {"text": "怎么还花呗", "synonyms": ["花呗如何还款", "怎么还花呗"]},
        {"text_a": " 甲 ", "text_b": "乙", "label": 1},
        {"a": "甲", "b": "乙", "label": 3.5},
        {"sentence1": "甲", "sentence2": "乙", "label": "0"},
        {"anchor": "甲", "positive": "乙", "negative": "丙"},
        {"text": "一个人"},
    ]
    path = write(tmp_path, *(json.dumps(row, ensure_ascii=False) for row in rows))
    assert told(path) == [
        ("group", ("怎么还花呗", "花呗如何还款"), None),
        ("pair", ("甲", "乙"), 1.0),
        ("pair", ("甲", "乙"), 3.5),
        ("pair", ("甲", "乙"), 0.0),
        ("triplet", ("甲", "乙", "丙"), None),
        ("group", ("一个人",), None),
    ]
    lines = [dumps(FORM.row(example)) for example in read(FORM, path)]
    again = write(tmp_path, *lines, name="again")
    assert told(again) == told(path), "the canonical form reads back"


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        (["甲\t乙\t1", "", "丙\t丁\t0"], 2),
        (["text_a\ttext_b\tlabel", "甲\t乙\t1"], 1),
        (["1\t甲\t乙\t1", "2\t丙\t丁\t0"], 2),
        (["id\tq1\tq2\tlabel", "1\t甲\t乙\t1"], 1),
        (["text\ttext\tScore", "甲\t乙\t1"], 1),
    ],
)
def test_columns_as_published(tmp_path, lines, count):
    found = told(write(tmp_path, *lines))
    assert len(found) == count and found[0] == ("pair", ("甲", "乙"), 1.0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("甲\t乙", ":2: expected 3 columns between tabs, as the first line has, got 2"),
        ("甲\t乙\t1\t1", ":2: expected 3 columns between tabs"),
        ("甲\t\t1", ':2: expected text for "text_b", got none'),
        ("甲\t乙\t是", ':2: expected a number for "label", got "是"'),
        ("甲\t乙\tnan", ':2: expected a number for "label"'),
    ],
)
def test_a_bad_line_of_columns_has_its_number(tmp_path, line, expected):
    path = write(tmp_path, "甲\t乙\t1", line, "丙\t丁\t0")
    first, bad, last = read(FORM, path)
    assert f"{path}{expected}" in str(bad) and first.texts and last.texts
    out = tmp_path / "out.jsonl"
    with pytest.raises(DataError, match=":2:"):
        convert(FORM, path, out)
    assert not out.exists()
    assert convert(FORM, path, out, skip_bad=True) == {
        "from": "columns",
        "to": "jsonl",
        "examples": 2,
        "groups": 0,
        "pairs": 2,
        "triplets": 0,
        "skipped": 1,
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "empty file"),
        (["", "  "], "empty file"),
        (["甲\t乙"], ":1: expected JSON Lines, or 3 columns"),
        (["只有一句"], ":1: expected JSON Lines, or 3 columns"),
    ],
)
def test_a_file_that_is_none(tmp_path, lines, expected):
    path = write(tmp_path, *lines)
    with pytest.raises(DataError, match=expected):
        list(read(FORM, path))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"question": "甲"}, "expected the keys"),
        ({"text": "甲", "synonyms": "乙"}, "expected a list"),
        ({"text": "甲", "synonyms": [3]}, "expected a string"),
        ({"text": "  "}, 'expected text for "text"'),
        ({"text_a": "甲", "text_b": "乙"}, 'number for "label", got none'),
        ({"text_a": "甲", "text_b": "乙", "label": True}, 'number for "label"'),
        ({"text_a": "甲", "text_b": "乙", "label": 10**400}, 'number for "label"'),
        ({"anchor": "甲", "positive": "乙"}, 'the key "negative"'),
    ],
)
def test_bad_objects(tmp_path, row, expected):
    (found,) = told(write(tmp_path, json.dumps(row, ensure_ascii=False)))
    assert expected in found


def test_what_is_synonymous():
    group = SimilarityExample(("甲", "乙", "丙"))
    assert group.synonyms() == [("甲", "乙"), ("乙", "丙"), ("丙", "甲")]
    assert SimilarityExample(("甲", "乙")).synonyms() == [("甲", "乙")]
    assert SimilarityExample(("甲",)).synonyms() == []
    assert SimilarityExample(("甲", "乙"), "pair", 0.0).synonyms() == []
    assert SimilarityExample(("甲", "乙"), "pair", 1.0).synonyms() == [("甲", "乙")]
    triplet = SimilarityExample(("甲", "乙", "丙"), "triplet")
    assert triplet.synonyms() == [("甲", "乙")]


def test_check_counts_groups_and_measures_each_text(tmp_path):
    rows = [{"text": "一" * 30, "synonyms": ["二" * 31, "三"]}, {"text": "四"}]
    path = write(tmp_path, *map(dumps, rows))
    report = check(FORM, path, max_length=64, tokenizer=tiny_tokenizer())
    assert (report["groups"], report["texts"], report["alone"]) == (2, 4, 1)
    assert report["synonym_pairs"] == 3 and report["labels"] == []
    assert report["lengths"]["longest"] == report["tokens"]["longest"] == 31
    assert report["windows"]["longer"] == 1, "30 is the share of a text"


def test_labels_are_told_in_the_order_of_their_values(tmp_path):
    path = write(tmp_path, *(f"甲{n}\t乙\t{n}" for n in (10, 2, 2.5, 1)))
    labels = check(FORM, path)["labels"]
    assert [row["label"] for row in labels] == ["1", "2", "2.5", "10"]


def test_check_and_convert_count(tmp_path):
    rows = ["甲\t乙\t1", "乙\t甲\t1", "甲\t乙\t0", "丙\t丁" + "长" * 40 + "\t0"]
    path = write(tmp_path, *rows)
    report = check(FORM, path, max_length=64)
    assert report["format"] == "columns" and report["pairs"] == 4
    assert [row["line"] for row in report["duplicates"]] == [f"{path}:2"]
    assert [row["line"] for row in report["conflicts"]] == [f"{path}:3"]
    assert report["labels"] == [{"label": "0", "pairs": 2}, {"label": "1", "pairs": 2}]
    assert report["synonym_pairs"] == 2 and report["windows"]["longer"] == 1
    out = tmp_path / "out.jsonl.gz"
    assert convert(FORM, path, out)["pairs"] == 4
    lines = gzip.decompress(out.read_bytes()).decode().splitlines()
    assert json.loads(lines[0]) == {"text_a": "甲", "text_b": "乙", "label": 1}
    with pytest.raises(UsageError, match="exists already"):
        convert(FORM, path, out)
