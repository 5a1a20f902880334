"""The verbs through CliRunner, over a fake engine: flags, streams, exit codes."""

from __future__ import annotations

import json
import logging
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nlpcli.cli import console
from nlpcli.cli.main import VERBS, app, hoist
from nlpcli.errors import CheckpointError, DataError, DivergedError, NotFoundError
from nlpcli.records.row import Row


@dataclass
class Engine:
    """What the fake engine was asked, and what it shall answer."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    status: str = "finished"
    error: BaseException | None = None

    def train(self, config: Any, **options: Any) -> Any:
        self.calls.append(("train", {"config": config, **options}))
        if self.error is not None:
            raise self.error
        options["progress"].start("train ner", 10)
        options["progress"].update(10, loss=0.1)
        options["progress"].finish()
        scores = {"f1": 0.5, "per_label": {"PER": {"f1": 0.5}}}
        return types.SimpleNamespace(
            run=Path("runs/x"), scores=scores, seconds=1.0, steps=10, status=self.status
        )

    def plan_training(self, config: Any, **options: Any) -> Any:
        self.calls.append(("plan", {"config": config, **options}))
        return {"examples": 3, "labels": ["PER"], "buckets": [{"tokens": 8}]}

    def evaluate_run(self, run: Any, recipe: str, **options: Any) -> Any:
        self.calls.append(("evaluate", {"run": run, "recipe": recipe, **options}))
        row = {"precision": None, "f1": 0.25}
        return {**row, "per_label": {"PER": row}, "examples": 3, "run": str(run.path)}

    def export_run(self, run: Any, destination: Path, **options: Any) -> Any:
        self.calls.append(("export", {"run": run, **options}))
        return {"destination": str(destination), "max_difference": 1e-6}

    def predictor(
        self,
        run: Any,
        recipe: str,
        batch_size: int,
        precision: Any,
        xla: Any,
        sets: Any,
    ) -> Any:
        options = {"batch_size": batch_size, "precision": precision, "xla": xla}
        asked = {"run": run, "recipe": recipe, **options, "sets": list(sets)}
        self.calls.append(("predict", asked))
        return types.SimpleNamespace(predict=self.predict)

    def predict(self, rows: list[Row]) -> list[Any]:
        self.texts.append([row.get("text") for row in rows])
        return [_answer_to(row) for row in rows]


def _answer_to(row: Row) -> Any:
    try:
        return _answer(row.string("text"))
    except DataError as error:
        return error


def _answer(text: str) -> Any:
    if text == "boom":
        raise ZeroDivisionError("division by zero")
    if text == "odd":
        return DataError("cannot be answered")
    place = text.find("北京")
    if place < 0:
        return {"entities": []}
    return {
        "entities": [{"start": place, "end": place + 2, "label": "LOC", "text": "北京"}]
    }


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    fake = Engine()

    def module(name: str, **values: Any) -> None:
        made = types.ModuleType(name)
        made.__dict__.update(values)
        monkeypatch.setitem(sys.modules, name, made)

    def chosen(run: Path | None, recipe: str) -> Any:
        if run is not None and run.name == "none":
            raise NotFoundError(f"{run}: is no run")
        return types.SimpleNamespace(path=run or Path("runs/newest"))

    module("nlpcli.engine.train", train=fake.train, plan_training=fake.plan_training)
    module("nlpcli.engine.evaluate", evaluate_run=fake.evaluate_run)
    module("nlpcli.engine.export", export_run=fake.export_run)
    module("nlpcli.engine.predict", Predictor=fake.predictor)
    module("nlpcli.runtime.doctor", report=lambda: {"versions": {"keras": "3"}})
    module("nlpcli.engine.run_dir", choose_run=chosen)
    monkeypatch.chdir(tmp_path)
    yield fake
    logging.getLogger("nlpcli").handlers = []
    logging.getLogger("nlpcli").propagate = True
    console.settings.__dict__.update(console.Settings().__dict__)


def call(*words: str, stdin: str | bytes | None = None) -> Any:
    return CliRunner().invoke(app, list(words), input=stdin)


def rows(result: Any) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- train


def test_flags_of_train_land_in_the_configuration(engine: Engine) -> None:
    result = call(
        *("train", "ner", "--model", "m", "--data", "d", "--dev", "e"),
        *("--epochs", "3", "--batch-size", "4", "--lr", "1e-4", "--max-steps", "9"),
        *("--seed", "7", "--precision", "bfloat16", "--xla", "--strategy", "one"),
        *("--set", "data.max_length=64", "--out", "runs/y", "--force", "--offline"),
    )
    assert result.exit_code == 0, result.output
    ((name, asked),) = engine.calls
    config = asked["config"]
    assert name == "train"
    assert (config.backbone.model, config.data.train, config.data.dev) == tuple("mde")
    assert (config.train.epochs, config.train.batch_size) == (3, 4)
    assert (config.train.lr, config.train.max_steps, config.seed) == (1e-4, 9, 7)
    assert config.runtime.precision == "bfloat16"
    assert (config.runtime.xla, config.runtime.strategy) == ("on", "one")
    assert config.data.max_length == 64
    assert (asked["out"], asked["force"]) == (Path("runs/y"), True)
    assert (asked["offline"], asked["resume"]) == (True, None)
    assert "f1" in result.stdout and "PER" not in result.stdout


def test_what_is_not_given_keeps_the_recipe_s_value(engine: Engine) -> None:
    call("train", "ner", "--no-xla")
    call("config", "ner")
    config = engine.calls[0][1]["config"]
    assert config.runtime.xla == "off"
    assert config.backbone.model == "tiny"


def test_an_interrupted_training_exits_with_130(engine: Engine) -> None:
    engine.status = "interrupted"
    assert call("train", "ner").exit_code == 130
    engine.error = KeyboardInterrupt()
    assert call("train", "ner").exit_code == 130


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckpointError("no fit"), 5),
        (DivergedError("step 3: loss nan"), 8),
        (DataError("train.jsonl:1042: expected a JSON object"), 4),
        (NotFoundError("model x: unknown"), 6),
    ],
)
def test_an_expected_failure_is_one_line(
    engine: Engine, error: Exception, code: int
) -> None:
    engine.error = error
    result = call("train", "ner")
    assert result.exit_code == code
    assert result.stderr == f"nlpcli: error: {error}\n"
    assert result.stdout == ""


def test_a_bug_is_one_line_and_a_traceback_with_debug(engine: Engine) -> None:
    engine.error = ZeroDivisionError("division by zero")
    result = call("train", "ner")
    assert result.exit_code == 1
    assert result.stderr == (
        "nlpcli: internal error: ZeroDivisionError: division by zero "
        "(run with --debug for the traceback)\n"
    )
    result = call("train", "ner", "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr and "with --debug" not in result.stderr


def test_resume_takes_no_other_configuration(engine: Engine) -> None:
    result = call("train", "ner", "--resume", "runs/x", "--epochs", "3", "--force")
    assert result.exit_code == 2
    assert "--epochs, --force" in result.stderr
    assert call("train", "ner", "--resume", "runs/x").exit_code == 0
    assert engine.calls[0][1]["resume"] == Path("runs/x")


def test_a_dry_run_only_plans(engine: Engine) -> None:
    result = call("train", "ner", "--dry-run")
    assert result.exit_code == 0
    assert [name for name, _ in engine.calls] == ["plan"]
    assert "examples  3" in result.stdout


def test_all_problems_of_a_configuration_are_told_at_once(engine: Engine) -> None:
    result = call("train", "ner", "--epochs", "0", "--set", "train.epochz=1")
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 2
    assert all(
        line.startswith("nlpcli: error: ") for line in result.stderr.splitlines()
    )
    assert engine.calls == []


# --- evaluate, export, doctor


def test_scores_as_a_table_and_as_json(engine: Engine) -> None:
    result = call("evaluate", "ner", "--data", "d.jsonl", "--run", "runs/x")
    assert [line.split() for line in result.stdout.splitlines()[:3]] == [
        ["label", "precision", "f1"],
        ["PER", "-", "0.2500"],
        ["all", "-", "0.2500"],
    ]
    scores = json.loads(call("evaluate", "ner", "--json").stdout)
    assert scores["precision"] is None and scores["run"] == "runs/newest"
    assert engine.calls[0][1]["data"] == Path("d.jsonl")
    bare = json.loads(call("evaluate", "ner", "--json", "--no-per-label").stdout)
    assert "per_label" not in bare


def test_evaluate_takes_keys_and_the_flags_of_the_recipe(engine: Engine) -> None:
    call("evaluate", "couplet", "--tones", "--set", "task.label_smoothing=0.1")
    assert engine.calls[0][1]["sets"] == ["task.tones=true", "task.label_smoothing=0.1"]
    result = call("evaluate", "ner", "--tones")
    assert (result.exit_code, len(engine.calls)) == (2, 1)
    assert "--tones" in result.stderr


def test_predictions_that_exist_are_refused_before_any_work(engine: Engine) -> None:
    Path("answers").write_text("old")
    result = call("evaluate", "ner", "--predictions", "answers")
    assert (result.exit_code, engine.calls) == (2, [])
    assert call("evaluate", "ner", "--predictions", "answers", "--force").exit_code == 0


def test_a_run_that_is_not_there_fails_before_the_model(engine: Engine) -> None:
    for words in (["evaluate", "ner"], ["predict", "ner", "a"], ["export", "ner", "d"]):
        assert call(*words, "--run", "none").exit_code == 6
    assert engine.calls == []


def test_export_and_doctor_report(engine: Engine) -> None:
    report = json.loads(call("export", "ner", "dst", "--json").stdout)
    assert report == {"destination": "dst", "max_difference": 1e-6}
    assert call("export", "ner", "dst", "--to", "onnx").exit_code == 2
    assert json.loads(call("doctor", "--json").stdout) == {"versions": {"keras": "3"}}
    assert call("doctor").stdout == "versions\n  keras  3\n"


# --- predict


def test_words_are_answered_in_order(engine: Engine) -> None:
    result = call("predict", "ner", "我在北京", "好")
    assert rows(result) == [
        {"text": "我在北京", **_answer("我在北京")},
        {"text": "好", "entities": []},
    ]
    assert "北京" in result.stdout
    ((_, asked),) = engine.calls
    assert asked.pop("run").path == Path("runs/newest")
    assert asked == {
        "recipe": "ner",
        "batch_size": 32,
        "precision": None,
        "xla": None,
        "sets": [],
    }


def test_text_form(engine: Engine) -> None:
    result = call("predict", "ner", "--format", "text", "我在北京", "好")
    assert result.stdout == "我在[北京/LOC]\n好\n"


def test_line_n_answers_line_n(engine: Engine) -> None:
    result = call("predict", "ner", stdin="﻿北京\r\n\n好\n".encode())
    assert [row["text"] for row in rows(result)] == ["北京", "", "好"]
    lines = '{"id": 1, "text": "北京"}\n\n{"id": "b", "text": "好"}'
    answers = rows(call("predict", "ner", "--input", "-", stdin=lines))
    assert [row.get("id") for row in answers] == [1, None, "b"]
    assert list(answers[0]) == ["id", "text", "entities"]


def test_a_row_reaches_the_recipe_with_all_its_keys(engine: Engine) -> None:
    lines = '{"n": 7, "body": "北京", "more": [1]}\n'
    result = call(
        *("predict", "ner", "--text-key", "body", "--id-key", "n"), stdin=lines
    )
    assert rows(result) == [{"id": 7, "text": "北京", **_answer("北京")}]
    assert engine.texts == [["北京"]]
    result = call("predict", "ner", stdin=lines)
    assert result.exit_code == 4
    assert result.stderr == (
        'nlpcli: error: stdin:1: expected the key "text", got the keys "n", "body", '
        '"more" (--text-key names another)\n'
    )


def test_flags_of_predict(engine: Engine) -> None:
    words = ["--run", "runs/x", "--precision", "bfloat16", "--no-xla"]
    call("predict", "ner", "a", *words, "--batch-size", "3")
    asked = engine.calls[0][1]
    assert (asked["run"].path, asked["batch_size"]) == (Path("runs/x"), 3)
    assert (asked["precision"], asked["xla"]) == ("bfloat16", "off")
    call("predict", "ner", "a", "--xla")
    assert engine.calls[1][1]["xla"] == "on"


def test_a_recipe_without_the_verb_says_which_it_has(engine: Engine) -> None:
    result = call("predict", "couplet", "a")
    assert (result.exit_code, engine.calls) == (2, [])
    assert "recipe couplet: does not predict, it has the verbs" in result.stderr


def test_any_number_of_lines_keeps_its_order(engine: Engine) -> None:
    Path("in.txt").write_text("".join(f"{i}\n" for i in range(1000)))
    result = call("predict", "ner", "--input", "in.txt", "--batch-size", "4")
    assert [row["text"] for row in rows(result)] == [str(i) for i in range(1000)]
    assert max(map(len, engine.texts)) <= 32


def test_a_bad_line_stops_after_the_answers_before_it(engine: Engine) -> None:
    result = call("predict", "ner", stdin=b"a\nb\n\xff\nc\n")
    assert [row["text"] for row in rows(result)] == ["a", "b"]
    assert result.exit_code == 4
    assert result.stderr == (
        "nlpcli: error: stdin:3: expected UTF-8, got byte 0xff at position 1\n"
    )
    assert "c" not in engine.texts[0]


def test_a_bad_line_is_answered_in_its_place_when_skipped(engine: Engine) -> None:
    lines = b'{"id": 1, "text": "a"}\n{"id": 2}\n{"id": 3, "text": "odd"}\n{"text":"b"}'
    result = call("predict", "ner", "--on-error", "skip", stdin=lines)
    assert result.exit_code == 4
    first, no_text, odd, last = rows(result)
    assert (first["text"], last["text"]) == ("a", "b")
    assert (no_text["id"], no_text["error"]["code"]) == (2, 4)
    assert odd == {
        "id": 3,
        "error": {"code": 4, "message": "stdin:3: cannot be answered"},
    }


def test_a_text_the_recipe_refuses_names_its_line(engine: Engine) -> None:
    result = call("predict", "ner", stdin="a\nodd\nb\n")
    assert (result.exit_code, len(rows(result))) == (4, 1)
    assert result.stderr == "nlpcli: error: stdin:2: cannot be answered\n"


def test_lone_surrogates_are_written_as_escapes(engine: Engine) -> None:
    result = call("predict", "ner", stdin=b'{"id": "\\udc00", "text": "a\\ud800b"}')
    assert result.exit_code == 0
    assert "\\ud800" in result.stdout
    assert rows(result)[0]["text"] == "a\ud800b"
    result = call("predict", "ner", "--format", "text", "a\ud800b")
    assert result.exit_code == 0


def test_an_output_appears_whole_or_not_at_all(engine: Engine) -> None:
    assert call("predict", "ner", "--output", "o", "a", "b").exit_code == 0
    assert [
        json.loads(line)["text"] for line in Path("o").read_text().splitlines()
    ] == [
        "a",
        "b",
    ]
    result = call("predict", "ner", "--output", "o", "c")
    assert (result.exit_code, len(engine.calls)) == (2, 1)
    assert "--force" in result.stderr
    for words, code in ((["odd"], 4), (["boom"], 1)):
        assert (
            call("predict", "ner", "--output", "o", "--force", *words).exit_code == code
        )
        assert len(Path("o").read_text().splitlines()) == 2
    assert call("predict", "ner", "--output", "o", "--force", "c").exit_code == 0
    assert len(Path("o").read_text().splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["o"]


def test_where_input_and_output_cannot_be(engine: Engine) -> None:
    Path("folder").mkdir()
    for words, code in (
        (["--input", "missing"], 6),
        (["--input", "folder"], 4),
        (["--input", "-", "text"], 2),
        (["--output", "no/such/folder", "text"], 6),
        (["--output", "folder", "text"], 2),
    ):
        assert call("predict", "ner", *words).exit_code == code
    assert engine.calls == []


def test_a_full_disk_is_one_line(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = call("predict", "ner", "--output", "o", "a")
    assert result.exit_code == 1
    assert result.stderr == (
        "nlpcli: error: o: cannot write, no space left on the device\n"
    )
    assert list(Path().iterdir()) == []


# --- the line itself


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trian"], "'train'"),
        (["train", "ner", "--epoch", "3"], "--epochs"),
        (["train"], "'RECIPE'"),
        (["train", "ner", "--precision", "int8"], "'bfloat16'"),
        (["train", "ner", "--lr", "fast"], "'--lr'"),
        (["data"], "missing command"),
        (["-q", "-v", "recipes"], "-q"),
        (["--log-format", "xml", "recipes"], "'json'"),
        (["predict", "ner", "a", "--batch-size", "0"], "'--batch-size'"),
    ],
)
def test_wrong_usage_is_one_line(engine: Engine, words: list[str], told: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("nlpcli: error: ") and told in line
    assert result.stdout == ""


def test_an_unknown_recipe_names_the_nearest(engine: Engine) -> None:
    for words in (
        ["train", "nerr"],
        ["predict", "nerr", "a"],
        ["config", "nerr"],
        ["data", "check", "x", "--task", "nerr"],
    ):
        result = call(*words)
        assert result.exit_code == 6
        assert "did you mean ner?" in result.stderr


def test_global_options_may_stand_anywhere() -> None:
    assert hoist(["train", "ner", "-v", "--log-format", "json", "--", "-q"]) == [
        "-v",
        "--log-format=json",
        "train",
        "ner",
        "--",
        "-q",
    ]


def test_errors_are_json_when_the_log_is(engine: Engine) -> None:
    engine.error = CheckpointError("no fit\n  x: missing")
    result = call("train", "ner", "--log-format", "json")
    row = json.loads(result.stderr)
    assert (row["level"], row["code"]) == ("error", 5)
    assert row["message"] == "no fit\n  x: missing"
    row = json.loads(call("trian", "--log-format=json").stderr)
    assert row["code"] == 2


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_examples(engine: Engine, verb: str) -> None:
    result = call(verb, "--help")
    assert result.exit_code == 0
    assert f"\n  nlpcli {verb}" in result.stdout.split("Examples:")[1]


def test_help_ends_with_the_recipe_s_own_keys(engine: Engine) -> None:
    for words in (["train", "ner", "--help"], ["config", "--help", "ner"]):
        end = call(*words).stdout.split("Keys of ner")[1]
        assert "task.head" in end and "crf | global-pointer" in end
    assert "Keys of" not in call("train", "--help").stdout
