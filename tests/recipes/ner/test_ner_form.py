"""Reading examples: every bad line comes out with its number and its reason."""

import gzip
import json

import pytest

from nlpcli.errors import DataError, NotFoundError
from nlpcli.files.json_text import dumps
from nlpcli.recipes.ner.form import Entity, NerExample, NerForm
from nlpcli.records.read import read
from nlpcli.records.row import Row

FORM, NESTED = NerForm(), NerForm(nested=True)

GOOD = {
    "text": "王小明在北京大学读书",
    "entities": [
        {"start": 4, "end": 8, "label": "ORG"},
        {"start": 0, "end": 3, "label": "PER"},
    ],
}


def entity(start, end, label="PER"):
    return {"start": start, "end": end, "label": label}


def test_entities_come_in_order_with_the_line(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(f"\ufeff\r\n{json.dumps(GOOD)}\r\n", encoding="utf-8")
    [example] = read(FORM, path)
    assert example.text == GOOD["text"]
    assert example.entities == (Entity(0, 3, "PER"), Entity(4, 8, "ORG"))
    assert example.origin.endswith("train.jsonl:2")


def test_gzip_is_read(tmp_path):
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    assert len(list(read(FORM, path))) == 1


def test_empty_text_and_other_keys_are_fine():
    example = FORM.parse(Row({"id": 7, "text": "", "entities": []}, "f:1"))
    assert example == NerExample("", (), "f:1")


def test_an_entity_may_bring_its_text_and_what_others_know_of_it():
    own = {**entity(0, 2), "text": "王小", "score": 0.5, "id": 3}
    example = FORM.parse(Row({"text": "王小明", "entities": [own]}, "f:1"))
    assert example.entities == (Entity(0, 2, "PER"),)
    nothing = {**entity(0, 2), "text": None}
    assert FORM.parse(Row({"text": "王小明", "entities": [nothing]})).entities


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"entities": []}, 'expected the key "text", got the keys "entities"'),
        ({"text": "王"}, 'expected the key "entities", got the keys "text"'),
        ({}, 'expected the key "text", got the keys none'),
        ({"text": 3, "entities": []}, 'expected a string for "text", got 3'),
        ({"text": "王", "entities": {}}, 'expected a list for "entities", got {}'),
        ({"text": "王", "entities": ["王"]}, 'entity 1: expected an object, got "王"'),
        (
            {"text": "王", "entities": [entity("0", 1)]},
            'entity 1: expected an integer for "start", got "0"',
        ),
        (
            {"text": "王", "entities": [entity(True, 1)]},
            'entity 1: expected an integer for "start", got true',
        ),
        (
            {"text": "王", "entities": [entity(0.0, 1)]},
            'entity 1: expected an integer for "start", got 0.0',
        ),
        (
            {"text": "王", "entities": [entity(0, 1, 5)]},
            'entity 1: expected a string for "label", got 5',
        ),
        (
            {"text": "王", "entities": [entity(0, 1, "")]},
            'entity 1: expected a label, got ""',
        ),
        (
            {"text": "王", "entities": [{"start": 0, "label": "PER"}]},
            'entity 1: expected the key "end", got the keys "start", "label"',
        ),
        (
            {"text": "王小明", "entities": [entity(0, 2), entity(1, 4)]},
            "entity 2: expected a span inside the text (0 <= start < end <= 3), "
            "got PER 1-4",
        ),
        (
            {"text": "王小明", "entities": [entity(-1, 2)]},
            "entity 1: expected a span inside the text (0 <= start < end <= 3), "
            "got PER -1-2",
        ),
        (
            {"text": "王小明", "entities": [entity(2, 2)]},
            "entity 1: expected start < end, got the empty span 2",
        ),
        (
            {"text": "王小明", "entities": [{**entity(0, 2), "text": "小明"}]},
            "entity 1: expected its text '小明' at 0-2, got '王小'",
        ),
        (
            {"text": "王小明", "entities": [entity(0, 3), entity(0, 3)]},
            "entity PER 0-3 stands there twice",
        ),
        (
            {"text": "王小明", "entities": [entity(1, 3, "LOC"), entity(0, 2)]},
            "overlapping entities under a CRF: PER 0-2 and LOC 1-3; "
            "use task.head=global-pointer",
        ),
    ],
)
def test_a_bad_example_says_what_is_wrong(row, reason):
    with pytest.raises(DataError) as caught:
        FORM.parse(Row(row, "train.jsonl:12"))
    assert str(caught.value) == f"train.jsonl:12: {reason}"


