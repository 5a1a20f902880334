"""Command classes: examples kept as written, the recipe's own keys at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from nlpcli.errors import NlpcliError
from nlpcli.files.json_text import dumps, readable


def verb(name: str, **settings: Any) -> typer.Typer:
    """The Typer of one verb: plain help, errors left to ``nlpcli.cli.main``."""
    return typer.Typer(
        name=name,
        cls=Group,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        **settings,
    )


class Group(TyperGroup):
    """A group whose epilog is printed as it is written."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words without help from pydantic where none is needed."""
        pass_plain_values(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        write_block(formatter, self.epilog)


class Command(TyperCommand):
    """A command whose epilog is printed as it is written."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words without help from pydantic where none is needed."""
        pass_plain_values(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        write_block(formatter, self.epilog)


class RecipeCommand(Command):
    """A command on a recipe: its help ends with the keys of the recipe named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words, since --help is answered before RECIPE is read."""
        ctx.meta["nlpcli.words"] = list(args)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, then the keys."""
        super().format_epilog(ctx, formatter)
        entry = recipe_named(ctx)
        if entry is not None:
            keys = _task_keys(entry)
            write_block(
                formatter, f"Keys of {entry.name}, for --set KEY=VALUE:\n{keys}"
            )


class AnswerCommand(RecipeCommand):
    """A command that answers: the recipe's own flags hold as ``task`` keys."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the recipe's flags out of the words; see ``task_sets``."""
        ctx.meta["nlpcli.words"] = list(args)
        entry = recipe_named(ctx)
        flags = {} if entry is None else _flags(entry)
        rest: list[str] = []
        sets: list[str] = []
        words = iter(args)
        for word in words:
            name, equals, value = word.partition("=")
            if word == "--":
                rest += [word, *words]
            elif (assignment := flags.get(name)) is None:
                rest.append(word)
            elif not assignment.endswith("="):
                sets.append(f"{name} {assignment}")
            else:
                given = value if equals else next(words, "")
                as_typed = _quoted(entry, assignment, given)
                sets.append(f"{name} {assignment}{as_typed}")
        ctx.meta["nlpcli.sets"] = sets
        return super().parse_args(ctx, rest)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, the recipe's flags, its keys."""
        super().format_epilog(ctx, formatter)
        entry = recipe_named(ctx)
        if entry is not None and (flags := _flags(entry)):
            write_block(formatter, f"Flags of {entry.name}: {' '.join(flags)}")


def task_sets(ctx: Any, sets: Sequence[str] | None) -> list[str]:
    """What an AnswerCommand was given: ``--FLAG task.KEY=VALUE`` of the recipe's flags,
    then ``task.KEY=VALUE`` of ``--set``."""
    return [*ctx.meta.get("nlpcli.sets", ()), *(sets or ())]


def typed(assignment: str) -> str:
    """How one of those was typed."""
    return assignment.split()[0] if assignment.startswith("--") else "--set"


def write_block(formatter: Any, text: str | None) -> None:
    """A paragraph after an empty line, its line ends kept; a recipe's words are those
    of whoever wrote it."""
    if text:
        formatter.write_paragraph()
        formatter.write(readable(text.rstrip("\n")) + "\n")


def recipe_named(ctx: Any) -> Any:
    """The recipe among the words of a RecipeCommand, which may be unparsed, or None."""
    from nlpcli.recipe import find_recipe

    for word in ctx.meta.get("nlpcli.words", []):
        if not word.startswith("-"):
            try:
                return find_recipe(word)
            except NlpcliError:
                continue
    return None


def pass_plain_values(params: list[Any]) -> None:
    """Let text, paths and known choices past the conversion by pydantic.

    Typer loads it for the first option with a value, even a default one, and that
    takes 0.05 s; numbers and wrong values still go there. Stands on private parts of
    Typer, hence the bound in pyproject.toml; where they are gone it does nothing.
    """
    for param in params:
        convert = getattr(param, "get_runtime_param", None)
        descriptor = getattr(param, "type_descriptor", None)
        annotation = getattr(descriptor, "annotation", None)
        if isinstance(convert, _PlainFirst) or None in (convert, annotation):
            continue
        param.get_runtime_param = _PlainFirst(annotation, convert)


class _PlainFirst:
    """Stands in for a parameter's converter; called to get it, then asked to coerce."""

    def __init__(self, annotation: Any, convert: Any) -> None:
        self.annotation = annotation
        self.convert = convert

    def __call__(self) -> _PlainFirst:
        return self

    def coerce(self, value: Any, **context: Any) -> Any:
        try:
            return _plain(value, self.annotation)
        except TypeError:
            return self.convert().coerce(value, **context)


def _plain(value: Any, annotation: Any) -> Any:
    """``value`` as ``annotation`` if that takes no parsing, else TypeError."""
    origin = get_origin(annotation)
    if value is None:
        return None
    if origin is list and isinstance(value, (list, tuple)):
        (inner,) = get_args(annotation)
        return [_plain(item, inner) for item in value]
    if origin is Literal and value in get_args(annotation):
        return value
    if annotation is Path and isinstance(value, (str, Path)):
        return Path(value)
    if annotation in (str, bool, int, float) and type(value) is annotation:
        return value
    raise TypeError


def _flags(entry: Any) -> dict[str, str]:
    """The recipe's flags, and the assignment that each stands for or begins."""
    flags: dict[str, str] = {}
    for option in fields(entry.task_type()):
        if option.metadata.get("flag"):
            name, key = option.name.replace("_", "-"), f"task.{option.name}="
            if isinstance(option.default, bool):
                flags |= {f"--{name}": f"{key}true", f"--no-{name}": f"{key}false"}
            else:
                flags[f"--{name}"] = key
    return flags


def _quoted(entry: Any, assignment: str, value: str) -> str:
    """The value of a flag, text such that YAML reads it back as it was typed."""
    kind = get_type_hints(entry.task_type())[assignment[len("task.") : -1]]
    return dumps(value) if kind in (str, str | None) else value


def _task_keys(entry: Any) -> str:
    from nlpcli.cli.table import key_table
    from nlpcli.config.loader import resolve, schema

    rows = schema(entry.task_type(), "task", resolve(entry.name))
    return "\n".join(f"  {line}" for line in key_table(rows).splitlines()[1:])
