"""Reading triples: DuIE's two forms, spans found and given, bad lines in place."""

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError
from nlpcli.recipes.triple_extract.form import Triple, TripleExample, TripleForm, locate
from nlpcli.recipes.triple_extract.schema import read_schema
from nlpcli.records.check import check
from nlpcli.records.convert import convert
from nlpcli.records.form import Unfit
from nlpcli.records.read import read
from nlpcli.records.row import Row
from nlpcli.samples import sample
from nlpcli.text.tokenizers.load import tiny_tokenizer

FORM = TripleForm()


def triple(subject, predicate, object_, **more):
    return {"subject": subject, "predicate": predicate, "object": object_, **more}


def parse(text, *triples, form=FORM):
    """The example, and what is wrong with triples left out of it."""
    row = Row({"text": text, "spo_list": list(triples)}, "a.jsonl:3")
    return form.parse(row), row.problems


def test_duie_1():
    example, bad = parse(
        "《三体》的作者刘慈欣出生于北京",
        triple("三体", "作者", "刘慈欣", subject_type="图书", object_type="人物"),
        triple("刘慈欣", "出生地", "北京"),
        triple("刘慈欣", "出生地", "北京"),
    )
    assert not bad
    assert example.triples == (
        Triple((1, 3), "作者", (7, 10)),
        Triple((7, 10), "出生地", (13, 15)),
    )


def test_a_complex_object_is_a_triple_a_slot():
    text = "《夜航》2010年1月在香港上映"
    value = {"@value": "2010年1月", "inArea": "香港", "inWork": ""}
    example, bad = parse(text, triple("夜航", "上映时间", value))
    flat = triple("夜航", "上映时间", "2010年1月", qualifiers={"inArea": "香港"})
    typed = {"inArea": {"value": "香港", "type": "地点"}}
    wide = triple("夜航", "上映时间", "2010年1月", qualifiers=typed)
    assert not bad
    assert set(example.strings) == {
        ("夜航", "上映时间", "2010年1月"),
        ("夜航", "上映时间/inArea", "香港"),
    }
    assert parse(text, flat)[0] == parse(text, wide)[0] == example


def test_types_are_kept_where_a_line_has_them(tmp_path):
    text = "《夜航》2010年1月在香港上映，导演周明"
    value = {"@value": "2010年1月", "inArea": "香港"}
    kinds = {"@value": "Date", "inArea": "地点"}
    spos = [
        triple("夜航", "上映时间", value, subject_type="影视", object_type=kinds),
        triple("夜航", "导演", "周明", subject_type="影视", object_type="人物"),
        triple("周明", "作品", "夜航", object_type=3),
        triple("夜航", "主演", "周明", qualifiers={"role": "导演"}, object_type="人物"),
    ]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": text, "spo_list": spos}), "utf-8")
    convert(FORM, path, tmp_path / "b.jsonl")
    row = json.loads((tmp_path / "b.jsonl").read_text("utf-8"))
    names = ("predicate", "subject_type", "object_type")
    assert {tuple(spo.get(name) for name in names) for spo in row["spo_list"]} == {
        ("上映时间", "影视", "Date"),
        ("上映时间/inArea", "影视", "地点"),
        ("导演", "影视", "人物"),
        ("作品", None, None),
        ("主演", None, "人物"),
        ("主演/role", None, None),
    }
    convert(FORM, tmp_path / "b.jsonl", tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    (one,), (other,) = read(FORM, path), read(FORM, tmp_path / "b.jsonl")
    assert one.triples == other.triples


def test_problems_of_annotated_triples_are_told_and_the_rest_kept(tmp_path):
    schema = tmp_path / "schema.jsonl"
    known = {"subject_type": "人物", "predicate": "生", "object_type": "地点"}
    schema.write_text(json.dumps(known), "utf-8")
    ends = [
        {"id": n, "label": "x", "start_offset": n, "end_offset": n + 1} for n in (0, 3)
    ]
    links = [{"from_id": 0, "to_id": 3, "type": name} for name in ("死", "生")]
    line = {"text": "甲生于乙", "entities": ends, "relations": links}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(line), "utf-8")
    form = TripleForm(schema)
    with pytest.raises(DataError, match=r"a\.jsonl:1: triple 1: .* schema, got '死'"):
        convert(form, path, tmp_path / "b.jsonl")
    report = convert(form, path, tmp_path / "b.jsonl", skip_bad=True)
    assert (report["examples"], report["triples"], report["skipped"]) == (1, 1, 1)


