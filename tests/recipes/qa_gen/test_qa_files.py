"""Reading, checking and converting files of questions, good and bad."""

import gzip
import json

import numpy as np
import pytest

from nlpcli.errors import DataError, NotFoundError, UsageError
from recipes.qa_gen.check import check
from recipes.qa_gen.convert import convert
from recipes.qa_gen.examples import QaExample, read_examples

PASSAGE = "北京是中国的首都。上海是中国最大的城市。"
GOOD = {
    "id": "a",
    "passage": PASSAGE,
    "question": "中国的首都是哪里？",
    "answer": "北京",
    "answer_start": 0,
}


@pytest.fixture
def write(tmp_path):
    def write(*rows, name="data.jsonl"):
        path = tmp_path / name
        lines = [r if isinstance(r, str) else json.dumps(r) for r in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def test_read(write):
    later = {**GOOD, "answer": "中国", "answer_start": 12}
    unsaid = {k: v for k, v in later.items() if k not in ("id", "answer_start")}
    first, second, third = read_examples(write(GOOD, later, "", unsaid))
    assert (first.text, first.answer_end, first.id) == (PASSAGE, 2, "a")
    assert second.answer_start == 12
    assert third.answer_start == 3
    assert third.line.endswith("data.jsonl:4")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer_start": 2}, "at answer_start 2, got '是中' (it stands at 0)"),
        ({"answer_start": -20}, "at answer_start -20, got ''"),
        ({"answer_start": "0"}, 'an integer for "answer_start", got "0"'),
        ({"answer_start": True}, 'an integer for "answer_start", got true'),
        ({"answer": "广州", "answer_start": None}, "that stands in the passage"),
        ({"answer": "  "}, 'text for "answer", got "  "'),
        ({"question": ""}, 'text for "question", got ""'),
        ({"passage": 7}, 'text for "passage", got 7'),
    ],
)
def test_bad_rows_stand_in_their_place(write, change, message):
    bad, good = read_examples(write({**GOOD, **change}, GOOD))
    assert isinstance(bad, DataError)
    assert "data.jsonl:1: expected" in str(bad)
    assert message in str(bad)
    assert isinstance(good, QaExample)


def test_bad_files(write, tmp_path):
    (bad,) = read_examples(write({"context": "x"}))
    assert '"passage", got the keys "context"' in str(bad)
    assert "nlpcli data convert" in str(bad)
    with pytest.raises(DataError, match="empty file"):
        list(read_examples(write("", name="empty.jsonl")))
    with pytest.raises(NotFoundError):
        list(read_examples(tmp_path / "none.jsonl"))


def test_check(write):
    far = {**GOOD, "answer_start": 3}
    other = {**GOOD, "answer": "上海", "answer_start": 9}
    long = {**GOOD, "passage": "北京" + "。" * 300}
    report = check(write(GOOD, far, GOOD, other, long, "{", GOOD), limit=6)
    assert json.loads(json.dumps(report)) == report
    assert (report["examples"], report["passages"]) == (4, 2)
    assert len(report["bad_lines"]) == 2
    assert report["not_inside"] == 1
    assert [row["line"][-2:] for row in report["duplicates"]] == [":3"]
    assert [row["line"][-2:] for row in report["conflicts"]] == [":4"]
    rows = {row["part"]: row for row in report["labels"]}
    assert (rows["passage"]["longest"], rows["passage"]["over_default"]) == (302, 1)
    assert (rows["answer"]["mean"], rows["question"]["median"]) == (2, 9)
    assert report["windows"]["longer"] == 1


def test_check_counts_characters_unknown_to_a_tokenizer(write):
    class Tokenizer:
        class vocab:
            unk_id = 1

        def character_ids(self, text):
            return np.array([1 if c == "京" else 5 for c in text])

    report = check(write(GOOD), tokenizer=Tokenizer())
    assert report["unknown_characters"] == 1


def squad(*questions, key="context"):
    return {
        "version": "v",
        "data": [{"title": "t", "paragraphs": [{key: PASSAGE, "qas": [*questions]}]}],
    }


