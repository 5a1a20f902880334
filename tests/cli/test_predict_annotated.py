"""``predict --format``: answers that annotation tools import, bad lines among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nlpcli.errors import DataError
from nlpcli.recipes.classify.form import ClassifyForm
from nlpcli.recipes.ner.form import NerForm
from nlpcli.recipes.triple_extract.form import TripleForm
from nlpcli.records.convert import convert
from nlpcli.records.form import Form
from nlpcli.records.row import Row
from tests.cli.fake_engine import Engine, call

FORMATS = ("doccano", "label-studio")
TEXT = "王明在北京写了《春》"
PERSON = {"start": 0, "end": 2, "label": "人物", "text": "王明", "score": 0.9}
TRIPLE = {
    "subject": "春",
    "predicate": "作者",
    "object": "王明",
    "subject_span": [8, 9],
    "object_span": [0, 2],
    "score": 0.8,
}
TYPED = {**TRIPLE, "subject_type": "作品", "object_type": "人物"}
CHANCE = {"label": "文学", "probability": 0.7}
OTHER = {"label": "人物", "probability": 0.6}
CASES: list[tuple[str, Form[Any], dict[str, Any], dict[str, Any]]] = [
    (
        "ner",
        NerForm(),
        {"entities": [PERSON]},
        {"entities": [{"start": 0, "end": 2, "label": "人物"}]},
    ),
    ("ner", NerForm(), {"entities": []}, {"entities": []}),
    *(
        ("triple-extract", TripleForm(), {"spo_list": [found]}, {"spo_list": [kept]})
        for found in (TRIPLE, TYPED)
        for kept in [{k: v for k, v in found.items() if k != "score"}]
    ),
    ("triple-extract", TripleForm(), {"spo_list": []}, {"spo_list": []}),
    ("classify", ClassifyForm(), CHANCE, {"label": "文学"}),
    (
        "classify",
        ClassifyForm(),
        {"labels": [CHANCE, OTHER], "top": [CHANCE, OTHER]},
        {"labels": sorted(["文学", "人物"])},
    ),
]


def answers_with(engine: Engine, answer: dict[str, Any]) -> None:
    """Every text gets this answer, but for "odd", which has none."""

    def predict(rows: list[Row]) -> list[Any]:
        odd = DataError("cannot be answered")
        return [odd if row.get("text") == "odd" else dict(answer) for row in rows]

    engine.predict = predict  # type: ignore[method-assign]


def read_back(form: Form[Any], path: Path) -> list[Any]:
    """What the converter makes of a file, bad lines left out."""
    convert(form, path, path.with_name("back.jsonl"), skip_bad=True, force=True)
    lines = path.with_name("back.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("recipe", "form", "answer", "row"), CASES)
def test_the_converter_reads_answers_back(
    engine: Engine,
    kind: str,
    recipe: str,
    form: Form[Any],
    answer: dict[str, Any],
    row: dict[str, Any],
) -> None:
    answers_with(engine, answer)
    words = ("predict", recipe, "--format", kind, TEXT, "又来了王明，写《春》吧")
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert call(*words, "--output", "o").exit_code == 0
    assert Path("o").read_text("utf-8") == result.stdout
    if "spo_list" in row or "entities" in row:
        (first, *_) = read_back(form, Path("o"))
    else:
        first, second = read_back(form, Path("o"))
        assert {k: v for k, v in second.items() if k != "text"} == row
    assert first == {"text": TEXT, **row}


def tasks(output: str, kind: str) -> list[Any]:
    """The items of an output, which must be whole JSON of its kind."""
    if kind == "doccano":
        return [json.loads(line) for line in output.splitlines()]
    found = json.loads(output)
    assert isinstance(found, list)
    return found


LINES = (
    b'{"id": 1, "text": "\xe5\x8c\x97\xe4\xba\xac"}\n{"id": 2}\n{"text": "odd"}\n\xff\n'
)


@pytest.mark.parametrize("kind", FORMATS)
def test_bad_lines_leave_the_output_whole(engine: Engine, kind: str) -> None:
    words = ("predict", "ner", "--format", kind, "--on-error", "skip", "--output", "o")
    result = call(*words, stdin=LINES + b'{"text": "x"}')
    assert result.exit_code == 4
    found = tasks(Path("o").read_text("utf-8"), kind)
    data = [item["data"] if kind == "label-studio" else item for item in found]
    assert [item["text"] for item in data] == ["北京", "", "odd", "", "x"]
    assert [item.get("id") for item in data] == [1, 2, None, None, None]
    errors = [item.get("meta", item).get("error") for item in data]
    assert [error is not None for error in errors] == [False, True, True, True, False]
    assert errors[2] == {"code": 4, "message": "stdin:3: cannot be answered"}
    assert all("error" not in item for item in found) or kind == "doccano"
    rows = read_back(NerForm(), Path("o"))
    assert [row["text"] for row in rows] == ["北京", "x"], "an error is no answer"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_bad_first_line_hides_no_format(engine: Engine, kind: str) -> None:
    words = ("predict", "ner", "--format", kind, "--on-error", "skip", "--output", "o")
    assert call(*words, stdin=b"odd\nodd\n" + "北京\n".encode()).exit_code == 4
    report = convert(NerForm(), "o", "back.jsonl", skip_bad=True)
    assert (report["from"], report["examples"], report["skipped"]) == (kind, 1, 2)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_whole_or_not_at_all(engine: Engine, kind: str) -> None:
    words = ("predict", "ner", "--format", kind, "--output", "o")
    for stdin, code in (("北京\nodd\n", 4), ("北京\nboom\n", 1)):
        assert call(*words, stdin=stdin).exit_code == code
        assert [path.name for path in Path().iterdir()] == []
    assert call(*words, "北京").exit_code == 0
    kept = Path("o").read_bytes()
    assert call(*words, "x").exit_code == 2, "an output that exists is refused"
    assert call(*words, "--force", stdin="x\nodd\n").exit_code == 4
    assert Path("o").read_bytes() == kept


def test_no_lines_are_an_empty_list(engine: Engine) -> None:
    result = call("predict", "ner", "--format", "label-studio", stdin="")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_many_lines_are_one_list(engine: Engine) -> None:
    words = ("predict", "ner", "--format", "label-studio", "--batch-size", "4")
    result = call(*words, stdin="".join(f"{i}\n" for i in range(200)))
    texts = [task["data"]["text"] for task in json.loads(result.stdout)]
    assert texts == [str(i) for i in range(200)]


def test_a_prediction_is_told_from_an_annotation(engine: Engine) -> None:
    (found,) = json.loads(call("predict", "ner", "--format", FORMATS[1], "北京").stdout)
    assert list(found) == ["data", "predictions"]
    value = {"start": 0, "end": 2, "text": "北京", "labels": ["LOC"]}
    assert found["predictions"][0]["result"][0]["value"] == value


@pytest.mark.parametrize("kind", FORMATS)
def test_a_pair_is_one_text_with_a_tab(engine: Engine, kind: str) -> None:
    answers_with(engine, {"text": "甲\t乙", **CHANCE})
    line = json.dumps({"text_a": "甲", "text_b": "乙"})
    words = ("predict", "classify", "--format", kind, "--output", "o")
    assert call(*words, stdin=line).exit_code == 0
    (row,) = read_back(ClassifyForm(), Path("o"))
    assert row == {"text_a": "甲", "text_b": "乙", "label": "文学"}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_blank_text_has_no_label(engine: Engine, kind: str) -> None:
    answers_with(engine, {"label": None})
    result = call("predict", "classify", "--format", kind, stdin="\n")
    (found,) = tasks(result.stdout, kind)
    assert result.exit_code == 0
    if kind == "doccano":
        assert found == {"text": "", "label": []}
    else:
        assert found == {"data": {"text": ""}, "predictions": [{"result": []}]}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_recipe_that_marks_nothing_says_so(engine: Engine, kind: str) -> None:
    result = call("predict", "simbert", "--format", kind, "北京")
    assert (result.exit_code, engine.calls) == (2, [])
    assert f"--format {kind}: recipe simbert marks nothing in a text" in result.stderr
