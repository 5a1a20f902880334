"""Reading, converting and checking files of couplets."""

import gzip
import json

import pytest

from nlpcli.cli.data_report import report_text
from nlpcli.errors import DataError, NotFoundError, UsageError
from nlpcli.recipes.couplet.form import CoupletForm
from nlpcli.records.check import check
from nlpcli.records.convert import convert
from nlpcli.records.read import read
from nlpcli.text.tokenizers.load import tiny_tokenizer

FORM = CoupletForm()

GOOD = {"first": "海内存知己", "second": "天涯若比邻"}


def write(path, *rows):
    path.write_text(
        "".join(
            (r if isinstance(r, str) else json.dumps(r, ensure_ascii=False)) + "\n"
            for r in rows
        ),
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"first": "海内", "second": "天"}, "one length, got 2 and 1 characters"),
        ({"first": "", "second": "天"}, 'text for "first", got none'),
        ({"first": " ", "second": " "}, 'text for "first", got none'),
        ({"first": "天"}, 'expected the key "second", got the keys "first"'),
        ({"first": "天", "second": 1}, 'expected a string for "second", got 1'),
        ({"first": "天", "second": None}, "got null"),
        ("[1]", "expected a JSON object"),
        ("{", "expected a JSON object"),
    ],
)
def test_bad_rows_come_in_place(tmp_path, row, message):
    path = write(tmp_path / "a.jsonl", GOOD, row, "", GOOD)
    one, bad, other = read(FORM, path)
    assert (
        (one.first, one.second)
        == ("海内存知己", "天涯若比邻")
        == (
            other.first,
            other.second,
        )
    )
    assert isinstance(bad, DataError)
    assert str(bad).startswith(f"{path}:2: ")
    assert message in str(bad)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\xfe\n")
    _, bad = read(FORM, path)
    assert "expected UTF-8" in str(bad)


def test_empty_and_missing_files(tmp_path):
    with pytest.raises(DataError, match="empty file"):
        list(read(FORM, write(tmp_path / "a.jsonl", "")))
    with pytest.raises(NotFoundError):
        list(read(FORM, tmp_path / "none.jsonl"))


def test_spaces_inside_a_side_do_not_count(tmp_path):
    path = write(tmp_path / "a.jsonl", {"first": "海 内", "second": "天涯\u3000"})
    (example,) = read(FORM, path)
    assert (example.first, example.second) == ("海内", "天涯")


def rows_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("given", ["", "in.txt", "out.txt"])
def test_convert_pairs(tmp_path, given):
    write(tmp_path / "in.txt", "海 内 存 知 己", "春 风 , 到")
    write(tmp_path / "out.txt", "天 涯 若 比 邻", "秋 月 , 来")
    report = convert(FORM, tmp_path / given, tmp_path / "all.jsonl")
    assert report["examples"] == 2
    assert rows_of(tmp_path / "all.jsonl") == [
        GOOD,
        {"first": "春风,到", "second": "秋月,来"},
    ]


def test_convert_gzipped_pairs(tmp_path):
    for name, text in (("in.txt.gz", "海 内\n"), ("out.txt.gz", "天 涯\n")):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    convert(FORM, tmp_path, tmp_path / "all.jsonl.gz")
    (example,) = read(FORM, tmp_path / "all.jsonl.gz")
    assert example.first == "海内"


def test_convert_pairs_of_different_length(tmp_path):
    write(tmp_path / "in.txt", "海 内", "天", "地")
    write(tmp_path / "out.txt", "天 涯", "天 地")
    with pytest.raises(DataError, match=r"in\.txt:2: .* got 1 and 2 characters"):
        convert(FORM, tmp_path, tmp_path / "all.jsonl")
    assert not (tmp_path / "all.jsonl").exists()
    report = convert(FORM, tmp_path, tmp_path / "all.jsonl", skip_bad=True)
    assert (report["examples"], report["skipped"]) == (1, 2)


def test_convert_columns_and_json_lines(tmp_path):
    source = write(tmp_path / "a.tsv", "海内存知己\t天涯若比邻", "天\t地\t人")
    report = convert(FORM, source, tmp_path / "b.jsonl", skip_bad=True)
    assert (report["from"], report["examples"], report["skipped"]) == ("columns", 1, 1)
    assert convert(FORM, tmp_path / "b.jsonl", tmp_path / "c.jsonl")["from"] == "jsonl"
    assert rows_of(tmp_path / "c.jsonl") == [GOOD]


def test_convert_refuses(tmp_path):
    source = write(tmp_path / "a.jsonl", GOOD)
    with pytest.raises(UsageError, match="exists already"):
        convert(FORM, source, source)
    with pytest.raises(NotFoundError, match="no folder"):
        convert(FORM, source, tmp_path / "no" / "b.jsonl")
    with pytest.raises(DataError, match=r"expected in\.txt beside"):
        convert(FORM, write(tmp_path / "b.txt", "海内存知己"), tmp_path / "c.jsonl")
    bad_first = write(tmp_path / "d.txt", "[1]", GOOD)
    with pytest.raises(DataError, match=r"d\.txt: expected in\.txt .* got '\[1\]'"):
        convert(FORM, bad_first, tmp_path / "c.jsonl", skip_bad=True)
    report = convert(
        FORM, bad_first, tmp_path / "d.jsonl", source_format="jsonl", skip_bad=True
    )
    assert (report["examples"], report["skipped"]) == (1, 1)
    with pytest.raises(DataError, match="empty file"):
        convert(FORM, write(tmp_path / "e.txt", ""), tmp_path / "c.jsonl")
    with pytest.raises(NotFoundError, match=r"out\.txt"):
        convert(FORM, write(tmp_path / "in.txt", "海"), tmp_path / "c.jsonl")


def test_check_counts(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        GOOD,
        GOOD,
        {"first": "海内存知己", "second": "天涯若比海"},
        {"first": "天天", "second": "上下"},
        {"first": "天", "second": "上下"},
    )
    report = check(FORM, path, max_length=8, tokenizer=tiny_tokenizer())
    assert report["examples"] == 4
    assert len(report["bad_lines"]) == 1
    assert report["formed"] == 0.5
    broken = {row["broken rule"]: row["couplets"] for row in report["labels"]}
    assert broken == {"marks": 0, "repetition": 1, "sharing": 1}
    assert [len(report[k]) for k in ("duplicates", "conflicts")] == [1, 1]
    assert report["windows"]["longer"] == 3
    assert report["unknown"] == 0.0
    assert sum(b["count"] for b in report["lengths"]["histogram"]) == 4
    json.dumps(report)
    assert "marks" in report_text(report)


def test_check_of_nothing_good(tmp_path):
    report = check(FORM, write(tmp_path / "a.jsonl", "{}"))
    assert report["examples"] == 0
    assert report_text(report)
