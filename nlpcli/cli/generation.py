"""What ``generate`` and ``chat`` share: flags, the loaded generator, one reply."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nlpcli.config import Precision, Quantize
from nlpcli.errors import NlpcliError, UsageError
from nlpcli.records.row import Row

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


def writing_recipe(name: str) -> RecipeEntry:
    """The recipe of that name, which must be one that generates."""
    from nlpcli.recipe import find_recipe

    entry = find_recipe(name)
    entry.require("generate", "does not generate text")
    return entry


def asked_options(**values: Any) -> Asked:
    """The flags that were given; raises UsageError with all that is wrong in them."""
    from nlpcli.decoders.options import GenerateOptions

    asked = GenerateOptions(**values)
    _refuse(asked.problems())
    return asked


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

    def generate(self, rows: list[Row]) -> list[dict[str, Any] | NlpcliError]:
        """An answer for each line, in order; an error in the place of a bad one."""
        answers: list[dict[str, Any] | NlpcliError]
        answers = self.generator.generate(rows, self.asked)
        return answers

    def reply(self, row: Row, seed: int | None = None) -> Iterator[str]:
        """One answer, piece by piece where it grows so; raises what went wrong."""
        asked = replace(self.asked, num=1)
        if seed is not None:
            asked = replace(asked, seed=seed)
        if self.streams:
            yield from self.generator.stream(row, asked)
            return
        (answer,) = self.generator.generate([row], asked)
        if isinstance(answer, NlpcliError):
            raise answer
        yield from (output["text"] for output in answer["outputs"][:1])

    def tell_times(self) -> None:
        """Where the time went, for -v."""
        seconds = {"import": self.import_seconds, **self.generator.timings}
        told = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
        logger.debug("time: %s", told, extra={"fields": seconds})


def open_writer(
    run: Any,
    recipe: str,
    asked: Asked,
    batch_size: int,
    precision: Precision | None,
    sets: Sequence[str] = (),
    model: Any = None,
    quantize: Quantize | None = None,
) -> Writer:
    """Load the model; raises UsageError for options that do not fit the recipe."""
    from nlpcli.cli.console import quiet_imports

    started = time.perf_counter()
    with quiet_imports():
        from nlpcli.engine.generate import Generator
    seconds = time.perf_counter() - started
    generator = Generator(run, recipe, batch_size, precision, sets, model, quantize)
    _refuse(generator.options(asked).problems())
    return Writer(generator, asked, seconds)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise UsageError("\n".join(problems))
