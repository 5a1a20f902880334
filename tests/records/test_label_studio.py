"""What Label Studio exports: whose marks count, where they stand, what is bad."""

import json

import pytest

from nlpcli.errors import DataError
from tests.records.annotated import (
    CLASSES,
    NER,
    NER_ROWS,
    TEXT,
    TRIPLES,
    choice,
    entities,
    jsonl,
    region,
    relation,
    rows_of,
    task,
    whole,
)


@pytest.mark.parametrize("style", [{}, {"indent": 2}])
def test_a_list_of_tasks(tmp_path, style):
    tasks = [
        {
            "id": 1,
            **task(region(6, 8, "作品", text="三体", key="q"), region(0, 3, "人物")),
            "predictions": [12, 13],
        },
        task(text="无"),
    ]
    found, name = rows_of(NER, whole(tmp_path / "a.json", tasks, **style))
    assert (found, name) == (
        [NER_ROWS[0], {"text": "无", "entities": []}],
        "label-studio",
    )


def test_a_long_printed_list_with_the_data_at_its_end(tmp_path):
    results = [region(n, n + 1, "x", key=str(n)) for n in range(30)]
    long = {"id": 1, "annotations": [{"result": results}], "data": {"text": "字" * 40}}
    (row,), name = rows_of(NER, whole(tmp_path / "a.json", [long], indent=2))
    assert (len(row["entities"]), name) == (30, "label-studio")


def test_a_task_a_line_and_the_old_name_of_annotations(tmp_path):
    old = task(region(0, 3, "人物"), region(6, 8, "作品", key="b"))
    old["completions"] = old.pop("annotations")
    path = jsonl(tmp_path / "a", [old, task(text="无")])
    found, name = rows_of(NER, path)
    assert (found[0], len(found), name) == (NER_ROWS[0], 2, "label-studio")


def annotation(label, **more):
    return {"result": [region(0, 3, label)], **more}


@pytest.mark.parametrize(
    ("sides", "label"),
    [
        ({"annotations": [annotation("a"), annotation("b")]}, "b"),
        ({"annotations": [annotation("a"), annotation("b", was_cancelled=True)]}, "a"),
        (
            {
                "annotations": [
                    annotation("a", updated_at="2023-05-02T10:00:00Z"),
                    annotation("b", updated_at="2023-05-01T10:00:00Z"),
                ]
            },
            "a",
        ),
        ({"annotations": [], "predictions": [annotation("a"), annotation("b")]}, "b"),
        ({"predictions": [annotation("a")]}, "a"),
        (
            {
                "annotations": [annotation("a", was_cancelled=True)],
                "predictions": [annotation("b")],
            },
            "b",
        ),
        ({"annotations": [annotation("a")], "predictions": [annotation("b")]}, "a"),
    ],
)
def test_which_annotation_counts(tmp_path, sides, label):
    path = whole(tmp_path / "a.json", [{"data": {"text": TEXT}, **sides}])
    (row,), _ = rows_of(NER, path)
    assert row["entities"] == entities((0, 3, label))


@pytest.mark.parametrize(
    "sides",
    [
        {},
        {"annotations": []},
        {"annotations": None, "predictions": None},
        {"annotations": [annotation("a", was_cancelled=True)]},
    ],
)
def test_a_task_that_nobody_did_is_no_text_without_entities(tmp_path, sides):
    tasks = [task(region(0, 3, "a")), {"data": {"text": TEXT}, **sides}]
    path = whole(tmp_path / "a.json", tasks)
    with pytest.raises(DataError) as caught:
        rows_of(NER, path)
    assert str(caught.value) == (
        f"{path}: task 2: expected an annotation that was not cancelled, or a "
        "prediction, got none"
    )
    assert len(rows_of(NER, path, skip_bad=True)[0]) == 1


