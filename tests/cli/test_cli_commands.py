"""The verbs through CliRunner, over a fake engine: flags, streams, exit codes."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from nlpcli.cli.main import VERBS, hoist
from nlpcli.errors import CheckpointError, DataError, DivergedError, NotFoundError
from tests.cli.fake_engine import Engine, call

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


def test_a_name_that_no_file_can_have_is_no_bug(engine: Engine) -> None:
    told = os.strerror(errno.ENAMETOOLONG)
    engine.error = OSError(errno.ENAMETOOLONG, told, "名名名")
    result = call("train", "ner", "--debug")
    assert result.exit_code == 2
    assert result.stderr == f"nlpcli: error: 名名名: {told}\n"


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
    assert engine.calls[0][1]["sets"] == [
        "--tones task.tones=true",
        "task.label_smoothing=0.1",
    ]
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
    assert call("export", "ner", "dst", "--to", "tflite").exit_code == 2
    assert call("export", "ner", "dst", "--quantize", "int8").exit_code == 2
    assert json.loads(call("doctor", "--json").stdout) == {"versions": {"keras": "3"}}
    assert call("doctor").stdout == "versions\n  keras  3\n"


# --- the line itself


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trian"], "'train'"),
        (["train", "ner", "--epoch", "3"], "--epochs"),
        (["train"], "'RECIPE'"),
        (["train", "ner", "--precision", "int8"], "'bfloat16'"),
        (["train", "ner", "--quantize", "int8"], "--quantize"),
        (["generate", "couplet", "a", "--quantize", "int4"], "'int8'"),
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


def test_help_tells_the_flags_and_keys_of_the_recipe(engine: Engine) -> None:
    for verb in ("generate", "chat", "evaluate"):
        told = call(verb, "couplet", "--help").stdout
        assert "Flags of couplet: --tones --no-tones" in told
        assert "task.label_smoothing" in told, "a key without a flag is for --set"
        assert "--label-smoothing" not in told
        assert "--tones" not in call(verb, "--help").stdout.split("Examples:")[0]
    assert "Flags of ner" not in call("evaluate", "ner", "--help").stdout


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
