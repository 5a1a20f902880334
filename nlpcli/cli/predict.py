"""``nlpcli predict RECIPE [TEXT...]``: answers, one line for each line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.command import RecipeCommand, verb
from nlpcli.cli.options import BatchSize, Force, Precision, Recipe, Run
from nlpcli.cli.render import render
from nlpcli.cli.stream import Arrivals, Request, from_lines, from_texts, open_lines
from nlpcli.config import Xla
from nlpcli.errors import DataError, NlpcliError, UsageError
from nlpcli.text.json_text import dumps

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
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help="Texts; otherwise --input or stdin."),
    ] = None,
    run: Run = None,
    source: Annotated[
        str | None,
        typer.Option("--input", metavar="FILE|-", help="Lines to answer; - is stdin."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="Where answers go, all of them or none."
        ),
    ] = None,
    text_key: Annotated[
        str, typer.Option("--text-key", metavar="KEY", help="Text of a JSON line.")
    ] = "text",
    id_key: Annotated[
        str, typer.Option("--id-key", metavar="KEY", help="Id of a JSON line.")
    ] = "id",
    batch_size: BatchSize = 32,
    precision: Annotated[
        Precision | None, typer.Option("--precision", help="Type of activations.")
    ] = None,
    xla: Annotated[
        bool | None, typer.Option("--xla/--no-xla", help="Compile the model.")
    ] = None,
    form: Annotated[
        Literal["json", "text"], typer.Option("--format", help="How answers look.")
    ] = "json",
    on_error: Annotated[
        Literal["stop", "skip"],
        typer.Option("--on-error", help="What a bad line does; skip exits with 4."),
    ] = "stop",
    force: Force = False,
) -> None:
    """Answer texts: JSON Lines out, answer n for line n."""
    from nlpcli.cli.console import quiet_imports
    from nlpcli.cli.output import open_output, refuse_existing
    from nlpcli.cli.runs import chosen_run
    from nlpcli.recipe import find_recipe

    name = find_recipe(recipe).name
    refuse_existing(output, force)
    folder = chosen_run(run, name)
    # reading begins while the model loads
    arrivals = Arrivals(_requests(texts, source, text_key, id_key))
    try:
        with quiet_imports():
            from nlpcli.engine.predict import Predictor

        mode: Xla | None = None if xla is None else "on" if xla else "off"
        predictor = Predictor(
            folder, name, batch_size=batch_size, precision=precision, xla=mode
        )
        failed = 0
        with open_output(output) as out:
            for chunk in arrivals.chunks(BATCHES_AHEAD * batch_size):
                for line, error in _answers(predictor, chunk, form, on_error):
                    failed += error
                    out.write(line)
                out.flush()
    finally:
        arrivals.close()
    if failed:
        raise typer.Exit(4)


def _requests(
    texts: list[str] | None, source: str | None, text_key: str, id_key: str
) -> Iterator[Request]:
    if texts and source is not None:
        raise UsageError("--input: does not go together with TEXT")
    if texts:
        return from_texts(texts)
    if source is None and sys.stdin.isatty():
        raise UsageError("expected TEXT, --input FILE or lines on stdin, got none")
    name = source or "-"
    lines = open_lines(name)
    return from_lines(lines, "stdin" if name == "-" else name, text_key, id_key)


def _answers(
    predictor: Any, chunk: list[Request], form: str, on_error: str
) -> Iterator[tuple[str, bool]]:
    """Each line of output, and whether it stands for an error.

    Under ``stop`` raises the first error when the lines before it are out.
    """
    stop = on_error == "stop"
    wanted: Iterable[Request] = (
        takewhile(lambda request: request.error is None, chunk) if stop else chunk
    )
    texts = [request.text for request in wanted if request.error is None]
    found = iter(predictor.predict(texts))
    for request in chunk:
        answer = request.error or next(found)
        if not isinstance(answer, NlpcliError):
            yield _line(request, answer, form), False
            continue
        if request.error is None:
            answer = DataError(f"{request.line}: {answer}")
        if stop:
            raise answer
        told = {"code": answer.exit_code, "message": str(answer)}
        yield dumps({"id": request.id, "error": told}), True


def _line(request: Request, answer: dict[str, Any], form: str) -> str:
    if form == "text":
        return render(request.text, answer)
    known = {} if request.id is None else {"id": request.id}
    return dumps({**known, "text": request.text, **answer})
