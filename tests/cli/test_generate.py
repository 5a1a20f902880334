"""The verb generate over a fake generator: flags, forms of answers, exit codes."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from nlpcli import recipe as recipes
from nlpcli.cli.generation import asked_options
from nlpcli.cli.main import app
from nlpcli.cli.render import output_lines, render
from nlpcli.config import option
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import DataError, NotFoundError, UsageError
from nlpcli.records.row import Row


class Generator:
    """Answers "天" with "天0", "天1" ...; "odd" cannot be answered."""

    made: ClassVar[list[Generator]] = []

    defaults = GenerateOptions(beam=4, num=1, max_length=40)

    def __init__(
        self,
        run: Any,
        recipe: str,
        batch_size: int,
        precision: Any,
        sets: Any,
        model: Any,
        quantize: Any,
    ) -> None:
        self.made.append(self)
        self.run, self.name, self.sets = run, recipe, list(sets)
        self.how = {"batch_size": batch_size, "precision": precision}
        self.quantize = quantize
        self.asked: list[GenerateOptions] = []
        self.rows: list[list[Row]] = []
        self.timings = {"load": 1.0, "compile": 2.0, "decode": 0.5}

    def options(self, asked: GenerateOptions) -> GenerateOptions:
        return asked.over(self.defaults)

    def generate(self, rows: list[Row], asked: GenerateOptions) -> list[Any]:
        self.asked.append(asked)
        self.rows.append(list(rows))
        return [self.answer(row, asked.num or 1) for row in rows]

    def answer(self, row: Row, num: int) -> Any:
        try:
            text, told = self.question(row)
        except DataError as error:
            return error
        more = {"score": -1.0, "finish_reason": "end", "tokens": list(text)}
        outputs = [{"text": f"{text}{n}", **more} for n in range(num)]
        return {**told, "outputs": outputs}

    def question(self, row: Row) -> tuple[str, dict[str, str]]:
        """The text, and what the answer tells of it where the row has none."""
        if "turns" in row:
            text = "|".join(row.items("turns"))
            return text, {"text": text}
        if row.string("text") == "odd":
            raise DataError("cannot be answered")
        return row.string("text"), {}

    def stream(self, row: Row, asked: GenerateOptions) -> Iterator[str]:
        self.asked.append(asked)
        if row.string("text") == "odd":
            yield "一"
            raise DataError("cannot be answered")
        yield from (row.string("text"), "0")


@pytest.fixture
def generators(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def module(name: str, **values: Any) -> None:
        made = types.ModuleType(name)
        made.__dict__.update(values)
        monkeypatch.setitem(sys.modules, name, made)

    def chosen(run: Path | None, recipe: str) -> Any:
        if run is not None and run.name == "none":
            raise NotFoundError(f"{run}: is no run")
        if run is None and recipe == "unheard":
            raise NotFoundError(f"no finished run of {recipe}")
        return types.SimpleNamespace(path=run or Path("shipped"))

    def entry(name: str, verbs: tuple[str, ...]) -> Any:
        return recipes.RecipeEntry(name, "", verbs, tmp_path / name, f"fake_{name}")

    entries = {
        "couplet": entry("couplet", ("train", "generate")),
        "talk": entry("talk", ("train", "generate", "chat")),
        "unheard": entry("unheard", ("train", "generate")),
        "ner": entry("ner", ("train", "predict")),
    }

    def found(name: str) -> Any:
        if name not in entries:
            raise NotFoundError(f"recipe {name}: unknown")
        return entries[name]

    yes_no = ("tones", bool, option(False, "level tones", flag=True))
    plain = ("corruption", float, option(0.0, "no flag"))
    for name in entries:
        keys = [yes_no, plain] if name == "couplet" else []
        module(f"fake_{name}")
        options = make_dataclass("TaskOptions", keys)
        module(f"fake_{name}.options", TaskOptions=options)
    module("nlpcli.engine.generate", Generator=Generator)
    module("nlpcli.engine.run_dir", choose_run=chosen)
    monkeypatch.setattr(recipes, "find_recipe", found)
    monkeypatch.setattr(Generator, "made", [])
    monkeypatch.chdir(tmp_path)
    yield Generator.made


def call(*words: str, stdin: str | bytes | None = None) -> Any:
    return CliRunner().invoke(app, ["generate", *words], input=stdin)


def rows(result: Any) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def texts_of(row: dict[str, Any]) -> list[str]:
    return [output["text"] for output in row["outputs"]]


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda self: True)


def test_texts_become_json_lines_where_stdout_is_no_terminal(generators) -> None:
    result = call("couplet", "天", "地", "--num", "2")
    assert result.exit_code == 0, result.output
    first, second = rows(result)
    assert (first["text"], texts_of(first)) == ("天", ["天0", "天1"])
    assert first["outputs"][0]["tokens"] == ["天"]
    assert texts_of(second) == ["地0", "地1"]
    (made,) = generators
    assert (made.run.path, made.name) == (Path("shipped"), "couplet")
    assert (made.how, made.sets) == ({"batch_size": 8, "precision": None}, [])
    assert [row.values for row in made.rows[0]] == [{"text": "天"}, {"text": "地"}]


def test_flags_reach_the_generator_and_the_rest_is_left_to_the_recipe(
    generators,
) -> None:
    result = call(
        *("couplet", "天", "--top-k", "5", "--top-p", "0.8", "--temperature", "0.7"),
        *("--repetition-penalty", "1.2", "--no-repeat-ngram", "3", "--seed", "9"),
        *("--min-length", "2", "--max-length", "9", "--tones", "--run", "runs/x"),
        *("--precision", "bfloat16", "--batch-size", "2", "--quantize", "int8"),
    )
    assert result.exit_code == 0, result.output
    (made,) = generators
    assert made.asked == [
        GenerateOptions(
            top_k=5,
            top_p=0.8,
            temperature=0.7,
            repetition_penalty=1.2,
            no_repeat_ngram=3,
            min_length=2,
            max_length=9,
            seed=9,
        )
    ]
    assert made.sets == ["--tones task.tones=true"]
    assert str(made.run.path) == "runs/x"
    assert made.how == {"batch_size": 2, "precision": "bfloat16"}
    assert made.quantize == "int8"


def test_a_flag_of_the_recipe_stands_anywhere_and_may_be_text(generators) -> None:
    for words in (["--no-tones", "couplet", "天"], ["couplet", "--no-tones", "天"]):
        assert call(*words).exit_code == 0
    assert [made.sets for made in generators] == [["--no-tones task.tones=false"]] * 2
    (row,) = rows(call("couplet", "--", "--tones"))
    assert (row["text"], generators[2].sets) == ("--tones", [])
    assert call("couplet", "天", "--tones", "--no-tones").exit_code == 0
    assert generators[3].sets == [
        "--tones task.tones=true",
        "--no-tones task.tones=false",
    ]


def test_text_form_has_a_line_an_answer_and_tabs_for_lines_of_input(generators) -> None:
    words = ("couplet", "--num", "2", "--format", "text")
    assert call(*words, "天", "地").stdout == "天0\n天1\n地0\n地1\n"
    assert call(*words, stdin="天\n\n地\n").stdout == "天0\t天1\n0\t1\n地0\t地1\n"


def test_bare_text_is_for_text_on_a_terminal(generators, monkeypatch) -> None:
    on_a_terminal(monkeypatch)
    assert call("couplet", "天").stdout == "天0\n"
    assert rows(call("couplet", "天", "--format", "json"))
    Path("in.txt").write_text("天\n", encoding="utf-8")
    assert rows(call("couplet", "--input", "in.txt"))
    assert call("couplet", "天", "--output", "o").exit_code == 0
    assert json.loads(Path("o").read_text(encoding="utf-8"))["text"] == "天"


def test_lines_of_input_keep_ids_and_places(generators) -> None:
    lines = '{"id": 7, "text": "天"}\n\n{"id": "b", "text": "地"}\n'
    found = rows(call("couplet", stdin=lines))
    assert [(row.get("id"), row["text"]) for row in found] == [
        (7, "天"),
        (None, ""),
        ("b", "地"),
    ]


def test_a_bad_line_stops_or_is_skipped(generators) -> None:
    result = call("couplet", stdin="天\nodd\n地\n")
    assert result.exit_code == 4
    assert [row["text"] for row in rows(result)] == ["天"]
    assert result.stderr == "nlpcli: error: stdin:2: cannot be answered\n"
    result = call("couplet", "--on-error", "skip", stdin=b"\xff\nodd\nx\n")
    assert result.exit_code == 4
    bad, odd, good = rows(result)
    assert bad["error"]["code"] == odd["error"]["code"] == 4
    assert texts_of(good) == ["x0"]


def test_turns_stand_for_a_text(generators) -> None:
    (row,) = rows(call("talk", "--turns", "你好|你好呀"))
    assert row["text"] == "你好|你好呀"
    (row,) = rows(call("talk", stdin='{"id": 1, "turns": ["你好", "在吗"]}'))
    assert (row["id"], row["text"]) == (1, "你好|在吗")
    assert generators[1].rows[0][0].items("turns") == ["你好", "在吗"]
    result = call("talk", "--on-error", "skip", stdin='{"turns": "a"}\n{"x": 1}\n')
    assert result.exit_code == 4
    one, other = (row["error"]["message"] for row in rows(result))
    assert one == 'stdin:1: expected a list for "turns", got "a"'
    assert other == (
        'stdin:2: expected the key "text", got the keys "x" (--text-key names another)'
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--beam", "0"], "--beam: expected 1 or more, got 0"),
        (["--beam", "9999999"], "--beam: expected at most 4096, got 9999999"),
        (["--top-k", str(10**20)], "--top-k: expected at most 2147483647, got 1000"),
        (["--top-p", "1.7"], "--top-p"),
        (["--top-k", "0"], "--top-k"),
        (["--temperature", "nan"], "--temperature"),
        (["--temperature", "-1"], "--temperature"),
        (["--beam", "4", "--top-k", "5"], "--beam: 4 beams do not go together"),
        (["--num", "5", "--beam", "3"], "--num: expected at most --beam (3), got 5"),
        (["--min-length", "9", "--max-length", "3"], "--min-length"),
        (["--beam", "many"], "--beam"),
        (["--stream", "--num", "2"], "--stream"),
        (["--stream", "--format", "json"], "--stream"),
        (["--stream", "--output", "o"], "--stream"),
        (["--turns", "a|b"], "--turns: does not go together with TEXT"),
        (["--input", "-"], "--input"),
        (["--batch-size", "0"], "--batch-size"),
    ],
    ids=" ".join,
)
def test_wrong_values_are_wrong_usage_before_anything_loads(
    generators, words: list[str], told: str
) -> None:
    result = call("couplet", "天", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith("nlpcli: error: ") and told in result.stderr
    assert (result.stdout, generators) == ("", [])


def test_every_wrong_value_is_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        asked_options(beam=0, top_p=1.7, min_length=5, max_length=2)
    assert len(str(caught.value).splitlines()) == 3


def test_what_does_not_fit_the_recipe_is_wrong_usage(generators) -> None:
    result = call("couplet", "天", "--min-length", "50")  # the recipe's longest is 40
    assert (result.exit_code, "--min-length" in result.stderr) == (2, True)
    result = call("couplet", "--turns", "a|b")
    assert (result.exit_code, "takes no turns" in result.stderr) == (2, True)
    result = call("ner", "天")
    assert (result.exit_code, "train, predict" in result.stderr) == (2, True)


def test_an_option_of_another_recipe_is_wrong_usage(generators) -> None:
    for words in (["talk", "天", "--no-tones"], ["couplet", "天", "--no-grammar"]):
        result = call(*words)
        assert (result.exit_code, result.stdout, generators) == (2, "", [])
        (line,) = result.stderr.splitlines()
        assert line.startswith("nlpcli: error: ") and words[-1] in line
    assert call("couplet", "天", "--corruption", "1").exit_code == 2
    assert generators == []


def test_a_run_that_is_not_there_is_found_out_first(generators) -> None:
    assert call("couplet", "天", "--run", "none").exit_code == 6
    assert call("unheard", "天").exit_code == 6
    assert call("unheard", "天", "--run", "runs/x").exit_code == 0
    assert len(generators) == 1


def test_an_answer_streams_where_it_grows_from_left_to_right(generators) -> None:
    result = call("couplet", "--stream", "--temperature", "1", "天", "地")
    assert result.stdout == "天0\n地0\n"
    assert [asked.num for asked in generators[0].asked] == [1, 1]
    # the recipe's own four beams: the answer comes whole
    assert call("couplet", "--stream", "天").stdout == "天0\n"
    assert [row.values for row in generators[1].rows[0]] == [{"text": "天"}]


def test_a_stream_that_breaks_off_stops_or_goes_on(generators) -> None:
    words = ("couplet", "--stream", "--beam", "1")
    result = call(*words, stdin="odd\n天\n")
    assert (result.exit_code, result.stdout) == (4, "一")
    result = call(*words, "--on-error", "skip", stdin="odd\n天\n")
    assert result.exit_code == 4
    broken, whole = result.stdout.splitlines()
    assert "stdin:1" in broken and whole == "天0"


def test_verbose_tells_where_the_time_went(generators) -> None:
    result = call("couplet", "天", "-v")
    assert "load 1.00 s, compile 2.00 s, decode 0.50 s" in result.stderr
    assert "load" not in call("couplet", "天").stderr


def test_what_a_recipe_adds_to_an_output_is_shown() -> None:
    output = {"text": "3+3*2", "score": -1.5, "tokens": ["3"], "finish_reason": "end"}
    answer = {"outputs": [{**output, "value": "9", "sure": 0.98765, "well": True}]}
    assert output_lines(answer) == ["3+3*2 (value: 9, sure: 0.9877)"]
    assert render("题", {"outputs": [output, output]}) == "3+3*2\t3+3*2"
    assert output_lines({"outputs": []}) == [""]
    assert output_lines({"outputs": [{"text": "a\nb"}]}) == ["a\\nb"]
