"""What doccano exports, of old and new versions."""

import pytest

from nlpcli.errors import DataError
from tests.records.annotated import (
    CLASSES,
    NER,
    NER_ROWS,
    TEXT,
    TRIPLES,
    entities,
    jsonl,
    rows_of,
    spo,
)


def test_label_lists_of_old_and_new_versions(tmp_path):
    spans = [[6, 8, "作品"], [0, 3, "人物"]]
    for key in ("label", "labels"):
        lines = [{"id": 1, "text": TEXT, key: spans}, {"id": 2, "text": "无", key: []}]
        found, name = rows_of(NER, jsonl(tmp_path / "a", lines))
        assert (found, name) == (
            [NER_ROWS[0], {"text": "无", "entities": []}],
            "doccano",
        )
    first_empty = jsonl(tmp_path / "a", lines[::-1])
    assert rows_of(NER, first_empty) == (found[::-1], "doccano")


def test_entities_and_relations_go_by_ids(tmp_path):
    line = {
        "id": 3,
        "text": TEXT,
        "entities": [
            {"id": 80, "label": "人物", "start_offset": 0, "end_offset": 3},
            {"id": 12, "label": "subject", "start_offset": 6, "end_offset": 8},
        ],
        "relations": [{"id": 5, "from_id": 12, "to_id": 80, "type": "作者"}],
        "Comments": [],
    }
    path = jsonl(tmp_path / "a", [line])
    marked = entities((0, 3, "人物"), (6, 8, "subject"))
    rows = [{"text": TEXT, "entities": marked}]
    assert rows_of(NER, path) == (rows, "doccano")
    (row,), _ = rows_of(TRIPLES, path)
    expected = {**spo(TEXT, "三体", "作者", "刘慈欣"), "object_type": "人物"}
    assert row["spo_list"] == [expected], "a role is no type"
    del line["relations"]
    assert rows_of(NER, jsonl(path, [line])) == (rows, "doccano")


def test_classes(tmp_path):
    one = [{"text": "好", "label": ["正面"]}, {"text": "坏", "label": ["负面"]}]
    path = jsonl(tmp_path / "a", one)
    rows = [{"text": "好", "label": "正面"}, {"text": "坏", "label": "负面"}]
    assert rows_of(CLASSES, path) == (rows, "doccano")
    path = jsonl(tmp_path / "a", [*one, {"text": "也", "label": ["正面", "负面"]}])
    rows = [set(x["labels"]) for x in rows_of(CLASSES, path)[0]]
    assert rows == [{"正面"}, {"负面"}, {"正面", "负面"}]


def test_a_text_that_nobody_labelled_makes_no_labels_several(tmp_path):
    lines = [{"text": "好", "label": ["正面"]}, {"text": "?", "label": []}]
    path = jsonl(tmp_path / "a", lines)
    with pytest.raises(DataError, match=r"a:2: expected a label, got none"):
        rows_of(CLASSES, path)
    found, _ = rows_of(CLASSES, path, skip_bad=True)
    assert found == [{"text": "好", "label": "正面"}]


BAD_DOCCANO = [
    (
        NER,
        {"text": TEXT, "label": ["人物"]},
        'expected [start, end, label], got "人物"',
    ),
    (
        NER,
        {"text": TEXT, "label": [[0, 3]]},
        "expected [start, end, label], got [0, 3]",
    ),
    (NER, {"text": TEXT, "label": [["0", 3, "x"]]}, 'expected an integer for "start"'),
    (NER, {"text": TEXT, "label": [[0, 99, "x"]]}, "expected a span inside the text"),
    (NER, {"text": TEXT, "label": [[-2, 3, "x"]]}, "expected a span inside the text"),
    (NER, {"text": TEXT, "label": [[0, 3, ""]]}, "expected a label"),
    (NER, {"text": TEXT, "label": 3}, 'expected a list for "label", got 3'),
    (
        NER,
        {"text": TEXT},
        'expected the key "label" or "entities", got the keys "text"',
    ),
    (NER, {"label": []}, 'expected the key "text", got the keys "label"'),
    (
        NER,
        {"text": TEXT, "entities": [{"id": 1}]},
        'entity 1: expected the key "start_',
    ),
    (CLASSES, {"text": TEXT, "label": [[0, 3, "x"]]}, "expected a label as text or"),
    (CLASSES, {"text": TEXT, "entities": []}, 'expected the key "label"'),
    (CLASSES, {"text": " ", "label": ["a"]}, "expected text, got none"),
    (
        TRIPLES,
        {
            "text": TEXT,
            "entities": [{"id": 1, "label": "x", "start_offset": 0, "end_offset": 3}],
            "relations": [{"from_id": 1, "to_id": 2, "type": "作者"}],
        },
        "relation 作者: expected the id of a span (1), got 2",
    ),
    (
        TRIPLES,
        {
            "text": TEXT,
            "entities": [{"id": 1, "label": "x", "start_offset": 0, "end_offset": 33}],
            "relations": [{"from_id": 1, "to_id": 1, "type": "作者"}],
        },
        "inside the text",
    ),
]


@pytest.mark.parametrize(("form", "line", "message"), BAD_DOCCANO)
def test_bad_lines_of_doccano(tmp_path, form, line, message):
    good = {
        NER: {"text": "甲", "label": []},
        CLASSES: {"text": "甲", "label": ["a"]},
        TRIPLES: {"text": "甲", "entities": [], "relations": []},
    }[form]
    path = jsonl(tmp_path / "a", [good, line, good])
    with pytest.raises(DataError) as caught:
        rows_of(form, path)
    assert str(caught.value).startswith(f"{path}:2: ") and message in str(caught.value)
    assert len(rows_of(form, path, skip_bad=True)[0]) == 2
