"""The report of ``check``: counted by hand, whatever the form is."""

import json
import os
import threading
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.cli.data_report import report_text
from nlpcli.errors import DataError
from nlpcli.records.check import check
from nlpcli.records.lengths import Lengths
from tests.records.notes import NoteForm

FORM = NoteForm()
ROWS = [
    {"text": "王明", "tags": ["a", "b"]},
    "{broken",
    {"text": "李小红", "tags": ["a"]},
    {"text": "王明", "tags": ["a", "b"]},
    {"text": "dull"},
    {"text": "王明", "tags": ["b", 7]},
    {"text": "王明", "tags": []},
    {"text": "", "tags": ["b"]},
    {"text": "dull"},
]


@pytest.fixture
def path(tmp_path):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in ROWS]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Tokenizer:
    """A piece every two characters; 王 is unknown to it."""

    vocab = SimpleNamespace(unk_id=1)

    def encode_batch(self, texts):
        return [SimpleNamespace(token_ids=[0] * -(-len(text) // 2)) for text in texts]

    def encode_characters(self, text):
        ids = np.array([int(c == "王") for c in text], np.int32)
        return SimpleNamespace(token_ids=ids)


def test_every_count_of_a_small_file(path):
    report = check(FORM, path, max_length=7)
    assert json.loads(json.dumps(report)) == report
    assert (report["file"], report["format"]) == (str(path), "jsonl")
    assert (report["lines"], report["examples"]) == (9, 6)
    assert (report["tags"], report["empty"], report["tagged"]) == (7, 1, 0.8333)
    assert report["unfit"] == {"too dull": 2}
    assert [bad.removeprefix(f"{path}:")[:2] for bad in report["bad_lines"]] == [
        "2:", "5:", "6:", "9:",
    ]  # fmt: skip
    assert report["bad_lines"][2] == f"{path}:6: expected a tag, got 7"
    assert report["duplicates"] == [{"line": f"{path}:4", "first": f"{path}:1"}]
    assert report["conflicts"] == [
        {"line": f"{path}:6", "first": f"{path}:1"},
        {"line": f"{path}:7", "first": f"{path}:1"},
    ]
    assert report["tokens"] is None and "unknown" not in report
    assert "too dull" in report_text(report)


def test_what_is_told_of_a_label(path):
    """Whole numbers summed, strings counted once, floats averaged, sizes measured."""
    most, other = check(FORM, path)["labels"]
    assert list(most)[:4] == ["tag", "count", "texts", "mean"]
    assert (most["tag"], most["count"], most["texts"]) == ("b", 4, 2)
    assert (other["tag"], other["count"], other["texts"]) == ("a", 3, 2)
    lengths = {"b": [2, 2, 2, 0], "a": [2, 3, 2]}
    for row in (most, other):
        sizes = lengths[row["tag"]]
        assert row["mean"] == pytest.approx(sum(sizes) / len(sizes))
        assert (row["median"], row["longest"]) == (2, max(sizes))


def test_labels_of_one_count_stand_in_their_order(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": "x", "tags": ["b", "c", "a"]}, {"text": "y", "tags": ["c"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert [row["tag"] for row in check(FORM, path)["labels"]] == ["c", "a", "b"]


def test_windows_hold_all_parts_and_a_special_token_around_each(path):
    """王明 with a and b: [CLS] 2 [SEP] 1 [SEP] 1 [SEP]; alone: [CLS] 2 [SEP]."""
    longer = [check(FORM, path, max_length=n)["windows"]["longer"] for n in range(3, 9)]
    assert longer == [6, 4, 4, 3, 2, 0]
    windows = check(FORM, path, max_length=7)["windows"]
    assert windows == {
        "unit": "characters",
        "max_length": 7,
        "longer": 2,
        "then": "they stay whole",
    }
    report = check(FORM, path, max_length=6, tokenizer=Tokenizer())
    assert report["windows"]["unit"] == "tokens"
    assert report["windows"]["longer"] == 2, "王明 is one piece"
    assert report["tokens"]["longest"] == 3, "special tokens are no pieces of a text"
    assert report["lengths"]["longest"] == 3


class ByCharacter(NoteForm):
    by_character = True


def test_unknown_characters_are_told_where_each_is_a_token(path):
    report = check(ByCharacter(), path, tokenizer=Tokenizer())
    # 18: 王明 four times, 李小红 once, and seven tags of one character
    assert report["tokens"]["mean"] == pytest.approx(18 / 6)
    assert report["unknown"] == round(4 / 18, 4)
    assert "unknown" not in check(ByCharacter(), path)
    assert "unknown" not in check(FORM, path, tokenizer=Tokenizer())


def test_a_limit_is_one_of_lines_read_and_the_rest_is_counted(path):
    report = check(FORM, path, limit=3)
    assert (report["examples"], len(report["bad_lines"])) == (2, 1)
    assert report["lines"] == 9


def test_a_limit_ends_on_a_pipe_without_an_end(path, tmp_path):
    pipe, line = tmp_path / "pipe", path.read_bytes().splitlines(keepends=True)[0]
    os.mkfifo(pipe)

    def write():
        with suppress(BrokenPipeError), pipe.open("wb") as stream:
            while True:
                stream.write(line * 1000)

    threading.Thread(target=write, daemon=True).start()
    report = check(FORM, pipe, limit=300)
    assert (report["examples"], report["lines"]) == (300, 300)


def test_marks_are_no_lines_of_data(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("// one\n王明 #a\n// two\n李\n", "utf-8")
    report = check(FORM, path, limit=2)
    assert (report["format"], report["examples"], report["lines"]) == (
        "plain text",
        2,
        4,
    )


def test_a_file_of_bad_lines_only_has_a_report(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{\n{"text": "dull"}\n', encoding="utf-8")
    report = check(ByCharacter(), path, tokenizer=Tokenizer())
    assert (report["examples"], len(report["bad_lines"])) == (0, 2)
    assert report["lengths"]["mean"] is report["unknown"] is None
    assert report["labels"] == [] == report["lengths"]["histogram"]
    assert report_text(report)


def test_more_than_a_batch_of_examples(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": "长" * (n % 50), "tags": ["x"]} for n in range(1000)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    report = check(FORM, path, tokenizer=Tokenizer(), max_length=20)
    assert report["examples"] == report["tags"] == 1000
    assert len(report["duplicates"]) == 950
    assert report["tokens"]["longest"] == 26  # 49 characters, and the tag's piece
    sizes = [-(-(n % 50) // 2) + 1 + 3 for n in range(1000)]
    assert report["windows"]["longer"] == sum(size > 20 for size in sizes)


def test_a_bug_of_a_reader_is_no_bad_line(tmp_path):
    class Broken(NoteForm):
        def facts(self, example):
            raise ZeroDivisionError

    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n', "utf-8")
    with pytest.raises(ZeroDivisionError):
        check(Broken(), path)
    with pytest.raises(DataError):
        check(FORM, tmp_path)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60))
def test_lengths_against_sorting(sizes):
    lengths = Lengths()
    for number, size in enumerate(sizes):
        lengths.add(size, str(number))
    report = lengths.report()
    ordered = sorted(sizes)
    assert report["mean"] == pytest.approx(sum(sizes) / len(sizes))
    assert report["longest"] == ordered[-1]
    assert report["longest_line"] == str(sizes.index(ordered[-1]))
    for name, share in (("median", 0.5), ("p95", 0.95)):
        assert sum(n <= report[name] for n in sizes) >= share * len(sizes)
        assert sum(n < report[name] for n in sizes) < share * len(sizes)
    counts = Counter()
    before = -1
    for row in report["histogram"]:
        assert row["from"] == before + 1 <= row["to"]
        before = row["to"]
        counts[row["from"]] = row["count"]
        assert row["count"] == sum(row["from"] <= n <= row["to"] for n in sizes)
    assert counts.total() == len(sizes)
    assert lengths.longer_than(100) == sum(n > 100 for n in sizes)
