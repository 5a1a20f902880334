"""Plain values pass Typer's conversion by, and come out as from the conversion."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
from packaging.requirements import Requirement

from nlpcli.cli.command import _plain, _PlainFirst, pass_plain_values
from nlpcli.cli.main import VERBS, app

ROOT = Path(__file__).resolve().parents[2]
GONE = (
    f"typer {metadata.version('typer')} has other private parts than "
    "pass_plain_values in nlpcli/cli/command.py stands on: mend it there, or take it "
    "away, and move the bound of typer in pyproject.toml"
)


def commands() -> Iterator[Any]:
    """Every command and group of nlpcli."""
    root: Any = typer.main.get_command(app)
    yield root
    for name in VERBS:
        verb = root.get_command(None, name)
        yield verb
        yield from getattr(verb, "commands", {}).values()


@pytest.fixture(scope="module")
def params() -> list[Any]:
    context = typer.Context(typer.main.get_command(app))
    found = [x for command in commands() for x in command.get_params(context)]
    assert len(found) > 100
    return found


def test_typer_has_the_private_parts_that_are_patched(params: list[Any]) -> None:
    for param in params:
        assert callable(getattr(param, "get_runtime_param", None)), GONE
        descriptor = getattr(param, "type_descriptor", None)
        assert getattr(descriptor, "annotation", None) is not None, GONE
    pass_plain_values(params)
    pass_plain_values(params)  # again is the same as once
    for param in params:
        assert isinstance(param.get_runtime_param, _PlainFirst), GONE
        assert not isinstance(param.get_runtime_param.convert, _PlainFirst)


def test_typer_asks_the_patched_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that was waved through is what the command gets."""

    def only_here(value: Any, annotation: Any) -> Any:
        if value != "here":
            raise TypeError
        return "waved"

    monkeypatch.setattr("nlpcli.cli.command._plain", only_here)
    root: Any = typer.main.get_command(app)
    predict = root.get_command(None, "predict")
    context = predict.make_context("predict", ["ner", "--run", "here"])
    assert context.params["run"] == "waved", GONE


def test_the_bound_names_the_version_that_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (bound,) = [
        requirement
        for requirement in map(Requirement, project["dependencies"])
        if requirement.name == "typer"
    ]
    assert {x.operator for x in bound.specifier} == {">=", "<"}
    assert metadata.version("typer") in bound.specifier, GONE


# as a line holds them: numbers are text there, and only defaults are more
VALUES: list[Any] = [None, "text", "", "3", "json", "here/file", ["a", "b"], ("1",)]


def test_a_plain_value_is_what_the_conversion_makes_of_it(params: list[Any]) -> None:
    """For every option, its default and words of a line, where they are let past."""
    compared = 0
    for param in params:
        own = getattr(param, "get_runtime_param", None)
        converter = getattr(own, "convert", own)()
        context = typer.Context(typer.main.get_command(app))
        for value in (*VALUES, param.default):
            if (param.multiple or param.nargs == -1) and value is None:
                continue  # an empty tuple there, which typer itself turns into None
            try:
                found = _plain(value, param.type_descriptor.annotation)
            except TypeError:
                continue
            assert converter.coerce(value, param=param, ctx=context) == found
            compared += 1
    assert compared > 300
