"""Ten times the text takes about ten times as long: no line stops everything."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlpcli.config import types
from nlpcli.config.nearest import nearest
from nlpcli.config.yaml_file import parse_yaml
from nlpcli.errors import ConfigError, DataError
from nlpcli.files.json_file import NotJson, parse_json
from nlpcli.files.json_text import dumps, readable
from nlpcli.metrics.distinct import distinct
from nlpcli.metrics.exact_match import normalise
from nlpcli.metrics.rouge import rouge
from nlpcli.recipes.classify.form import ClassifyForm
from nlpcli.recipes.couplet.form import CoupletForm
from nlpcli.recipes.couplet.tones import tonal_agreement
from nlpcli.recipes.couplet.verse import broken_rules, verse_features
from nlpcli.recipes.dialog.form import DialogForm, join_turns, split_turns, without_cuts
from nlpcli.recipes.dialog.layout import recent, stretches
from nlpcli.recipes.math_qa.cleaning import clean_row
from nlpcli.recipes.math_qa.form import MathForm
from nlpcli.recipes.math_qa.numbers import align
from nlpcli.recipes.ner.form import NerForm
from nlpcli.recipes.ner.recipe import NerRecipe
from nlpcli.recipes.qa_gen.form import QaForm
from nlpcli.recipes.simbert.form import SimilarityForm
from nlpcli.recipes.title.form import TitleForm
from nlpcli.recipes.triple_extract.form import TripleForm, locate
from nlpcli.recipes.triple_extract.recipe import TripleRecipe
from nlpcli.recipes.triple_extract.schema import read_schema
from nlpcli.records.annotation import doccano
from nlpcli.records.check import check
from nlpcli.records.columns import column_lines, is_column_line
from nlpcli.records.convert import convert
from nlpcli.records.form import Form
from nlpcli.records.lengths import Lengths
from nlpcli.records.lines import Lines
from nlpcli.records.pairs import texts_of
from nlpcli.records.row import Row
from nlpcli.records.tally import Tally
from nlpcli.tasks.labels import Labels
from nlpcli.text.expression import ExpressionError, parse
from nlpcli.text.numerals import written_numbers
from nlpcli.text.passages import read_passage, window_around, windows
from nlpcli.text.tokenizers.load import tiny_tokenizer
from nlpcli.text.tokenizers.word_level import WordTokenizer
from nlpcli.text.windows import cut_windows, merge_spans

MOST = 30.0  # times as long for ten times as much; a square takes a hundred times
FLOOR = 0.02  # seconds that are too short to be compared
TOKENIZER = tiny_tokenizer()
WORDS = WordTokenizer(TOKENIZER.vocab)


def again(unit: str) -> Callable[[int], str]:
    return lambda size: (unit * (size // len(unit) + 1))[:size]


def different(size: int) -> str:
    """Letters, none of them twice."""
    return "".join(chr(0x20000 + i) for i in range(size))


EVIL = {
    "letter": again("a"),
    "character": again("天"),
    "different": different,
    "spaces": again(" "),
    "tabs": again("a\t"),
    "digits": again("1"),
    "brackets": again("("),
    "mixed-numbers": again("1(1/2)"),
    "chinese-numbers": again("千一"),
    "quotes": again('"'),
    "backslashes": again("\\|"),
    "ends": again("。\n"),
    "accents": lambda size: "a" + "\u0301" * size,
    "controls": again("\x01\u202e"),
    "sigmas": again("Σ'"),
    "surrogates": again("\ud800"),
}


def window_in_the_middle(text: str) -> None:
    passage = read_passage(TOKENIZER, text)
    if middle := len(passage) // 2:
        window_around(passage, middle, middle + 1, 256)


TEXTS: dict[str, Callable[[str], Any]] = {
    "broken_rules": lambda t: broken_rules(t, t[::-1]),
    "verse_features": lambda t: verse_features(t, np.zeros(len(t)), [0] * len(t)),
    "tonal_agreement": lambda t: tonal_agreement(t, t),
    "written_numbers": written_numbers,
    "align": lambda t: align(["12", "0.5"], t),
    "clean_question": lambda t: clean_row(f"题1{t}", "x=1", "1"),
    "clean_equation": lambda t: clean_row("题1", f"x=1{t}", "1"),
    "clean_answer": lambda t: clean_row("题1", "x=1", f"1({t}"),
    "expression": parse,
    "pieces": TOKENIZER.encode,
    "characters": TOKENIZER.encode_characters,
    "words": WORDS.encode,
    "cut_windows": lambda t: cut_windows(np.arange(len(t)), 254, 512, 64, t),
    "passage": lambda t: windows(read_passage(TOKENIZER, t), 256),
    "window_around": window_in_the_middle,
    "split_turns": split_turns,
    "join_turns": lambda t: join_turns([t]),
    "without_cuts": without_cuts,
    "texts_of": lambda t: texts_of(Row({"text": t})),
    "locate": lambda t: locate(t, t[: len(t) // 2], t[-1:], "f:1"),
    "locate_much": lambda t: locate(t, t[:1], t[1:2], "f:1"),
    "dumps": dumps,
    "readable": readable,
    "parse_json": parse_json,
    "parse_string": lambda t: parse_json(json.dumps({"text": t})),
    "is_column_line": lambda t: is_column_line(f"天 {t}"),
    "column_lines": lambda t: list(column_lines(t, [], "BIO", "f:1")),
    "normalise": normalise,
    "distinct": lambda t: distinct([t], 2),
    "rouge": lambda t: rouge([t[:64]], [t]),
    "number": lambda t: types.convert(f"{t}x", float, {}),
    "nearest": lambda t: nearest(("a", t), [("a", "lr"), ("b", "learning_rate")]),
    "yaml": lambda t: parse_yaml(f"a: {t}", "f"),
}
BAD = (ConfigError, DataError, ExpressionError, NotJson, types.Mismatch)


@pytest.mark.parametrize("name", TEXTS)
def test_of_a_text(name: str) -> None:
    def work(text: str) -> None:
        with suppress(*BAD):  # a bad line, told in time
            TEXTS[name](text)

    for kind, make in EVIL.items():
        assert grows(work, make, 4000), kind


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def entities(size: int) -> dict[str, Any]:
    spans = [{"start": i, "end": i + 1, "label": "A"} for i in range(size)]
    return {"text": "天" * size, "entities": spans}


def triples(size: int, subject: str = "天", **more: Any) -> dict[str, Any]:
    spo = {"subject": subject, "object": "地", **more}
    spo_list = [{**spo, "predicate": f"p{i}"} for i in range(size)]
    return {"text": "天地" * size, "spo_list": spo_list}


def placed_triples(size: int) -> dict[str, Any]:
    row = triples(size)
    for i, spo in enumerate(row["spo_list"]):
        spo["subject_span"], spo["object_span"] = (
            [2 * i, 2 * i + 1],
            [2 * i + 1, 2 * i + 2],
        )
    return row


def studio(size: int) -> list[Any]:
    """A task of Label Studio whose spans count UTF-16 units."""
    value = {"text": "天", "labels": ["A"]}
    result = [
        {"value": {**value, "start": 3 * i + 2, "end": 3 * i + 3}} for i in range(size)
    ]
    data = {"data": {"text": "😀天" * size}, "annotations": [{"result": result}]}
    return [data]


def squad(size: int) -> dict[str, Any]:
    answers = [{"text": f"x{i}", "answer_start": 10} for i in range(size)]
    question = {"id": "1", "question": "何", "answers": answers}
    passage = {"context": "天地" * 500, "qas": [question]}
    return {"data": [{"paragraphs": [passage]}]}


# what is read, a file of some size, and how many items the smaller one has
FILES: dict[str, tuple[Form[Any], Callable[[int], str], int]] = {
    "entities": (NerForm(), lambda n: lines([entities(n)]), 1000),
    "one-sentence": (NerForm(), lambda n: "天\tB-A\n" * n, 2000),
    "labels-of-columns": (
        NerForm(),
        lambda n: "".join(f"天\tB-{i}\n" for i in range(n)),
        1000,
    ),
    "columns": (NerForm(), lambda n: "天" + "\tx" * n + "\tB-A\n", 4000),
    "no-columns": (NerForm(), lambda n: "天\n" * n, 2000),
    "studio": (NerForm(), lambda n: json.dumps(studio(n)), 3000),
    "triples": (TripleForm(), lambda n: lines([triples(n)]), 300),
    "lost-triples": (TripleForm(), lambda n: lines([triples(n, "X")]), 300),
    "placed-triples": (TripleForm(), lambda n: lines([placed_triples(n)]), 1000),
    "turns": (DialogForm(), lambda n: lines([{"turns": ["你好"] * n}]), 1000),
    "blocks": (DialogForm(), lambda n: "你好\n" * n, 1000),
    "synonyms": (
        SimilarityForm(),
        lambda n: lines([{"text": "天", "synonyms": [f"天{i}" for i in range(n)]}]),
        1000,
    ),
    "labels": (
        ClassifyForm(),
        lambda n: lines([{"text": "天", "labels": [f"{i}" for i in range(n)]}]),
        1000,
    ),
    "conflicts": (
        ClassifyForm(),
        lambda n: lines([{"text": "天", "label": i} for i in range(n)]),
        500,
    ),
    "bad-lines": (ClassifyForm(), lambda n: "{\n" * n, 1000),
    "keys": (
        ClassifyForm(),
        lambda n: lines([{**{f"k{i}": 1 for i in range(n)}, "text": "天", "label": 1}]),
        3000,
    ),
    "lists": (
        ClassifyForm(),
        lambda n: lines([{"text": "天", "label": 1, "more": [[]] * n}]),
        10_000,
    ),
    "digits": (
        ClassifyForm(),
        lambda n: '{"text": "天", "label": 1, "more": 1.' + "0" * n + "1}",
        50_000,
    ),
    "answers": (QaForm(256, 64, 64), lambda n: json.dumps(squad(n)), 300),
    "open-braces": (MathForm(), lambda n: "{\n" * n, 1000),
    "closed-braces": (MathForm(), lambda n: "}\n" * n, 1000),
    "open-string": (MathForm(), lambda n: '{"' + "\\" * n, 50_000),
    "couplets": (CoupletForm(), lambda n: "天地\t地天\n" * n, 500),
    "documents": (TitleForm(), lambda n: "<doc id=0>\n" * n, 1000),
    "one-document": (TitleForm(), lambda n: "<doc id=0>" + "<summary>\n" * n, 1000),
    "titles": (TitleForm(), lambda n: "天地\t地天\n" * n, 500),
    "no-titles": (TitleForm(), lambda n: "天地\t地\t天\n" * n, 500),
}


@pytest.mark.parametrize("name", FILES)
def test_of_a_file(name: str, tmp_path: Path) -> None:
    form, make, size = FILES[name]

    def made(size: int) -> Path:
        path = tmp_path / str(size)
        path.write_text(make(size), "utf-8")
        return path

    def work(path: Path) -> None:
        for read in (
            lambda: check(form, path),
            lambda: convert(form, path, tmp_path / "out", skip_bad=True, force=True),
        ):
            with suppress(DataError):  # a file of nothing that this form reads
                read()

    assert grows(work, made, size)


@pytest.mark.parametrize("kind", [NerRecipe, TripleRecipe])
def test_of_the_targets_of_windows(kind: Any) -> None:
    """Each window of a long text looks for the gold that is near, not through all."""
    recipe = kind.__new__(kind)
    recipe.labels = recipe.predicates = Labels(names=["A", "p"])
    recipe.casrel, recipe.pointer = False, True

    def made(size: int) -> Any:
        row = entities(2 * size) if kind is NerRecipe else placed_triples(size)
        for spo in row.get("spo_list", ()):
            spo["predicate"] = "p"
        form: Form[Any] = NerForm() if kind is NerRecipe else TripleForm()
        return form.parse(Row(row)), cut_windows(np.arange(2 * size), 254, 512, 64)

    def work(given: Any) -> None:
        example, parts = given
        for window in parts:
            recipe.targets(example, window)

    assert grows(work, made, 1000)


def learnt(size: int) -> None:
    labels = Labels()
    for i in range(size):
        labels.learn([f"天{i}"])
    for i in range(size):
        labels.number(f"天{i}")
        with pytest.raises(DataError):
            labels.require([f"地{i}"], "f:1")


def lengths(size: int) -> None:
    found = Lengths()
    for i in range(size):
        found.add(i, "f:1")
    found.report()


def halves(size: int) -> Any:
    """Nested spans that a seam cuts, each of a label of its own."""
    first, second = cut_windows(np.arange(300), 200, 200, 50)
    ends, starts = first.end - first.start, second.start
    left = [(i % 100, ends, i, 0.5) for i in range(size)]
    right = [(0, 60 + i % 30, i, 0.5) for i in range(size)]
    assert starts > 100
    return [(first, left), (second, right)]


LISTS: dict[str, tuple[Callable[[Any], Any], Callable[[int], Any], int]] = {
    "verse": (TEXTS["verse_features"], different, 20_000),
    "labels": (learnt, int, 300),
    "lengths": (lengths, int, 1000),
    "halves": (lambda parts: merge_spans(parts, nested=True), halves, 500),
    "relations": (doccano, placed_triples, 500),
    "turns": (lambda costs: stretches(costs, 10**9), lambda n: [2] * n, 1000),
    "short-room": (lambda costs: stretches(costs, 255), lambda n: [2] * n, 3000),
    "recent": (lambda costs: recent(costs, 10**9), lambda n: [2] * n, 1000),
    "key-words": (lambda key: nearest((key,), [("lr",)]), lambda n: "a1" * n, 100),
}


@pytest.mark.parametrize("name", LISTS)
def test_of_a_list(name: str) -> None:
    assert grows(*LISTS[name])


def test_of_a_name_that_stands_twice() -> None:
    def made(size: int) -> str:
        return (
            "{" + "".join(f'"k{i}": 1, ' for i in range(size)) + '"last": 1, "last": 1}'
        )

    def work(text: str) -> None:
        with pytest.raises(NotJson, match="'last' stands twice"):
            parse_json(text)

    assert grows(work, made, 2000)


def test_of_a_schema(tmp_path: Path) -> None:
    def made(size: int) -> Path:
        row = {"predicate": "p", "object_type": "地"}
        path = tmp_path / str(size)
        path.write_text(lines([{**row, "subject_type": str(i)} for i in range(size)]))
        return path

    assert grows(read_schema, made, 1000)


def test_of_an_answer_that_nearly_stands_before_its_place(tmp_path: Path) -> None:
    """``rfind`` alone would compare the whole answer at each place."""
    read = QaForm(256, 64, 64).published["squad"].read

    def made(size: int) -> Path:
        answer = {"text": "天地" + "天" * (size // 3), "answer_start": size}
        row = {"context": "天" * size, "question": "何", "answers": [answer]}
        path = tmp_path / str(size)
        path.write_text(lines([row]), "utf-8")
        return path

    def work(path: Path) -> None:
        with Lines(path) as opened:
            (found,) = read(opened)[1]
        assert "stands in the passage" in str(found)

    assert grows(work, made, 20_000)


def test_long_values_are_counted_by_their_digests() -> None:
    """Nested entities of one line would fill the memory with its parts."""
    tally, example = Tally(), NerForm(nested=True)
    text = "天" * 1000
    spans = [{"start": 0, "end": i + 1, "label": "A"} for i in range(1000)]
    tally.add(example.facts(example.parse(Row({"text": text, "entities": spans}))), "f")
    kept = tally.labels["A"]["distinct"]
    assert len(kept) == 1000 and max(map(len, kept)) <= 64


def grows(work: Callable[[Any], Any], make: Callable[[int], Any], size: int) -> bool:
    """Whether ten times the size takes less than ``MOST`` times as long."""
    for _ in range(3):  # a machine may have other things to do
        small, large = seconds(work, make(size)), seconds(work, make(10 * size))
        if large < max(FLOOR, MOST * small):
            return True
    return False


def seconds(work: Callable[[Any], Any], given: Any) -> float:
    """Of the processor; the collector's passes grow with what else is in memory."""
    gc.disable()
    try:
        start = time.process_time()
        work(given)
        return time.process_time() - start
    finally:
        gc.enable()
