"""Examples and lines of input to answers, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nlpcli.errors import DataError, NlpcliError, UsageError
from nlpcli.records.row import Row
from nlpcli.runtime.batches import Runner, in_batches
from nlpcli.tasks.protocol import Answer, Answers, Fits, Recipe, Tunes, Weighs, Writes
from nlpcli.text.batching import Features

if TYPE_CHECKING:  # an export answers without TensorFlow
    from nlpcli.runtime.decoding import Decoding
    from nlpcli.runtime.forward import Forward


class Asked(NamedTuple):
    """Lines of input as examples; ``numbers`` are the places of the good ones."""

    examples: list[Any]
    numbers: list[int]
    errors: dict[int, NlpcliError]
    rows: Sequence[Row]

    def answers(
        self, found: Sequence[Answer | DataError] | Sequence[Answer]
    ) -> list[Answer | NlpcliError]:
        """An answer for each line, in order; the error in the place of a bad one."""
        given: dict[int, Answer | NlpcliError] = {**self.errors}
        for number, example, answer in zip(
            self.numbers, self.examples, found, strict=True
        ):
            if not isinstance(answer, DataError) and "text" not in self.rows[number]:
                answer = {"text": example.text, **answer}
            given[number] = answer
        return [given[number] for number in range(len(self.rows))]


class Asks(Protocol):
    """What makes an example of a line of input: a recipe, a reader."""

    def ask(self, row: Row) -> Any: ...


def ask_all(reader: Asks, lines: Sequence[Row | str]) -> Asked:
    """The examples of lines of input."""
    rows = [Row({"text": x}) if isinstance(x, str) else x for x in lines]
    asked = Asked([], [], {}, rows)
    for number, row in enumerate(rows):
        try:
            asked.examples.append(reader.ask(row))
            asked.numbers.append(number)
        except NlpcliError as error:
            asked.errors[number] = error
    return asked


def answer_all(
    recipe: Recipe[Any],
    forward: Runner,
    examples: Sequence[Any],
    batch_size: int,
    tuning: bool = False,
) -> list[Answer]:
    """An answer for each example, in order, from a recipe that predicts.

    ``tuning``: these are development examples; one that Tunes does so first.
    """
    if not isinstance(recipe, Answers):
        raise UsageError("expected a recipe that predicts")
    windows = recipe.encode(examples, gold=False)
    found = in_batches(
        [window.features for own in windows for window in own],
        forward.plan(recipe.fields, batch_size),
        lambda batch: recipe.predict(forward, batch),
    )
    if tuning and isinstance(recipe, Tunes):
        recipe.tune([x for x, own in zip(examples, windows, strict=True) if own], found)
    parts = iter(found)
    return [
        recipe.merge(example, [(window.window, next(parts)) for window in own])
        for example, own in zip(examples, windows, strict=True)
    ]


def answering(
    recipe: Recipe[Any],
    forward: Forward,
    decode: Decoding | None,
    batch_size: int,
    tuning: bool = False,
) -> Callable[[Sequence[Any]], list[Answer]]:
    """How a recipe's examples with gold become answers, for scores.

    A recipe that predicts is scored by that; one that Fits does so first. Generated
    answers also carry ``nll`` (the sum of -log p of the gold targets) and
    ``target_tokens``.
    """
    if decode is not None and isinstance(recipe, Weighs):
        return lambda examples: recipe.weigh(decode, examples)
    if decode is not None and not isinstance(recipe, Answers):
        return lambda examples: _generated(recipe, decode, examples)

    def answer(examples: Sequence[Any]) -> list[Answer]:
        if isinstance(recipe, Fits):
            recipe.fit(forward.model, run)
        return answer_all(recipe, forward, examples, batch_size, tuning)

    def run(features: Sequence[Features], output: str) -> list[Any]:
        plan = forward.plan(recipe.fields, batch_size)
        return in_batches(features, plan, lambda batch: forward(batch)[output])

    return answer


def _generated(
    recipe: Recipe[Any], decode: Decoding, examples: Sequence[Any]
) -> list[Answer]:
    if not isinstance(recipe, Writes):
        raise UsageError("expected a recipe that generates")
    answers = recipe.write(decode, examples, recipe.defaults)
    owned = [
        [window.features for window in windows] for windows in recipe.scored(examples)
    ]
    losses = iter(decode.loss([features for own in owned for features in own]))
    out: list[Answer] = []
    for answer, own in zip(answers, owned, strict=True):
        parts = [next(losses) for _ in own]
        told = {"outputs": []} if isinstance(answer, DataError) else answer
        nll, count = sum(p[0] for p in parts), sum(p[1] for p in parts)
        out.append({**told, "nll": nll, "target_tokens": count})
    return out
