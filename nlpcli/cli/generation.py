"""What ``generate`` and ``chat`` share: flags, the loaded generator, one reply."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nlpcli.config import Precision
from nlpcli.errors import NlpcliError, NotFoundError, UsageError

if TYPE_CHECKING:
    from nlpcli.recipe import RecipeEntry

logger = logging.getLogger("nlpcli")

Asked = Any  # GenerateOptions, imported when it is made: --help stays instant


def _flag(kind: Any, name: str, metavar: str, told: str) -> Any:
    return Annotated[kind | None, typer.Option(name, metavar=metavar, help=told)]


# What is not said here, the recipe's own defaults decide.
Beam = _flag(int, "--beam", "N", "Beams searched; 1 is greedy.")
TopK = _flag(int, "--top-k", "N", "Sample among the N likeliest.")
TopP = _flag(float, "--top-p", "P", "Sample among the likeliest that sum up to P.")
Temperature = _flag(float, "--temperature", "T", "Sample; below 1 is less daring.")
RepetitionPenalty = _flag(
    float, "--repetition-penalty", "X", "Above 1: what was used comes less."
)
NoRepeatNgram = _flag(int, "--no-repeat-ngram", "N", "No N tokens in a row twice.")
LengthPenalty = _flag(
    float, "--length-penalty", "X", "Beams are ranked by score / length^X."
)
MinLength = _flag(int, "--min-length", "N", "Fewest tokens of an answer.")
MaxLength = _flag(int, "--max-length", "N", "Most tokens of an answer, its end too.")
Seed = _flag(int, "--seed", "N", "Same seed, same samples.")
Tones = Annotated[
    bool | None,
    typer.Option("--tones/--no-tones", help="couplet: level and oblique tones agree."),
]

Grammar = Annotated[
    bool | None,
    typer.Option(
        "--grammar/--no-grammar", help="math-qa: only well-formed expressions."
    ),
]


def writing_recipe(name: str) -> RecipeEntry:
    """The recipe of that name, which must be one that generates."""
    from nlpcli.recipe import find_recipe

    entry = find_recipe(name)
    if "generate" not in entry.verbs:
        raise UsageError(
            f"recipe {entry.name}: does not generate text, it has the verbs "
            f"{', '.join(entry.verbs)}"
        )
    return entry


def asked_options(
    entry: RecipeEntry,
    tones: bool | None = None,
    grammar: bool | None = None,
    **values: Any,
) -> Asked:
    """The flags that were given; raises UsageError with all that is wrong in them.

    A flag of one recipe stands over the key of that name in its ``task`` section.
    """
    from nlpcli.decoders.options import GenerateOptions

    given = {"tones": tones, "grammar": grammar}
    extra = {name: value for name, value in given.items() if value is not None}
    known = {field.name for field in fields(entry.task_type())} if extra else set()
    asked = GenerateOptions(**values, extra=extra)
    strange = [
        f"--{name}: recipe {entry.name} has no such option"
        for name in extra.keys() - known
    ]
    _refuse(strange + asked.problems())
    return asked


def known_run(run: Path | None, recipe: str) -> Path | None:
    """The run folder that was named; None is what the engine finds by itself.

    Raises NotFoundError before a model is loaded, so a slip costs no wait.
    """
    from nlpcli.cli.runs import chosen_run
    from nlpcli.samples import shipped_run

    try:
        return chosen_run(run, recipe)
    except NotFoundError:
        if run is not None or shipped_run(recipe) is None:
            raise
        return None


@dataclass
class Writer:
    """A loaded generator with what was asked of it."""

    generator: Any
    asked: Asked
    import_seconds: float

    @property
    def streams(self) -> bool:
        """Whether an answer grows from left to right; the best beam may change."""
        complete = self.generator.options(self.asked)
        return complete.samples or (complete.beam or 1) == 1

    def generate(self, texts: list[str]) -> list[dict[str, Any] | NlpcliError]:
        """An answer for each text, in order; an error in the place of a bad one."""
        answers: list[dict[str, Any] | NlpcliError]
        answers = self.generator.generate(texts, self.asked)
        return answers

    def reply(self, text: str, seed: int | None = None) -> Iterator[str]:
        """One answer, piece by piece where it grows so; raises what went wrong."""
        asked = replace(self.asked, num=1)
        if seed is not None:
            asked = replace(asked, seed=seed)
        if self.streams:
            yield from self.generator.stream(text, asked)
            return
        (answer,) = self.generator.generate([text], asked)
        if isinstance(answer, NlpcliError):
            raise answer
        yield from (output["text"] for output in answer["outputs"][:1])

    def tell_times(self) -> None:
        """Where the time went, for -v."""
        seconds = {"import": self.import_seconds, **self.generator.timings}
        told = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
        logger.debug("time: %s", told, extra={"fields": seconds})


def open_writer(
    run: Path | None,
    recipe: str,
    asked: Asked,
    batch_size: int,
    precision: Precision | None,
) -> Writer:
    """Load the model; raises UsageError for options that do not fit the recipe."""
    from nlpcli.cli.console import quiet_imports

    started = time.perf_counter()
    with quiet_imports():
        from nlpcli.engine.generate import Generator
    seconds = time.perf_counter() - started
    generator = Generator(run, recipe, batch_size=batch_size, precision=precision)
    _refuse(generator.options(asked).problems())
    return Writer(generator, asked, seconds)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise UsageError("\n".join(problems))