def test_of_several_mentions_the_two_nearest():
    text = "北京大学位于北京，人人都知道北京大学"
    assert locate(text, "北京大学", "北京", "x") == ((0, 4), (6, 8)), "not inside"
    assert locate("甲生乙，后来丙生乙", "丙", "乙", "x") == ((6, 7), (8, 9))
    assert locate("甲甲", "甲", "甲", "x") == ((0, 1), (1, 2))
    assert locate("北京大学", "北京大学", "北京", "x") == ((0, 4), (0, 2))
    assert locate("用IPHONE拍", "用", "iPhone", "x") == ((0, 1), (1, 7))


@given(
    st.text("甲乙", min_size=1, max_size=12),
    st.text("甲乙", min_size=1, max_size=3),
    st.text("甲乙", min_size=1, max_size=3),
)
def test_nearest_against_every_pair(text, subject, object_):
    every = [
        [(i, i + len(part)) for i in range(len(text)) if text.startswith(part, i)]
        for part in (subject, object_)
    ]
    if not all(every):
        told = r"x: (subject|object): .* not in the text"
        with pytest.raises(Unfit, match=told) as raised:
            locate(text, subject, object_, "x")
        assert raised.value.reason == "not_inside"
        return

    def rank(pair):
        gap = max(pair[0][0] - pair[1][1], pair[1][0] - pair[0][1])
        return (gap < 0, max(gap, 0), *pair)

    assert locate(text, subject, object_, "x") == min(product(*every), key=rank)


def test_given_spans_tell_two_mentions_apart():
    text = "王明写了春，王明写了秋"
    given_ = [
        triple("王明", "作品", "春", subject_span=[6, 8], object_span=[4, 5]),
        triple("王明", "作品", "春", subject_span=[0, 2], object_span=[4, 5]),
    ]
    example, bad = parse(text, *given_)
    assert not bad
    assert [t.subject for t in example.triples] == [(0, 2), (6, 8)]


def test_what_is_not_there_is_told_and_the_rest_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [
        {"text": "甲生于乙", "spo_list": [triple("甲", "生", "乙")]},
        {
            "text": "甲生于乙",
            "spo_list": [triple("甲", "生", "丙"), triple("甲", "生", "乙")],
        },
    ]
    path.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    first, bad, second = read(FORM, path)
    assert str(bad) == f"{path}:3: triple 1: object: '丙' is not in the text"
    assert first.triples == second.triples
    counts = convert(FORM, path, tmp_path / "b.jsonl", skip_bad=True)
    told = ("examples", "triples", "skipped", "not_inside")
    assert [counts[name] for name in told] == [2, 2, 1, 1]
    with pytest.raises(DataError, match="丙"):
        convert(FORM, path, tmp_path / "c.jsonl")
    assert not (tmp_path / "c.jsonl").exists()
    report = check(FORM, path)
    assert (report["examples"], report["not_inside"], report["triples"]) == (2, 1, 2)
    assert report["labels"] == [
        {"predicate": "生", "count": 2, "subjects": 1, "objects": 1}
    ]
    assert len(report["duplicates"]) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"spo_list": []}, 'expected the key "text", got the keys "spo_list"'),
        ({"text": 3, "spo_list": []}, 'expected a string for "text", got 3'),
        ({"text": "甲", "spo_list": {}}, 'expected a list for "spo_list"'),
        ({"text": "甲", "spo_list": ["甲"]}, "triple 1: expected an object"),
        ({"text": "甲", "spo_list": [{}]}, 'triple 1: expected the key "subject"'),
        (
            {"text": "甲", "spo_list": [triple("甲", "生", 5)]},
            "triple 1: expected a string or an object of strings for 生, got 5",
        ),
        (
            {"text": "甲", "spo_list": [triple("甲", "生", "甲", subject_span=[0])]},
            'triple 1: expected [start, end] for "subject_span"',
        ),
        (
            {
                "text": "甲乙",
                "spo_list": [
                    triple("甲", "生", "乙", subject_span=[1, 2], object_span=[1, 2])
                ],
            },
            "expected '甲' at \"subject_span\" 1-2, got '乙'",
        ),
    ],
)
def test_bad_rows_name_their_line(tmp_path, row, message):
    path = tmp_path / "bad.jsonl"
    good = {"text": "甲", "spo_list": []}
    path.write_text(json.dumps(good) + "\n" + json.dumps(row) + "\n", "utf-8")
    _, error = read(FORM, path)
    assert isinstance(error, DataError)
    assert str(error).startswith(f"{path}:2: ")
    assert message in str(error)


