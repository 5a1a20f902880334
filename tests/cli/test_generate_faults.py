"""What a person may get wrong with generate, evaluate and export, on real tiny models.

Every case is one line on stderr with its exit code, or an answer that says what it is.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.config.loader import resolve
from nlpcli.engine import loaded
from nlpcli.engine.train import train
from nlpcli.samples import sample
from tests.slow import first_is_quick

SMALL = {
    "train.max_steps": 1,
    "data.limit": 24,
    "data.dev_limit": 1,
    "backbone.hidden_size": 32,
    "backbone.num_hidden_layers": 1,
    "runtime.tensorboard": False,
}
RUNS: dict[str, dict[str, Any]] = {
    "couplet": {},
    "couplet nar": {"task.model": "nar"},
    "math-qa": {"data.max_length": 128, "task.expression_length": 12},
    "qa-gen": {},
    "dialog": {"data.max_length": 64, "backbone.relative_positions": True},
}


@pytest.fixture(scope="module", autouse=True)
def quick_loop():
    """The loop traced, but not compiled."""
    whole = loaded.Decoding
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loaded, "Decoding", functools.partial(whole, compiled=False))
        patch.setenv("TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory=")
        yield


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """A run, trained when it is first asked for."""

    @functools.cache
    def run(name: str) -> Path:
        config = resolve(name.split()[0], flags={**SMALL, **RUNS[name]})
        return train(config, out=tmp_path_factory.mktemp("runs") / "run").run

    return run


@pytest.fixture
def call(run_of):
    def call(verb: str, name: str, *words: str, stdin: str | None = None) -> Any:
        line = [verb, name.split()[0], *words, "--run", str(run_of(name))]
        return CliRunner().invoke(app, line, input=stdin)

    return call


def fails(result: Any, code: int, *told: str) -> None:
    """One line that says what was expected, nothing on stdout."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.startswith("nlpcli: error: ")
    assert result.stderr.count("\n") == 1
    assert not [word for word in told if word not in result.stderr], result.stderr


def rows(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--beam", "0"), "--beam: expected 1 or more, got 0"),
        (("--top-p", "1.7"), "--top-p: expected above 0 and at most 1, got 1.7"),
        (("--beam", "4", "--top-k", "5"), "4 beams do not go together with --top-k"),
        (("--beam", "2", "--num", "3"), "--num: expected at most --beam (2), got 3"),
        (
            ("--min-length", "9", "--max-length", "3"),
            "--min-length: expected at most 3",
        ),
    ],
)
def test_wrong_flags_are_wrong_usage(call, words, told):
    fails(call("generate", "couplet", "海内存知己", *words), 2, told)


@pytest.mark.parametrize("name", first_is_quick(["couplet", "couplet nar"]))
def test_first_lines_of_one_character_and_of_two_hundred(call, name):
    one, many, none = rows(call("generate", name, "春", "春" * 200, ""))
    for row in (one, many):
        (output,) = row["outputs"]
        assert len(output["text"]) == len(row["text"])
        assert output["satisfied"]
    assert none["outputs"] == []


def test_a_prompt_longer_than_the_positions(call):
    """512 positions hold two lines of 254 characters and three special tokens."""
    result = call("generate", "couplet", "春" * 255)
    fails(result, 4, "first line: expected at most 254 characters", "got 255")


def test_a_line_that_fails_stands_in_its_place(call):
    result = call(
        *("generate", "couplet", "--on-error", "skip"),
        stdin=f"春\n{'春' * 300}\n\n山水\n",
    )
    assert result.exit_code == 4
    first, bad, empty, last = map(json.loads, result.stdout.splitlines())
    assert bad["error"]["code"] == 4
    assert len(first["outputs"][0]["text"]) == 1
    assert empty["outputs"] == []
    assert len(last["outputs"][0]["text"]) == 2


@pytest.mark.parametrize(
    "words", first_is_quick([("--max-length", "3"), ("--min-length", "9")])
)
def test_what_no_token_satisfies_is_answered_and_marked(call, words):
    """The form wants five characters, and the flags fewer or more."""
    (row,) = rows(call("generate", "couplet", "海内存知己", *words))
    (output,) = row["outputs"]
    assert output["satisfied"] is False
    assert output["finish_reason"] in ("end", "length")


@pytest.mark.slow
def test_problems_without_numbers_or_too_long(call):
    fails(
        call("generate", "math-qa", "小明有几个苹果?"),
        4,
        "expected a problem with at least one number, got none",
    )
    (row,) = rows(call("generate", "math-qa", "小明有几个苹果?", "--no-grammar"))
    assert row["outputs"]
    fails(
        call("generate", "math-qa", "小明有3个苹果," * 40),
        4,
        "expected a question of at most 113 characters",
        "got 320",
    )


def test_an_expression_without_room_is_marked(call):
    """Of a number of three digits only the first is written."""
    words = ("小明有123个苹果", "--max-length", "1", "--beam", "1")
    (row,) = rows(call("generate", "math-qa", *words))
    (output,) = row["outputs"]
    assert (output["finish_reason"], len(output["text"])) == ("length", 1)


@pytest.mark.slow
def test_an_empty_passage_and_a_very_long_one(call):
    long = "王小明在北京大学读书。" * 60
    blank, whole = rows(call("generate", "qa-gen", "", long, "--num", "1"))
    assert blank["outputs"] == []
    for output in whole["outputs"]:
        assert output["answer"] in long
    (spaces,) = rows(call("generate", "qa-gen", stdin='{"text": "  "}\n'))
    assert spaces["outputs"] == []


@pytest.mark.slow
def test_turns_longer_than_what_was_learnt_lose_their_beginning(call):
    turns = "|".join(["周末去爬山吗" * 30, "好" * 300, "几点"])
    (row,) = rows(call("generate", "dialog", "--turns", turns, "--max-length", "4"))
    (output,) = row["outputs"]
    assert len(output["tokens"]) <= 4


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("couplet nar", "non-autoregressive"),
        ("dialog", "NEZHA, which"),
    ],
)
def test_what_transformers_lacks_is_not_exported(call, tmp_path, name, told):
    target = tmp_path / "out"
    result = call("export", name, str(target), "--to", "hf")
    fails(result, 2, "--to hf: expected a run whose encoder transformers has", told)
    assert not target.exists()


@pytest.mark.slow
def test_an_evaluation_may_go_without_the_grammar(call, tmp_path):
    lines = sample("math-qa", "dev").read_text("utf-8").splitlines(keepends=True)
    data = tmp_path / "dev.jsonl"
    data.write_text("".join(lines[:6]), "utf-8")
    words = ("evaluate", "math-qa", "--data", str(data), "--json")
    by_rule = json.loads(call(*words).stdout)
    freely = json.loads(call(*words, "--set", "task.grammar=false").stdout)
    assert by_rule["wellformed"] == 1.0
    assert freely["wellformed"] < 1.0  # a model of one step writes anything
    assert freely["perplexity"] == by_rule["perplexity"]
    fails(call(*words, "--set", "seed=3"), 2, "--set: expected a key of the section")
    fails(call(*words, "--set", "task.gramar=false"), 3, "did you mean task.grammar?")


def test_a_problem_may_be_answered_without_the_grammar(call):
    question = "小明有3个苹果,小红的苹果是他的2倍,两人一共有几个?"
    words = ("generate", "math-qa", question, "--beam", "1")
    (by_rule,) = rows(call(*words))
    (freely,) = rows(call(*words, "--no-grammar"))
    assert by_rule["outputs"][0]["satisfied"] and by_rule != freely