def test_nested_entities_pass_when_the_head_can_hold_them():
    row = {"text": "北京大学", "entities": [entity(0, 4, "ORG"), entity(0, 2, "LOC")]}
    assert len(NESTED.parse(Row(row, "f:1")).entities) == 2
    twice = {"text": "北京大学", "entities": [entity(0, 4), entity(0, 4)]}
    with pytest.raises(DataError, match="twice"):
        NESTED.parse(Row(twice, "f:1"))


def test_a_bad_line_leaves_its_neighbours_alone(tmp_path):
    path = tmp_path / "train.jsonl"
    good = json.dumps(GOOD)
    lines = [good, "{broken", good, "", "[]", '{"text": NaN}', "[" * 100_000, good]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = list(read(FORM, path))
    assert [type(one).__name__ for one in found] == [
        "NerExample", "DataError", "NerExample", *["DataError"] * 3, "NerExample",
    ]  # fmt: skip
    assert [str(one).split(":")[1] for one in found if isinstance(one, DataError)] == [
        "2", "5", "6", "7",
    ]  # fmt: skip
    assert "train.jsonl:2: expected a JSON object, got '{broken' (" in str(found[1])


def test_a_line_that_is_not_utf8_is_bad_in_its_place(tmp_path):
    path = tmp_path / "train.jsonl"
    good = json.dumps(GOOD).encode()
    path.write_bytes(b"\xff\n" + good + b"\n{\xe7\n" + good)
    found = list(read(FORM, path))
    bad = [str(one).partition("train.jsonl:")[2] for one in found]
    assert bad[0] == "1: expected UTF-8, got byte 0xff at position 1"
    assert bad[2] == "3: expected UTF-8, got byte 0xe7 at position 2"
    assert isinstance(found[1], NerExample) and isinstance(found[3], NerExample)
    path.write_bytes("王 B-PER\n\n".encode() + b"\xff O\n\n" + "明 O\n".encode())
    first, second, third = read(FORM, path)
    assert (first.text, third.text) == ("王", "明")
    assert "train.jsonl:3: expected UTF-8" in str(second)
    path.write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="jsonl:1: expected UTF-8"):
        list(read(FORM, path))


def test_columns_are_recognised_by_content(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("{ O\n王 B-PER\n小 I-PER\n", encoding="utf-8")
    [example] = read(FORM, path)
    assert example.text == "{王小"
    assert example.entities == (Entity(1, 3, "PER"),)


def test_a_file_that_is_empty_or_missing_is_an_error(tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text("\n \n")
    with pytest.raises(DataError, match=r"empty\.jsonl: expected .* got an empty file"):
        list(read(FORM, path))
    with pytest.raises(NotFoundError, match=r"nothing.jsonl"):
        list(read(FORM, tmp_path / "nothing.jsonl"))


def test_json_line_is_read_back_even_with_a_lone_surrogate():
    example = NerExample("a\ud83d北京", (Entity(2, 4, "LOC"),), "f:1")
    line = dumps(FORM.row(example))
    line.encode("utf-8")
    assert "北京" in line
    assert FORM.parse(Row(json.loads(line), "f:1")) == example


REAL = {  # rows and entities as the data's README gives them
    "boson.train.jsonl.gz": (1843, 21423),
    "cluener.dev.jsonl": (1343, 3072),
    "cluener.train.jsonl.gz": (9715, 21729),
    "msra.train.jsonl.gz": (47225, 68805),
    "peoples-daily.dev.jsonl.gz": (2318, 3819),
    "peoples-daily.train.jsonl.gz": (20864, 33992),
    "resume.dev.jsonl": (462, 1496),
    "resume.train.jsonl.gz": (3799, 13395),
    "weibo.dev.jsonl": (255, 376),
    "weibo.train.jsonl": (1247, 1753),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_have_no_bad_line(shared, name):
    rows, entities = 0, 0
    for example in read(NESTED, shared(f"datasets/ner/{name}")):
        assert isinstance(example, NerExample), example
        rows += 1
        entities += len(example.entities)
    assert (rows, entities) == REAL[name]


def test_the_one_overlap_of_cluener_is_found(shared):
    path = shared("datasets/ner/cluener.train.jsonl.gz")
    bad = [one for one in read(FORM, path) if isinstance(one, DataError)]
    assert len(bad) == 1
    assert "overlapping entities under a CRF" in str(bad[0])
