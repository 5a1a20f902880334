"""Reading, converting and checking files of word problems."""

from __future__ import annotations

import gzip
import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nlpcli.cli.data_report import report_text
from nlpcli.decoders.arithmetic import arithmetic
from nlpcli.decoders.automaton import END, START, allowed, step
from nlpcli.errors import DataError, NotFoundError, UsageError
from nlpcli.files.json_text import dumps
from nlpcli.recipes.math_qa.form import MathExample, MathForm
from nlpcli.recipes.math_qa.numbers import allowed_numbers
from nlpcli.records.check import check
from nlpcli.records.convert import convert
from nlpcli.records.read import read
from nlpcli.text.expression import tokens

FORM = MathForm()

ROWS = [
    {"question": "有6个苹果和4个梨，共几个？", "equation": "x=6+4", "answer": "10个"},
    {"question": "180元的25%是几元？", "equation": "x=180*0.25", "answer": "45"},
    {
        "question": "长3(1/2)米的一半是几米？",
        "equation": "x=3(1/2)/2",
        "answer": "1.75",
    },
    {
        "question": "57棵活了，共60棵，求成活率",
        "equation": "x=57/60*100%",
        "answer": "95%",
    },
    {"question": "边长3的正方体有多大？", "equation": "x=3**3", "answer": "27"},
    {"question": "从零下3度降4度是几度？", "equation": "x=-3-4", "answer": "-7"},
]
WRONG = {"question": "6减4得几？", "equation": "x=6+4", "answer": "2"}


def write(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_reads_cleaned_examples_with_their_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "", *ROWS[:2])
    first, second = read(FORM, path)
    assert first == MathExample(ROWS[0]["question"], "6+4", Fraction(10), f"{path}:2")
    assert isinstance(second, MathExample)
    assert second.expression == "180*25%"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[1]", "expected a JSON object"),
        ({"question": "1"}, 'expected the key "equation", got the keys "question"'),
        ({**ROWS[0], "answer": 10}, 'expected a string for "answer", got 10'),
        ({"ans": "1", "original_text": "1"}, "nlpcli data convert"),
        (WRONG, 'equation "6+4" gives 10, but the answer is 2'),
        ({**ROWS[0], "equation": "x=6+"}, 'expected a number or "(", got the end'),
        ({**ROWS[0], "equation": "x=2**99999999"}, "overflow"),
    ],
)
def test_bad_lines_stand_in_their_place(tmp_path: Path, row: Any, message: str) -> None:
    path = write(tmp_path / "a.jsonl", ROWS[0], row, ROWS[1])
    good, bad, behind = read(FORM, path)
    assert isinstance(good, MathExample)
    assert isinstance(behind, MathExample)
    assert isinstance(bad, DataError)
    assert str(bad).startswith(f"{path}:2: ")
    assert message in str(bad)


def test_empty_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty file"):
        list(read(FORM, write(tmp_path / "a.jsonl", "")))
    with pytest.raises(NotFoundError):
        list(read(FORM, tmp_path / "b.jsonl"))


def line_of(example: Any) -> str:
    assert isinstance(example, MathExample)
    return dumps(FORM.row(example))


def published(row: dict[str, str], number: int) -> dict[str, str]:
    return {
        "id": str(number),
        "segmented_text": " ".join(row["question"]),
        "original_text": row["question"],
        "ans": row["answer"],
        "equation": row["equation"],
    }


def file_in(kind: str, path: Path) -> Path:
    rows = [published(row, number) for number, row in enumerate(ROWS)]
    if kind == "math23k":
        objects = [json.dumps(row, indent=2, ensure_ascii=False) for row in rows]
        return write(path, *objects)
    if kind == "list":
        return write(path, json.dumps(rows, indent=1))
    if kind == "one-line":
        return write(path, json.dumps(rows))
    if kind == "segmented":
        rows = [{k: v for k, v in row.items() if k != "original_text"} for row in rows]
    return write(path, *(ROWS if kind == "canonical" else rows))


@pytest.mark.parametrize(
    "kind", ["ape210k", "math23k", "list", "one-line", "segmented", "canonical"]
)
def test_converts_what_is_published(tmp_path: Path, kind: str) -> None:
    destination = tmp_path / "out.jsonl.gz"
    report = convert(FORM, file_in(kind, tmp_path / "in.json"), destination)
    assert (report["examples"], report["skipped"], report["unfit"]) == (6, 0, {})
    direct = read(FORM, write(tmp_path / "direct.jsonl", *ROWS))
    converted = list(read(FORM, destination))
    for example, expected in zip(converted, direct, strict=True):
        assert isinstance(example, MathExample)
        assert isinstance(expected, MathExample)
        assert line_of(example) == line_of(expected)
    lines = gzip.decompress(destination.read_bytes()).decode().splitlines()
    assert lines == [line_of(e) for e in converted if isinstance(e, MathExample)]