def test_several_labels_of_one_region(tmp_path):
    both = [region(0, 3, "人物", "作者"), region(6, 8, "作品", key="b")]
    path = whole(tmp_path / "a.json", [task(*both, relation("b", "a", "作者"))])
    (row,), _ = rows_of(NER, path)
    wanted = entities((0, 3, "人物"), (0, 3, "作者"), (6, 8, "作品"))
    assert row["entities"] == wanted
    (row,), _ = rows_of(TRIPLES, path)
    (found,) = row["spo_list"]
    assert found["object_type"] == "人物", "a relation means the first"


def test_regions_of_the_same_id_or_none(tmp_path):
    """Two controls on one region share its id; a prediction may have no ids."""
    bare = {k: v for k, v in region(6, 8, "作品").items() if k != "id"}
    results = [region(0, 3, "人物"), region(0, 3, "作者"), bare, {**bare}]
    results[3]["value"] = {**bare["value"], "labels": ["书"]}
    (row,), _ = rows_of(NER, whole(tmp_path / "a.json", [task(*results)]))
    spans = ((0, 3, "人物"), (0, 3, "作者"), (6, 8, "书"), (6, 8, "作品"))
    assert row["entities"] == entities(*spans)


RELATIONS = [
    ({"direction": "right"}, ["写"], {("写", "刘慈欣")}),
    ({}, ["写"], {("写", "刘慈欣")}),
    ({"direction": "left"}, ["写"], {("写", "三体")}),
    ({"direction": "bi"}, ["写"], {("写", "刘慈欣"), ("写", "三体")}),
    ({}, ["写", "署名"], {("写", "刘慈欣"), ("署名", "刘慈欣")}),
    ({}, [], {("relation", "刘慈欣")}),
]


@pytest.mark.parametrize(("more", "labels", "triples"), RELATIONS)
def test_relations(tmp_path, more, labels, triples):
    regions = [region(0, 3, "人物", text="刘慈欣"), region(6, 8, "作品", key="b")]
    link = relation("a", "b", *labels, **more)
    path = whole(tmp_path / "a.json", [task(link, *regions)])
    (row,), _ = rows_of(TRIPLES, path)
    assert {(x["predicate"], x["subject"]) for x in row["spo_list"]} == triples


EMOJI = "😀😀我爱北京"  # four units of UTF-16, two code points


@pytest.mark.parametrize(
    ("given", "own", "span"),
    [
        ((4, 6), "北京", (4, 6)),
        ((6, 8), "北京", (4, 6)),
        ((4, 6), None, (4, 6)),
        ((2, 6), "😀我爱", (1, 4)),
        ((0, 2), "😀😀", (0, 2)),
        ((0, 2), "😀", (0, 1)),
    ],
)
def test_spans_in_utf_16_where_their_text_says_so(tmp_path, given, own, span):
    path = whole(tmp_path / "a.json", [task(region(*given, "x", text=own), text=EMOJI)])
    assert rows_of(NER, path)[0][0]["entities"] == entities((*span, "x"))


@pytest.mark.parametrize("form", [NER, TRIPLES])
@pytest.mark.parametrize(("span", "own"), [((2, 5), "周小兰"), ((5, 9), "北京")])
def test_a_region_whose_text_says_otherwise_is_a_bad_line(tmp_path, form, span, own):
    regions = [region(*span, "x", text=own), region(0, 1, "y", key="b")]
    broken = task(*regions, relation("a", "b", "爱"), text="周小兰爱北京天安门")
    path = whole(tmp_path / "a.json", [broken])
    with pytest.raises(DataError) as caught:
        rows_of(form, path)
    told = str(caught.value)
    assert told.startswith(f"{path}: task 1: ") and repr(own) in told


@pytest.mark.parametrize(
    "own", ["Berlin, Germany", "Berlin,  Germany", "Berlin,Germany"]
)
def test_space_that_the_tool_folds_is_no_contradiction(tmp_path, own):
    text = "in Berlin,  Germany!"
    path = whole(tmp_path / "a.json", [task(region(3, 19, "x", text=own), text=text)])
    assert rows_of(NER, path)[0][0]["entities"] == entities((3, 19, "x"))
    broken = task(region(0, 3, "x", text="一\\n二"), text="一\n二")
    assert rows_of(NER, whole(path, [broken]))[0][0]["entities"] == entities(
        (0, 3, "x")
    )


