"""The ``task`` section of lm's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nlpcli.config import option

from .form import TextForm
from .template import template_problem


@dataclass(frozen=True)
class TaskOptions:
    """What a language model is asked, and how long a text it is measured on."""

    template: str = option(
        "{text}{answer}",
        "how a text is put; {text} and other keys of a line in braces, {answer} where "
        "the model goes on",
        flag=True,
    )
    shots: str | None = option(
        None,
        "JSON Lines of solved examples that stand before the text, the template's keys "
        'and "answer" (or "label") in each',
        path=True,
        flag=True,
    )
    choices: str | None = option(
        None,
        "possible answers, commas between them: the likeliest is given, none is "
        "written",
        flag=True,
    )
    until: str | None = option(
        None,
        "what ends an answer beside the model's own end; null: what the template has "
        "after {answer}, else task.between where there are shots. What is several "
        "tokens is looked for when the answer is written: that takes as long as an "
        "answer of --max-length",
        flag=True,
    )
    begin: bool = option(
        True,
        "the token that begins a sequence stands first, where the vocabulary has one; "
        "GPT2_ML was trained without",
        flag=True,
    )
    between: str = option(
        "\n",
        "what stands between solved examples; the token that ends a text where the "
        "vocabulary has none for it, as BERT's for a line end",
    )
    window: int = option(
        1024,
        "tokens that a text is measured in; longer ones in several, at most the "
        "model's positions",
        minimum=2,
    )
    stride: int = option(
        512,
        "new tokens of each further window; the others are context. Half the window "
        "where the positions are fewer",
        minimum=1,
    )

    def conflicts(self) -> Iterator[tuple[list[str], str]]:
        """Keys that do not go together, and why."""
        if problem := template_problem(self.template):
            yield ["template"], problem
        if self.stride > self.window:
            yield (
                ["stride", "window"],
                f"expected at most task.window ({self.window}), got {self.stride}",
            )
        if self.choices is not None and len(self.answers) < 2:
            yield ["choices"], f"expected two answers or more, got {self.choices!r}"

    @property
    def answers(self) -> tuple[str, ...]:
        """The possible answers, none where the model writes."""
        parts = (self.choices or "").replace("，", ",").split(",")
        return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))

    def form(self) -> TextForm:
        """What a line of data is."""
        return TextForm()