def test_an_empty_file_is_an_error(tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text("\n \n", "utf-8")
    with pytest.raises(DataError, match="got an empty file"):
        list(read(FORM, path))


def test_schema_files(tmp_path):
    rows = [
        {"subject_type": "企业", "predicate": "成立日期", "object_type": "Date"},
        {"subject_type": "机构", "predicate": "成立日期", "object_type": "Date"},
        {
            "subject_type": "人物",
            "predicate": "获奖",
            "object_type": {"@value": "奖项", "onDate": "Date"},
        },
    ]
    expected = {
        "成立日期": [("企业", "Date"), ("机构", "Date")],
        "获奖": [("人物", "奖项")],
        "获奖/onDate": [("人物", "Date")],
    }
    path = tmp_path / "schema.json"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert read_schema(path) == expected
    path.write_text(json.dumps(rows, indent=1), "utf-8")
    assert read_schema(path) == expected
    path.write_text('{"predicate": "生"}', "utf-8")
    with pytest.raises(DataError, match=r'schema.json:1: expected .* "subject_type"'):
        read_schema(path)


def test_a_predicate_that_the_schema_lacks(tmp_path):
    path = tmp_path / "schema.jsonl"
    row = {"subject_type": "人物", "predicate": "生", "object_type": "地点"}
    path.write_text(json.dumps(row), "utf-8")
    triples = [triple("甲", "生", "乙"), triple("甲", "死", "乙")]
    example, [bad] = parse("甲生于乙", *triples, form=TripleForm(path))
    assert set(example.strings) == {("甲", "生", "乙")}
    expected = "a.jsonl:3: triple 2: expected a predicate of the schema, got '死'"
    assert str(bad) == expected


def test_a_bad_line_is_told_without_the_problems_of_its_triples(tmp_path):
    path = tmp_path / "a.jsonl"
    row = {"text": "甲生于乙", "spo_list": [triple("甲", "生", "丙"), 5]}
    path.write_text(json.dumps(row), "utf-8")
    assert [str(x) for x in read(FORM, path)] == [
        f"{path}:1: triple 2: expected an object, got 5"
    ]


def test_every_count_of_a_small_file(tmp_path):
    """An argument inside another, a subject with two objects, a text without any."""
    path = tmp_path / "a.jsonl"
    rows = [
        {"text": "北京大学", "spo_list": [triple("北京大学", "位于", "北京")]},
        {
            "text": "甲生乙和丙",
            "spo_list": [triple("甲", "生", "乙"), triple("甲", "生", "丙")],
        },
        {"text": "甲生乙和丙", "spo_list": [triple("甲", "生", "乙")]},
        {"text": "", "spo_list": []},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    report = check(FORM, path, max_length=6, tokenizer=tiny_tokenizer())
    names = ("triples", "empty", "without_triples", "overlapping", "repeated")
    assert [report[name] for name in names] == [4, 1, 1, 1, 1]
    assert (report["format"], report["lines"], report["not_inside"]) == ("jsonl", 4, 0)
    assert report["labels"] == [
        {"predicate": "生", "count": 3, "subjects": 1, "objects": 2},
        {"predicate": "位于", "count": 1, "subjects": 1, "objects": 1},
    ]
    assert report["conflicts"] == [{"line": f"{path}:3", "first": f"{path}:2"}]
    assert (report["lengths"]["longest"], report["tokens"]["longest"]) == (5, 5)
    assert (report["windows"]["unit"], report["windows"]["longer"]) == ("tokens", 2)


def test_the_sample_is_canonical_and_clean(tmp_path):
    schema = sample("triple-extract", "train").with_name("schema.jsonl")
    texts = []
    for split in ("train", "dev"):
        path = sample("triple-extract", split)
        examples = list(read(TripleForm(schema), path))
        assert all(isinstance(example, TripleExample) for example in examples)
        texts += [example.text for example in examples]
        convert(FORM, path, tmp_path / f"{split}.jsonl")
        assert (tmp_path / f"{split}.jsonl").read_bytes() == path.read_bytes()
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(
    ("name", "triples", "missing"),
    [
        ("duie2.dev.jsonl.gz", 3730, 0),
        ("ske2019.dev.jsonl", 2073, 0),
        ("literature.dev.jsonl.gz", None, None),
    ],
)
def test_real_files(shared, name, triples, missing):
    report = check(FORM, shared(f"datasets/triple-extract/{name}"))
    assert report["not_inside"] == len(report["bad_lines"])
    if triples is not None:
        assert (report["triples"], report["not_inside"]) == (triples, missing)
