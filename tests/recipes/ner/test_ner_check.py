"""The report of ``data check``: counted by hand on a small file, then on real ones."""

import json
from itertools import pairwise
from types import SimpleNamespace

import pytest

from nlpcli.recipes.ner.form import NerForm
from nlpcli.records.check import check

FORM = NerForm()


class PairTokenizer:
    """A piece every two characters."""

    def encode_batch(self, texts):
        return [SimpleNamespace(token_ids=[0] * -(-len(text) // 2)) for text in texts]


def person(start, end, label="PER"):
    return {"start": start, "end": end, "label": label}


ROWS = [
    {"text": "王明在北京", "entities": [person(0, 2), person(3, 5, "LOC")]},
    {"text": "王明走了", "entities": [person(0, 2)]},
    "{broken",
    {"text": "王明走了", "entities": [person(0, 2)]},
    {"text": "王明走了", "entities": []},
    {"text": "", "entities": []},
    {"text": "李小红来了", "entities": [person(0, 9)]},
    {"text": "李小红" * 10, "entities": [person(0, 3)]},
]


@pytest.fixture
def path(tmp_path):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in ROWS]
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_every_count_of_a_small_file(path):
    report = check(FORM, path, max_length=7)
    assert json.loads(json.dumps(report)) == report
    assert report["format"] == "jsonl"
    assert (report["lines"], report["examples"]) == (8, 6)
    assert [line.partition("train.jsonl:")[2][:2] for line in report["bad_lines"]] == [
        "3:", "7:",
    ]  # fmt: skip
    assert report["entities"] == 5
    assert (report["empty"], report["without_entities"], report["nested"]) == (1, 2, 0)
    assert report["labels"] == [
        {"label": "PER", "count": 4, "distinct": 2, "mean_length": 2.25},
        {"label": "LOC", "count": 1, "distinct": 1, "mean_length": 2.0},
    ]
    [duplicate], [conflict] = report["duplicates"], report["conflicts"]
    assert duplicate["line"].endswith(":4")
    assert duplicate["first"].endswith(":2")
    assert conflict["line"].endswith(":5")
    assert conflict["first"].endswith(":2")
    assert report["windows"] == {
        "unit": "characters",
        "max_length": 7,
        "longer": 1,
        "then": "train cuts those in windows",
    }
    lengths = report["lengths"]
    assert (lengths["longest"], lengths["median"]) == (30, 4)
    assert lengths["longest_line"].endswith(":8")
    assert lengths["mean"] == pytest.approx(47 / 6)
    assert sum(one["count"] for one in lengths["histogram"]) == 6
    assert report["tokens"] is None


def test_with_a_tokenizer_windows_are_counted_in_its_pieces(path):
    report = check(FORM, path, max_length=16, tokenizer=PairTokenizer())
    assert report["windows"]["unit"] == "tokens"
    assert (report["windows"]["max_length"], report["windows"]["longer"]) == (16, 1)
    assert report["tokens"]["longest"] == 15
    assert report["lengths"]["longest"] == 30
    report = check(FORM, path, max_length=17, tokenizer=PairTokenizer())
    assert report["windows"]["longer"] == 0


def test_limit_stops_early(path):
    assert check(FORM, path, limit=2)["examples"] == 2


def test_a_file_of_bad_lines_only_has_a_report(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text("{\n", encoding="utf-8")
    report = check(FORM, path)
    assert (report["examples"], len(report["bad_lines"])) == (0, 1)
    assert report["lengths"]["mean"] is None
    assert report["labels"] == []


def test_bad_bytes_are_listed_among_the_bad_lines(path):
    path.write_bytes(path.read_bytes() + b'{"text": "\xff"}\n')
    report = check(FORM, path, max_length=7)
    assert (report["lines"], report["examples"]) == (9, 6)
    assert "train.jsonl:9: expected UTF-8" in report["bad_lines"][-1]


def test_columns_are_checked_too(tmp_path):
    path = tmp_path / "dev.txt"
    path.write_text("王 B-PER\n明 E-PER\n在 O\n\n北 O\n京\n", encoding="utf-8")
    report = check(FORM, path)
    assert report["format"] == "BMES"
    assert (report["examples"], report["entities"], report["lines"]) == (1, 1, 6)
    assert len(report["bad_lines"]) == 1


def test_nested_entities_are_counted_when_allowed(shared):
    path = shared("datasets/ner/cluener.train.jsonl.gz")
    report = check(NerForm(nested=True), path)
    assert (report["examples"], report["entities"], report["nested"]) == (
        9715,
        21729,
        1,
    )
    assert len(report["labels"]) == 10
    histogram = report["lengths"]["histogram"]
    assert sum(one["count"] for one in histogram) == 9715
    for before, after in pairwise(histogram):
        assert after["from"] == before["to"] + 1
