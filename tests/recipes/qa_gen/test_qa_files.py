"""Reading, checking and converting files of questions, good and bad."""

import gzip
import json

import pytest

from nlpcli.errors import DataError, NotFoundError, UsageError
from nlpcli.recipes.qa_gen.form import QaExample
from nlpcli.recipes.qa_gen.options import TaskOptions
from nlpcli.records import check as checks
from nlpcli.records import convert as converts
from nlpcli.records import read as reads
from nlpcli.records.lines import LONGEST_LINE
from nlpcli.text.tokenizers.load import subset, tiny_tokenizer

FORM = TaskOptions().form()
PASSAGE = "北京是中国的首都。上海是中国最大的城市。"
GOOD = {
    "id": "a",
    "passage": PASSAGE,
    "question": "中国的首都是哪里？",
    "answer": "北京",
    "answer_start": 0,
}


def read_examples(path):
    return reads.read(FORM, path)


def check(path, **options):
    return checks.check(FORM, path, **{"max_length": 268, **options})


def convert(source, target, **options):
    return converts.convert(FORM, source, target, **options)


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
    assert (first.text, first.answer, first.id) == (PASSAGE, "北京", "a")
    assert second.answer_start == 12
    assert third.answer_start == 3
    assert third.origin.endswith("data.jsonl:4")


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
    assert report["windows"]["unit"] == "characters"
    assert rows["passage"]["default"] == 192
    assert [row["part"] for row in report["labels"]] == [
        "passage",
        "answer",
        "question",
    ]


def test_lengths_are_of_what_is_read(write):
    """Spaces are no tokens; passage, answer, question and 4 special tokens are one."""
    spaced = {**GOOD, "passage": " 北京 是\n中国的首都。", "answer_start": 1}
    report = check(write(spaced), max_length=9 + 2 + 9 + 4)
    assert report["lengths"]["longest"] == 20
    assert report["windows"]["longer"] == 0
    assert check(write(spaced), max_length=23)["windows"]["longer"] == 1


def test_check_counts_characters_unknown_to_a_tokenizer(write):
    whole = tiny_tokenizer()
    text = "".join(GOOD[part] for part in ("passage", "question", "answer"))
    known = {whole.vocab.index[character] for character in text} - {
        whole.vocab.index["京"]
    }
    tokenizer, _ = subset(whole, sorted(known))
    report = check(write(GOOD), tokenizer=tokenizer)
    assert report["unknown"] == round(2 / len(text), 4)
    assert report["tokens"]["longest"] == len(text) == 31
    assert report["windows"]["unit"] == "tokens"


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


@pytest.mark.parametrize(
    ("passage", "answer", "start", "wanted"),
    [
        (PASSAGE, "首都", -1, ("首都", 6)),
        (PASSAGE, "首都", "-1", ("首都", 6)),
        (PASSAGE, "中国", -1, ("中国", 3)),
        (PASSAGE, "中国", 20, ("中国", 12)),
        (PASSAGE, "首都", 0, ("首都", 6)),
        (f" {PASSAGE}", "北京", 0, ("北京", 1)),
        (f"\u3000{PASSAGE}", "上海", 9, ("上海", 10)),
        (PASSAGE, " 首都", 5, ("首都", 6)),
        ("他说YES。", "YES", 0, ("YES", 2)),
    ],
)
def test_a_missing_or_wrong_start_is_found(
    write, tmp_path, passage, answer, start, wanted
):
    row = {"context": passage, "question": "？", "answer": answer}
    report, rows = converted(tmp_path, write({**row, "answer_start": start}))
    assert (report["examples"], report["corrected"]) == (1, 1)
    assert (report["unanswerable"], report["skipped"]) == (0, 0)
    assert [(row["answer"], row["answer_start"]) for row in rows] == [wanted]
    assert isinstance(*read_examples(tmp_path / "out.jsonl"), QaExample)
    report, again = converted(tmp_path, write({**row, "answer_start": None}))
    assert report["corrected"] == 0
    report, again = converted(tmp_path, write(*rows))
    assert (again, report["corrected"]) == (rows, 0)


@pytest.mark.parametrize(
    "unanswerable",
    [
        {"answers": [{"text": "FAKE_ANSWER_1", "answer_start": -1}]},
        {"answers": [{"text": "广州", "answer_start": -1}] * 3},
        {"answers": [{"text": "YES", "answer_start": -1}]},
        {"answers": [{"text": "NO", "answer_start": "-1"}]},
        {"answers": {"text": ["YES"], "answer_start": [-1]}},
        {"answer": "NO", "answer_start": -1},
        {"answers": [{"text": "北京", "answer_start": -1}], "is_impossible": True},
        {"answers": [{"text": "北京", "answer_start": 0}], "is_impossible": "True"},
        {"is_impossible": True},
        {"answers": []},
        {"answers": None},
        {"answers": {"text": [], "answer_start": []}},
        {"answers": [{"text": "", "answer_start": 0}]},
        {"answers": [""]},
        {"answer": ""},
    ],
)
def test_questions_without_an_answer_are_told(write, tmp_path, unanswerable):
    """Yes and no at -1 are none either where the words stand in the passage."""
    row = {"context": f"{PASSAGE}YES, NO", "question": "？", **unanswerable}
    report, rows = converted(tmp_path, write(row))
    assert (report["unanswerable"], report["skipped"], rows) == (1, 0, [])


def test_of_several_answers_the_first_that_stands_counts(write, tmp_path):
    answers = [("YES", -1), ("广州", -1), ("首都", -1), ("北京", 0)]
    source = write(json.dumps(squad(question(*answers), question(("广州", -1)))))
    report, (row,) = converted(tmp_path, source)
    assert (row["answer"], row["answer_start"]) == ("首都", 6)
    assert (report["corrected"], report["unanswerable"]) == (1, 1)


def test_convert_says_what_it_read(write, tmp_path):
    nested = write(json.dumps(squad(question(("北京", 0)), question(("广州", 4)))))
    report, _ = converted(tmp_path, nested, skip_bad=True)
    assert (report["from"], report["not_inside"], report["skipped"]) == ("squad", 1, 1)
    report, _ = converted(tmp_path, write(GOOD, GOOD))
    assert (report["from"], report["not_inside"]) == ("jsonl", 0)
    far = write({**GOOD, "answer_start": 3})
    with pytest.raises(DataError, match="it stands at 0"):
        converted(tmp_path, far, source_format="jsonl")
    assert converted(tmp_path, far, source_format="squad")[0]["corrected"] == 1


def test_a_file_may_be_one_long_line(write, tmp_path):
    whole = json.dumps(squad(question(("北京", 0)))) + " " * LONGEST_LINE
    assert converted(tmp_path, write(whole))[0]["examples"] == 1


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
        ('{"data": [], "data": []\n}', "the name 'data' stands twice"),
        ('[{"id": NaN}]', "NaN is no finite number"),
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