def question(*answers, **more):
    return {
        "id": 7,
        "question": "首都？",
        "answers": [{"text": t, "answer_start": s} for t, s in answers],
        **more,
    }


def converted(tmp_path, source, **options):
    target = tmp_path / "out.jsonl"
    report = convert(source, target, force=True, **options)
    return report, [json.loads(line) for line in target.read_text().splitlines()]


def test_convert_nested(write, tmp_path):
    source = write(
        json.dumps(
            squad(
                question(("北京", 0), ("首都", 6)),
                question(("北京", "0"), is_impossible="false"),  # DRCD, CAIL
                question(("中国", 13)),  # one off
                question(("YES", -1)),
                question(is_impossible=True),
                question(("北京", 0), is_impossible="true"),
                question(),
            ),
            indent=1,
            ensure_ascii=False,
        )
    )
    report, rows = converted(tmp_path, source)
    assert report["examples"] == 3
    assert (report["unanswerable"], report["corrected"], report["skipped"]) == (4, 1, 0)
    assert [row["answer_start"] for row in rows] == [0, 0, 12]
    assert rows[0] == {**GOOD, "id": "7", "question": "首都？"}
    assert all(
        isinstance(item, QaExample) for item in read_examples(tmp_path / "out.jsonl")
    )


def test_convert_cmrc_trial_and_flat_dialects(write, tmp_path):
    trial = [
        {
            "context_id": "T",
            "context_text": PASSAGE,
            "qas": [{"query_id": "Q", "query_text": "首都？", "answers": ["北京"]}],
        }
    ]
    flat = {
        "context": PASSAGE,
        "question": "首都？",
        "id": "Q",
        "answers": {"text": ["北京"], "answer_start": [0]},
    }
    canonical = {**GOOD, "id": "Q", "question": "首都？"}
    for source in (
        write(json.dumps(trial)),
        write(flat),
        write(flat, flat),
        write(canonical, canonical),
    ):
        _, rows = converted(tmp_path, source)
        assert {json.dumps(row) for row in rows} == {json.dumps(canonical)}


def test_convert_compresses_and_refuses_to_overwrite(write, tmp_path):
    target = tmp_path / "out.jsonl.gz"
    convert(write(GOOD), target)
    assert json.loads(gzip.decompress(target.read_bytes())) == GOOD
    with pytest.raises(UsageError, match="--force"):
        convert(write(GOOD), target)
    with pytest.raises(NotFoundError):
        convert(write(GOOD), tmp_path / "no" / "out.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            json.dumps(squad(question(("广州", 4)))),
            r"data\[0\].paragraphs\[0\].qas\[0\]",
        ),
        (json.dumps(squad(question((7, 4)))), "expected answers with text"),
        (json.dumps(squad(question(("北京", 0)), key="text")), "expected a passage"),
        (
            json.dumps({"data": [{"paragraphs": 4}]}),
            "paragraphs: expected a list, got 4",
        ),
        (json.dumps({"data": ["x"]}), r'data\[0\]: expected an object, got "x"'),
        (json.dumps([[3]]), r"\[0\]\[0\]: expected an object, got 3"),
        ('{"data": [', r"expected JSON \("),
        ("一", "expected JSON"),
        ("3", "expected a JSON object or list, got '3'"),
        ("", "empty file"),
    ],
)
def test_convert_says_what_is_wrong_and_where(write, tmp_path, content, message):
    source = write(content)
    with pytest.raises(DataError, match=message) as caught:
        convert(source, tmp_path / "out.jsonl")
    assert "data.jsonl: " in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_convert_skips_bad_ones(write, tmp_path):
    source = write(squad(question(("广州", 4)), question(("北京", 0))))
    report, rows = converted(tmp_path, source, skip_bad=True)
    assert (report["skipped"], len(rows)) == (1, 1)
    report, rows = converted(tmp_path, write(GOOD, "{", GOOD), skip_bad=True)
    assert (report["skipped"], len(rows)) == (1, 2)


def test_a_bad_byte_is_named(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\n")
    with pytest.raises(DataError, match=r"data.jsonl:2: expected UTF-8"):
        convert(path, tmp_path / "out.jsonl")
