"""What a word of YAML is taken for, read and written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nlpcli.config.loader import (
    resolve,
    to_yaml,
)
from nlpcli.config.yaml_file import parse_set, parse_yaml, read_yaml
from tests.config.problems import problems

NUMBERS = {
    "010": 10, "-010": -10, "00": 0, "08": 8, "+5": 5, "0x10": 16, "0o17": 15,
    "1e-5": 1e-5, "1E+3": 1000.0, ".5e3": 500.0, "5.": 5.0, ".5": 0.5,
}  # fmt: skip
WORDS = (
    *(
        "1:30",
        "190:20:30",
        "1:30.5",
        "1_000",
        "1_0.5",
        "0b101",
        "0o9",
        "yes",
        "No",
        "on",
    ),
    *("2024-01-01", "2024-01-01 10:00:00", "=", "<<", ".", "+", "e5", "１２", "0x"),
)


@pytest.mark.parametrize(
    ("text", "value"), [*NUMBERS.items(), *((w, w) for w in WORDS)]
)
def test_a_word_is_what_a_person_takes_it_for(
    text: str, value: object, write: Callable[[str], Path]
) -> None:
    in_file = read_yaml(write(f"a: {text}\nb: [{text}]\n")).values
    assert in_file == {"a": value, "b": [value]}
    assert type(in_file["a"]) is type(value)
    assert parse_set(f"a={text}").values == {"a": value}


@pytest.mark.parametrize("text", [*NUMBERS, *WORDS, "null", "true", "1e5", "~", ""])
def test_text_that_looks_like_something_else_is_written_in_quotes(text: str) -> None:
    config = resolve("ner", flags={"data.train": text})
    assert parse_yaml(to_yaml(config), "").values["data"]["train"] == text
    assert yaml.safe_load(to_yaml(config))["data"]["train"] == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("train.max_steps", "1:30"),
        ("train.max_steps", "1_000"),
        ("train.max_steps", "0b11"),
        ("train.max_steps", "2024-01-01"),
        ("seed", "1:30"),
        ("seed", "2024-13-45"),
        ("train.lr", "1:30.5"),
        ("train.lr", "1_0.5"),
    ],
)
def test_a_number_of_yaml_1_1_alone_is_refused(
    key: str, text: str, write: Callable[[str], Path]
) -> None:
    (problem,) = problems([f"{key}={text}"])
    assert problem.startswith(f"{key}: expected ") and f'got "{text}"' in problem
    section, _, name = key.rpartition(".")
    line = f"{section}: {{{name}: {text}}}" if section else f"{name}: {text}"
    (problem,) = problems(files=[write(line)])
    assert problem.startswith(f"{key}: expected ") and f'got "{text}"' in problem


def test_a_leading_zero_is_no_octal(write: Callable[[str], Path]) -> None:
    assert resolve("ner", sets=["seed=010", "train.lr=010"]).train.lr == 10
    assert resolve("ner", sets=["seed=010"]).seed == 10
    assert resolve("ner", [write("seed: 010")]).seed == 10


def test_days_and_yes_and_no_are_text_where_text_is_declared(
    write: Callable[[str], Path],
) -> None:
    path = write(
        "data: {train: 2024-01-01, skip_bad: yes}\ntokenizer: {extra_tokens: [no, on]}"
    )
    config = resolve("ner", [path], ["data.dev=1:30", "runtime.deterministic=Off"])
    assert (config.data.train, config.data.dev) == ("2024-01-01", "1:30")
    assert config.tokenizer.extra_tokens == ("no", "on")
    assert (config.data.skip_bad, config.runtime.deterministic) == (True, False)


def test_yaml_words_for_on_and_off(write: Callable[[str], Path]) -> None:
    assert resolve("ner", [write("runtime: {xla: on}")]).runtime.xla == "on"
    assert resolve("ner", [write("runtime: {xla: off}")]).runtime.xla == "off"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train:\n  epochs: [1\nseed: 2\n", ":3:"),
        ("train:\n  epochs: 1\n\tlr: 2\n", ":3:1: expected YAML"),
        ("a: 1\n---\nb: 2\n", ":2:"),
        ("- a\n- b\n", ":1: expected a mapping"),
        ("text", ":1: expected a mapping"),
        ("train:\n  lr: 1\n  epochs: 1\n  lr: 2\n", ":4: train.lr: given twice"),
        ("seed: 1\nseed: 2\n", ":2: seed: given twice (first on line 1)"),
        ("train: &t {epochs: 1}\ndata: *t\n", ":2: data: expected a plain value"),
        ("a: &a {b: *a}\n", "used again"),
        ("seed: !!python/object/apply:os.getcwd []\n", ":1:7: expected YAML"),
        ("seed: !!timestamp 2024-13-45\n", "expected plain YAML values"),
        ("seed: !!int 1:30\n", "expected plain YAML values, '1:30' is no integer"),
        ("seed: !!float 1_0\n", "expected plain YAML values, '1_0' is no number"),
        ("seed: " + "9" * 5000, "expected plain YAML values"),
        ("? [a]\n: 1\n", "expected YAML"),
        ("seed: \x01\n", ":1: expected YAML, got character"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_broken_yaml_says_where(
    text: str, expected: str, write: Callable[[str], Path]
) -> None:
    path = write(text)
    (problem,) = problems(files=[path])
    assert problem.startswith(f"{path}")
    assert expected in problem