def test_convert_stops_at_a_bad_row_or_counts_it(tmp_path: Path) -> None:
    broken = '{\n"id": "7",\n"original_text": "断'
    source = write(tmp_path / "in.json", published(ROWS[0], 1), broken, WRONG, "?")
    destination = tmp_path / "out.jsonl"
    with pytest.raises(DataError, match=r"in\.json:2: expected a JSON object"):
        convert(FORM, source, destination)
    assert not destination.exists()
    report = convert(FORM, source, destination, skip_bad=True)
    assert (report["examples"], report["skipped"]) == (1, 3)
    assert report["unfit"] == {"another answer": 1}
    with pytest.raises(UsageError, match="--force"):
        convert(FORM, source, destination, skip_bad=True)
    convert(FORM, source, destination, skip_bad=True, force=True)
    with pytest.raises(NotFoundError):
        convert(FORM, source, tmp_path / "none" / "out.jsonl")
    with pytest.raises(DataError, match="empty file"):
        convert(FORM, write(tmp_path / "empty", ""), tmp_path / "x.jsonl")


def test_answers_may_be_numbers_in_published_files(tmp_path: Path) -> None:
    row = {**published(ROWS[0], 1), "ans": 10}
    assert (
        convert(FORM, write(tmp_path / "a", row), tmp_path / "b.jsonl")["examples"] == 1
    )


def test_published_files_are_strict_json(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    text = dumps(published(ROWS[0], 1))
    bad = [
        text.replace('"10个"', "NaN"),
        text.replace('"10个"', "1e999"),
        text.replace("{", '{"ans": "10", ', 1),
        dumps({**published(ROWS[0], 1), "more": deep}),
    ]
    source = write(tmp_path / "a", *bad, text)
    report = convert(FORM, source, tmp_path / "b.jsonl", skip_bad=True)
    assert (report["examples"], report["skipped"]) == (1, 4)
    with pytest.raises(DataError, match=r"a:1: .*NaN is no finite number"):
        convert(FORM, source, tmp_path / "c.jsonl")


class Characters:
    """A tokenizer of a piece a character, with four more for each text."""

    vocab = SimpleNamespace(unk_id=0)

    def encode_batch(self, texts: Any) -> Any:
        raise AssertionError("each character is a token")

    def encode_characters(self, text: str) -> Any:
        return SimpleNamespace(token_ids=np.arange(len(text) + 4))


def test_check_reports_on_a_file(tmp_path: Path) -> None:
    rows = [*ROWS, WRONG, ROWS[0], {**ROWS[0], "equation": "x=6-4", "answer": "2"}]
    path = write(tmp_path / "a.jsonl", *rows, {**ROWS[0], "equation": "x=48-38"})
    report = check(FORM, path, max_length=12, tokenizer=Characters())
    assert json.loads(json.dumps(report)) == report
    assert (report["lines"], report["examples"]) == (10, 9)
    assert report["unfit"] == {"another answer": 1}
    assert len(report["bad_lines"]) == 1
    places = ("question", "constants", "elsewhere")
    assert [report[f"numbers_{place}"] for place in places] == [18, 0, 2]
    assert report["covered"] == round(8 / 9, 4)
    operators = {row["operator"]: row["count"] for row in report["labels"]}
    assert operators == {"+": 3, "-": 4, "*": 1, "/": 3, "^": 1, "(": 1}
    assert report["duplicates"] == [
        {"line": f"{path}:{line}", "first": f"{path}:1"} for line in (8, 10)
    ]
    assert report["conflicts"] == [{"line": f"{path}:9", "first": f"{path}:1"}]
    assert sum(row["count"] for row in report["lengths"]["histogram"]) == 9
    assert report["tokens"]["longest"] == report["lengths"]["longest"] + 2 * 4
    windows = report["windows"]
    assert [windows[key] for key in ("unit", "max_length", "longer")] == [
        "tokens",
        12,
        9,
    ]
    assert "in windows" not in report_text(report)
    assert "operator" in report_text(report)
    assert check(FORM, path, limit=2)["examples"] == 2


def test_the_grammar_lets_every_example_through(tmp_path: Path) -> None:
    characters = "#0123456789.%+-*/^()"
    for example in read(FORM, write(tmp_path / "a.jsonl", *ROWS)):
        assert isinstance(example, MathExample)
        automaton = arithmetic(
            allowed_numbers(example.text),
            lambda text: [characters.index(c) for c in text],
            end_id=0,
        )
        text = "".join(tokens(example.expression))
        token_ids = [characters.index(character) for character in text] + [0]
        state, depth = START, 0
        for used, token in enumerate(token_ids):
            edges = allowed(automaton, state, depth, len(token_ids) - used)
            assert (edges & (automaton.token == token)).any(), (text, used)
            state, depth = map(int, step(automaton, state, depth, token))
        assert state == END
