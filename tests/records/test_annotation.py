"""Canonical rows into doccano and Label Studio, and back to the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.records.convert import convert
from nlpcli.records.doccano import doccano
from nlpcli.records.label_studio import label_studio
from nlpcli.records.read import read
from tests.records.annotated import (
    CLASSES,
    FORMATS,
    NER,
    NER_ROWS,
    ONE,
    SEVERAL,
    TEXT,
    TRIPLE_ROWS,
    TRIPLES,
    entities,
    jsonl,
    rows_of,
)

CASES = [(NER, NER_ROWS), (CLASSES, ONE), (CLASSES, SEVERAL), (TRIPLES, TRIPLE_ROWS)]


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(("form", "rows"), CASES, ids=["ner", "one", "several", "spo"])
def test_there_and_back(tmp_path, form, rows, to):
    source = jsonl(tmp_path / "a.jsonl", rows)
    report = convert(form, source, tmp_path / "b", to=to)
    assert (report["to"], report["examples"]) == (to, len(rows))
    assert rows_of(form, tmp_path / "b") == (rows, to)
    convert(form, tmp_path / "b", tmp_path / "c", to=to)
    assert (tmp_path / "c").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(
    ("name", "rows"),
    [("ner", NER_ROWS), ("classify", ONE), ("triple-extract", TRIPLE_ROWS)],
)
def test_there_and_back_by_the_command_line(tmp_path, name, rows, to):
    source = jsonl(tmp_path / "a.jsonl", rows)
    words = ["data", "convert", "--task", name]
    for more in ([source, "b.json", "--to", to], ["b.json", "c.jsonl", "--json"]):
        paths = [
            str(tmp_path / x) if str(x).startswith(("b", "c")) else str(x) for x in more
        ]
        result = CliRunner().invoke(app, [*words, *paths])
        assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["from"] == to
    assert (tmp_path / "c.jsonl").read_bytes() == source.read_bytes()


LABELS = st.sampled_from(["PER", "地点", "a b"])
TEXTS = st.text(st.sampled_from('王京a 😀\n\u3000\u0301"\\'), min_size=1, max_size=9)


@given(data=st.data())
@pytest.mark.parametrize("to", FORMATS)
def test_any_entities_survive(tmp_path_factory, to, data):
    text = data.draw(TEXTS)
    places = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(places, places, LABELS), max_size=4))
    found = sorted({(s, e, label) for s, e, label in spans if s < e})
    rows = [{"text": text, "entities": entities(*found)}]
    folder = tmp_path_factory.mktemp("any")
    convert(NER, jsonl(folder / "a.jsonl", rows), folder / "b", to=to)
    assert rows_of(NER, folder / "b")[0] == rows


def test_what_doccano_imports():
    row = {"id": 7, **NER_ROWS[0]}
    assert doccano(row) == {
        "id": 7,
        "text": TEXT,
        "label": [[0, 3, "人物"], [6, 8, "作品"]],
    }
    assert doccano(TRIPLE_ROWS[2]) == {
        "text": TEXT,
        "entities": [
            {"id": 0, "label": "图书作品", "start_offset": 6, "end_offset": 8},
            {"id": 1, "label": "object", "start_offset": 0, "end_offset": 3},
        ],
        "relations": [{"id": 0, "from_id": 0, "to_id": 1, "type": "作者"}],
    }
    assert doccano(ONE[1]) == {"text": "甲\t乙", "label": ["0"]}


def test_what_label_studio_imports():
    found = label_studio({"id": "x", **NER_ROWS[0]}, predicted=True)
    assert (
        found["data"] == {"id": "x", "text": TEXT} and list(found)[1] == "predictions"
    )
    first, _ = found["predictions"][0]["result"]
    value = {"start": 0, "end": 3, "text": "刘慈欣", "labels": ["人物"]}
    tags = {"from_name": "label", "to_name": "text"}
    assert first == {"id": "0", **tags, "type": "labels", "value": value}
    (annotated,) = label_studio(SEVERAL[0])["annotations"]
    (found,) = annotated["result"]
    assert found["value"] == {"choices": ["服务", "环境"]}


def test_a_subject_of_two_triples_is_one_region():
    rows = label_studio(TRIPLE_ROWS[0])["annotations"][0]["result"]
    marked = [row["value"]["text"] for row in rows if row["type"] == "labels"]
    assert marked == ["三体", "刘慈欣", "北京"]


@pytest.mark.parametrize(("form", "rows"), CASES, ids=["ner", "one", "several", "spo"])
def test_canonical_rows_are_no_annotations(tmp_path, form, rows):
    path = jsonl(tmp_path / "a.jsonl", [{**row, "data": {"n": 1}} for row in rows])
    assert rows_of(form, path) == (rows, "jsonl")


def test_training_reads_canonical_rows_only(tmp_path):
    path = jsonl(tmp_path / "a", [{"text": TEXT, "label": [[0, 3, "人物"]]}])
    (bad,) = read(NER, path)
    assert 'expected the key "entities", got the keys "text", "label"' in str(bad)


@pytest.mark.parametrize("to", FORMATS)
def test_the_format_may_be_said(tmp_path, to):
    source = jsonl(tmp_path / "a.jsonl", [NER_ROWS[1]])
    convert(NER, source, tmp_path / "b", to=to)
    found, name = rows_of(NER, tmp_path / "b", source_format=to)
    assert (found, name) == ([NER_ROWS[1]], to)