def test_half_a_surrogate_pair_is_no_crash(tmp_path):
    path = tmp_path / "a.json"
    broken = task(region(0, 1, "x", text="乙"), text="\ud83d甲")
    path.write_text(json.dumps([broken]), "utf-8")
    with pytest.raises(DataError, match="乙"):
        rows_of(NER, path)


def test_choices(tmp_path):
    tasks = [task(choice("正面"), text="好"), task(choice("负面"), text="坏")]
    path = whole(tmp_path / "a.json", tasks)
    rows = [{"text": "好", "label": "正面"}, {"text": "坏", "label": "负面"}]
    assert rows_of(CLASSES, path) == (rows, "label-studio")
    per_region = choice("大")
    per_region["value"] |= {"start": 0, "end": 1}
    tasks[0]["annotations"][0]["result"] += [per_region, region(0, 1, "x")]
    assert rows_of(CLASSES, whole(path, tasks))[0] == rows, "spans are not the text"
    tasks.append(task(choice("甲"), choice("乙"), text="也"))
    (_, _, last), _ = rows_of(CLASSES, whole(path, tasks))
    assert set(last["labels"]) == {"甲", "乙"}


def test_other_names_of_the_text_and_other_controls(tmp_path):
    rating = {"id": "r", "type": "rating", "value": {"rating": 3}}
    found = task(rating, region(0, 3, "人物"))
    found["data"] = {"sentence": TEXT, "source": "x"}
    (row,), _ = rows_of(NER, whole(tmp_path / "a.json", [found]))
    assert row == {"text": TEXT, "entities": entities((0, 3, "人物"))}


BAD_TASKS = [
    (3, "expected an object, got 3"),
    ({"data": "甲"}, 'expected an object for "data", got "甲"'),
    ({"id": 1}, 'expected the key "data", got the keys "id"'),
    ({"data": {"url": "x"}}, 'data: expected the key "text", got the keys "url"'),
    ({"data": {"text": 3}}, 'data: expected a string for "text", got 3'),
    (task(**{"annotations": 3}), 'expected a list for "annotations", got 3'),
    (task(**{"annotations": [3]}), "annotation 1: expected an object, got 3"),
    (task(3), "annotation 1: result 1: expected an object, got 3"),
    (task({"type": "labels"}), 'result 1: expected the key "value"'),
    (task({"value": 3}), 'expected an object for "value", got 3'),
    (task({"value": {"labels": "x"}}), 'value: expected a list for "labels", got "x"'),
    (task({"value": {"labels": [3]}}), 'value: expected text in "labels", got 3'),
    (task({"value": {"choices": "x"}}), 'expected a list for "choices", got "x"'),
    (task({"value": {"labels": ["x"]}}), 'value: expected the key "start"'),
    (task(region("0", 3, "x")), 'value: expected an integer for "start", got "0"'),
    (task(region(0, 99, "x")), "expected a span inside the text"),
    (task(region(-2, 99, "x", text="体》")), "expected a span inside the text"),
    (task({"type": "relation"}), 'result 1: expected the key "from_id"'),
]


@pytest.mark.parametrize(("bad", "message"), BAD_TASKS)
def test_bad_tasks(tmp_path, bad, message):
    good = task(region(0, 3, "人物"))
    path = whole(tmp_path / "a.json", [good, bad, good])
    with pytest.raises(DataError) as caught:
        rows_of(NER, path)
    assert str(caught.value).startswith(f"{path}: task 2")
    assert message in str(caught.value)
    assert len(rows_of(NER, path, skip_bad=True)[0]) == 2
    if isinstance(bad, dict):
        path = jsonl(tmp_path / "b", [good, bad])
        with pytest.raises(DataError, match=r"b:2: "):
            rows_of(NER, path)


@pytest.mark.parametrize(
    "content", ['[{"data": ', '[{"data": {}}]]', '[{"data": NaN}]']
)
def test_what_is_no_json(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"a\.json: expected JSON"):
        rows_of(NER, path)
