"""``nlpcli predict RECIPE [TEXT...]``: answers, one line for each line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.answer_lines import json_line, requests_of, write_answers
from nlpcli.cli.command import RecipeCommand, verb
from nlpcli.cli.options import (
    BatchSize,
    Force,
    IdKey,
    OnError,
    OutputFile,
    PrecisionOption,
    Recipe,
    Run,
    Source,
    TextKey,
    Texts,
)
from nlpcli.cli.render import render
from nlpcli.cli.stream import Arrivals, Request
from nlpcli.config import Xla

EXAMPLES = """\
Examples:
  nlpcli predict ner "王小明在北京大学读书"
  nlpcli predict ner "王小明在北京大学读书" --format text
  nlpcli predict ner --input lines.txt --output answers.jsonl
  tail -f log.jsonl | nlpcli predict ner --text-key message --on-error skip

Input is plain text, a line each, or JSON Lines when it begins with `{`."""

app = verb("predict")

# windows of this many batches are sorted by length together
BATCHES_AHEAD = 8


@app.command("predict", cls=RecipeCommand, epilog=EXAMPLES)
def predict(
    recipe: Recipe,
    texts: Texts = None,
    run: Run = None,
    source: Source = None,
    output: OutputFile = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    batch_size: BatchSize = 32,
    precision: PrecisionOption = None,
    xla: Annotated[
        bool | None, typer.Option("--xla/--no-xla", help="Compile the model.")
    ] = None,
    form: Annotated[
        Literal["json", "text"], typer.Option("--format", help="How answers look.")
    ] = "json",
    on_error: OnError = "stop",
    force: Force = False,
) -> None:
    """Answer texts: JSON Lines out, answer n for line n."""
    from nlpcli.cli.console import quiet_imports
    from nlpcli.cli.output import refuse_existing
    from nlpcli.cli.runs import chosen_run
    from nlpcli.recipe import find_recipe

    name = find_recipe(recipe).name
    refuse_existing(output, force)
    folder = chosen_run(run, name)
    # reading begins while the model loads
    arrivals = Arrivals(requests_of(texts, source, text_key, id_key))
    try:
        with quiet_imports():
            from nlpcli.engine.predict import Predictor

        mode: Xla | None = None if xla is None else "on" if xla else "off"
        predictor = Predictor(
            folder, name, batch_size=batch_size, precision=precision, xla=mode
        )
        failed = write_answers(
            arrivals,
            BATCHES_AHEAD * batch_size,
            predictor.predict,
            _bracketed if form == "text" else json_line,
            on_error,
            output,
        )
    finally:
        arrivals.close()
    if failed:
        raise typer.Exit(4)


def _bracketed(request: Request, answer: dict[str, Any]) -> str:
    return render(request.text, answer)
