"""``nlpcli fill [TEXT...]``: the likeliest tokens for each [MASK]."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.answer_lines import json_line, requests_of, write_answers
from nlpcli.cli.command import Command, verb
from nlpcli.cli.complete import complete_models
from nlpcli.cli.options import (
    BatchSize,
    Force,
    IdKey,
    LongestLine,
    OnError,
    OutputFile,
    PrecisionOption,
    Source,
    TextKey,
    Texts,
)
from nlpcli.cli.stream import Arrivals, Request
from nlpcli.files.json_text import in_one_line

EXAMPLES = """\
Examples:
  nlpcli fill "今天天[MASK]好" --model bert-base-chinese
  nlpcli fill "[MASK]京是中国的首都" --model path/to/bert --top 3 --format json
  nlpcli fill --input lines.txt --model path/to/bert

The model needs the head it was trained with for masked tokens, as BertForMaskedLM and
Google's own checkpoints have it."""

app = verb("fill")

CHUNK = 256  # lines that are sorted by length together


@app.command("fill", cls=Command, epilog=EXAMPLES)
def fill(
    texts: Texts = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME|DIR",
            help="A pretrained model.",
            autocompletion=complete_models,
        ),
    ] = ...,  # type: ignore[assignment]
    top: Annotated[
        int, typer.Option("--top", min=1, metavar="N", help="Tokens for each mask.")
    ] = 5,
    source: Source = None,
    output: OutputFile = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    longest_line: LongestLine = None,
    batch_size: BatchSize = 32,
    precision: PrecisionOption = None,
    form: Annotated[
        Literal["json", "text"] | None,
        typer.Option(
            "--format",
            help="How answers look; text for TEXT on a terminal, otherwise json.",
        ),
    ] = None,
    on_error: OnError = "stop",
    offline: Annotated[
        bool, typer.Option("--offline", help="Forbid the download of a model.")
    ] = False,
    force: Force = False,
) -> None:
    """Say what may stand for each [MASK]: JSON Lines out, answer n for line n."""
    from nlpcli.checkpoints.download import resolve_model
    from nlpcli.cli.console import open_progress, quiet_imports
    from nlpcli.files.named import refuse_existing

    refuse_existing(output, force, source or "-")
    folder = resolve_model(model, offline=offline, progress=open_progress())
    bare = bool(texts) and output is None and sys.stdout.isatty()
    arrivals = Arrivals(requests_of(texts, source, text_key, id_key, longest_line))
    try:
        with quiet_imports():
            from nlpcli.engine.fill import Filler
        filler = Filler(Path(folder), batch_size, precision)
        failed = write_answers(
            arrivals,
            CHUNK,
            lambda rows: filler.fill(rows, top),
            _readable if form == "text" or (form is None and bare) else json_line,
            on_error,
            output,
            force,
        )
    finally:
        arrivals.close()
    if failed:
        raise typer.Exit(4)


def _readable(request: Request, answer: dict[str, Any]) -> str:
    """``气 0.9312  空 0.0102``, a line for each mask."""
    return "\n".join(
        "  ".join(
            in_one_line(f"{x['text']} {x['probability']:.4f}") for x in mask["tokens"]
        )
        for mask in answer["masks"]
    )
