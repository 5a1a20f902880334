"""Lines to classify: every dialect, what is wrong with a line, what a check counts."""

import json

import pytest

from nlpcli.errors import DataError
from nlpcli.recipes.classify.form import ClassifyExample, ClassifyForm
from nlpcli.records.check import check
from nlpcli.records.convert import convert
from nlpcli.records.read import read
from nlpcli.records.row import Row
from nlpcli.text.tokenizers.load import tiny_tokenizer

FORM = ClassifyForm()


def parse(**values):
    return FORM.parse(Row(values, "a:3"))


def write(path, *rows):
    lines = [
        x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in rows
    ]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"text": " 很好 "}, ("很好",)),
        ({"sentence": "很好", "keywords": ""}, ("很好",)),
        ({"review": "很好"}, ("很好",)),
        ({"text": "甲\t乙"}, ("甲", "乙")),
        ({"text_a": "甲", "text_b": "乙"}, ("甲", "乙")),
        ({"sentence1": "甲", "sentence2": "乙", "id": 0}, ("甲", "乙")),
    ],
)
@pytest.mark.parametrize(
    ("gold", "labels", "several"),
    [
        ({"label": "正面"}, ("正面",), False),
        ({"label": " 1 "}, ("1",), False),
        ({"label": 0}, ("0",), False),
        ({"label": "102", "label_desc": "news_story"}, ("news_story",), False),
        ({"label": "110", "label_des": "社区超市"}, ("社区超市",), False),
        ({"labels": ["服务", "环境", "服务"]}, ("服务", "环境"), True),
        ({"labels": [1, "0"]}, ("0", "1"), True),
        ({"labels": []}, (), True),
        ({"labels": ["x"], "label": "y"}, ("x",), True),
    ],
)
def test_dialects(values, texts, gold, labels, several):
    example = parse(**values, **gold)
    assert example == ClassifyExample(texts, labels, several, "a:3")
    again = FORM.parse(Row(FORM.row(example), "a:3"))
    assert again == example, "the canonical row says the same"


def test_canonical_rows_stay_what_they_are(tmp_path):
    rows = [
        {"text": "很好", "label": "正面"},
        {"text_a": "甲", "text_b": "乙", "label": "0"},
        {"text": "贵", "labels": ["价格", "服务"]},
        {"text": "无", "labels": []},
    ]
    source = write(tmp_path / "a.jsonl", *rows)
    convert(FORM, source, tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_bytes() == source.read_bytes()


BAD = [
    ({"label": "1"}, 'expected the key "text", got the keys "label"'),
    ({"text": "甲"}, 'expected the key "label" or "labels", got the keys "text"'),
    ({"text": 3, "label": "1"}, 'expected a string for "text", got 3'),
    ({"text": " \t", "label": "1"}, "expected text, got none"),
    ({"text_a": "甲", "text_b": " ", "label": "1"}, "expected text, got none"),
    (
        {"text_a": "甲", "label": "1"},
        'expected the key "text", got the keys "text_a", "label"',
    ),
    ({"text": "甲", "label": None}, "expected a label as text or number, got null"),
    ({"text": "甲", "label": True}, "expected a label as text or number, got true"),
    ({"text": "甲", "label": 0.5}, "expected a label as text or number, got 0.5"),
    ({"text": "甲", "label": ["a"]}, 'expected a label as text or number, got ["a"]'),
    ({"text": "甲", "label": " "}, "expected a label, got none"),
    ({"text": "甲", "labels": "a"}, 'expected a list for "labels", got "a"'),
    ({"text": "甲", "labels": [{}]}, "expected a label as text or number, got {}"),
    ({"text": "甲", "labels": [""]}, "expected a label, got none"),
    ("[1]", "expected a JSON object, got '[1]'"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_bad_rows_name_their_line(tmp_path, bad, message):
    good = {"text": "甲", "label": "1"}
    path = write(tmp_path / "a.jsonl", good, bad, good)
    first, error, last = read(FORM, path)
    assert (first.text, last.origin) == ("甲", f"{path}:3")
    assert isinstance(error, DataError)
    assert str(error) == f"{path}:2: {message}"


def test_tables(tmp_path):
    path = write(tmp_path / "a.tsv", "label\ttext_a", "1\t很好", "", "0\t 差 ", "\t无")
    one, other, bad = read(FORM, path)
    assert one == ClassifyExample(("很好",), ("1",), False, f"{path}:2")
    assert (other.texts, other.labels) == (("差",), ("0",))
    assert str(bad) == f"{path}:5: expected a label, got none"
    path = write(tmp_path / "b.tsv", "甲\t乙\t1", "丙\t丁\t0")
    assert [x.texts for x in read(FORM, path)] == [("甲", "乙"), ("丙", "丁")]
    path = write(tmp_path / "c.tsv", "sentence\tlabel", "第一\t句\t1", "第二句\t0")
    bad, good = read(FORM, path)
    assert "expected 2 columns between tabs" in str(bad) and good.labels == ("0",)
    report = convert(FORM, path, tmp_path / "c.jsonl", skip_bad=True)
    assert (report["from"], report["examples"], report["skipped"]) == ("columns", 1, 1)
    row = json.loads((tmp_path / "c.jsonl").read_text("utf-8"))
    assert row == {"text": "第二句", "label": "0"}


def test_every_count_of_a_small_file(tmp_path):
    rows = [
        {"text": "很好", "label": "正面"},
        {"text": "很好", "label": "正面"},
        {"text": "很好", "label": "负面"},
        {"text_a": "甲甲甲", "text_b": "乙乙乙", "label": "正面"},
        {"text": "贵", "labels": ["负面", "价格"]},
        {"text": "坏"},
    ]
    path = write(tmp_path / "a.jsonl", *rows)
    report = check(FORM, path, max_length=8, tokenizer=tiny_tokenizer())
    assert (report["format"], report["lines"], report["examples"]) == ("jsonl", 6, 5)
    assert (report["pairs"], report["several"]) == (1, 1)
    (bad,) = report["bad_lines"]
    assert bad.startswith(f"{path}:6: ")
    counts = {row["label"]: row["count"] for row in report["labels"]}
    assert counts == {"正面": 3, "负面": 2, "价格": 1}
    assert next(iter(counts)) == "正面"
    assert report["duplicates"] == [{"line": f"{path}:2", "first": f"{path}:1"}]
    assert report["conflicts"] == [{"line": f"{path}:3", "first": f"{path}:1"}]
    assert report["lengths"]["longest"] == 3, "texts one by one"
    assert report["tokens"]["longest"] == 6, "a pair is read at once"
    assert report["windows"] == {
        "unit": "tokens",
        "max_length": 8,
        "longer": 1,
        "then": "train cuts their ends",
    }


def test_an_empty_file(tmp_path):
    with pytest.raises(DataError) as caught:
        list(read(FORM, write(tmp_path / "a")))
    wanted = "expected JSON Lines or columns between tabs, got an empty file"
    assert str(caught.value) == f"{tmp_path / 'a'}: {wanted}"


@pytest.mark.parametrize(
    ("name", "labels"), [("tnews.train.jsonl.gz", 15), ("csl-category.dev.jsonl", 13)]
)
def test_real_files(shared, name, labels):
    report = check(FORM, shared(f"datasets/classification/{name}"), limit=5000)
    assert not report["bad_lines"]
    assert len(report["labels"]) == labels
