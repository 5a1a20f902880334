"""Rows, files and tasks for the tests of annotation tools."""

import json

from nlpcli.files.json_text import dumps
from nlpcli.recipes.classify.form import ClassifyForm
from nlpcli.recipes.ner.form import NerForm
from nlpcli.recipes.triple_extract.form import TripleForm
from nlpcli.records.convert import convert

NER, TRIPLES, CLASSES = NerForm(), TripleForm(), ClassifyForm()
FORMATS = ("doccano", "label-studio")
TEXT = "刘慈欣写了《三体》"


def jsonl(path, rows):
    """As ``data convert`` writes it."""
    path.write_text("".join(dumps(row) + "\n" for row in rows), "utf-8")
    return path


def whole(path, tasks, **style):
    path.write_text(json.dumps(tasks, ensure_ascii=False, **style), "utf-8")
    return path


def rows_of(form, path, **options):
    """What the converter makes of a file; how it called it."""
    out = path.with_name("out.jsonl")
    report = convert(form, path, out, force=True, **options)
    rows = [json.loads(line) for line in out.read_text("utf-8").split("\n")[:-1]]
    assert len(rows) == report["examples"]
    return rows, report["from"]


def region(start, end, *labels, text=None, key="a", **more):
    value = {"start": start, "end": end, "labels": list(labels)}
    value |= {} if text is None else {"text": text}
    return {"id": key, "type": "labels", "value": value, **more}


def relation(one, other, *labels, **more):
    ends = {"from_id": one, "to_id": other}
    return {"type": "relation", **ends, "labels": list(labels), **more}


def choice(*names):
    return {"id": "c", "type": "choices", "value": {"choices": list(names)}}


def task(*results, text=TEXT, **more):
    return {"data": {"text": text}, "annotations": [{"result": list(results)}], **more}


def entities(*spans):
    return [{"start": s, "end": e, "label": label} for s, e, label in spans]


NER_ROWS = [
    {"text": TEXT, "entities": entities((0, 3, "人物"), (6, 8, "作品"))},
    {"text": "没有", "entities": []},
    {"text": "北京大学😀", "entities": entities((0, 2, "地点"), (0, 4, "机构"))},
    {"text": "一\n二 \u2028三", "entities": entities((0, 3, "甲 乙"))},
]
ONE = [
    {"text": "很好", "label": "正面"},
    {"text_a": "甲", "text_b": "乙", "label": "0"},
]
SEVERAL = [
    {"text": "很好", "labels": ["服务", "环境"]},
    {"text": "无", "labels": []},
    {"text": "贵", "labels": ["价格"]},
]


def spo(text, subject, predicate, object_, kinds=()):
    """A row of DuIE with spans: where the strings stand first."""
    ends = [[text.index(x), text.index(x) + len(x)] for x in (subject, object_)]
    return {
        "subject": subject,
        "predicate": predicate,
        "object": object_,
        "subject_span": ends[0],
        "object_span": ends[1],
        **dict(zip(("subject_type", "object_type"), kinds, strict=False)),
    }


DUIE = "《三体》的作者刘慈欣生于北京"
TRIPLE_ROWS = [
    {
        "text": DUIE,
        "spo_list": [
            spo(DUIE, "三体", "作者", "刘慈欣", ("图书作品", "人物")),
            spo(DUIE, "刘慈欣", "出生地", "北京", ("人物", "地点")),
        ],
    },
    {"text": TEXT, "spo_list": [spo(TEXT, "三体", "作者", "刘慈欣")]},
    {"text": TEXT, "spo_list": [spo(TEXT, "三体", "作者", "刘慈欣", ("图书作品",))]},
    {"text": "没有", "spo_list": []},
]
