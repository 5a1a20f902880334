"""``nlpcli predict RECIPE [TEXT...]``: answers, one line for each line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from nlpcli.cli.answer_lines import (
    answered,
    error_line,
    json_line,
    requests_of,
    told,
    write_answers,
)
from nlpcli.cli.command import AnswerCommand, task_sets, typed, verb
from nlpcli.cli.options import (
    AskedPrecisionOption,
    BatchSize,
    EngineOption,
    Force,
    IdKey,
    LongestLine,
    OnError,
    OutputFile,
    Recipe,
    RunOrExport,
    Source,
    TaskSets,
    TextKey,
    Texts,
)
from nlpcli.cli.render import render
from nlpcli.cli.stream import Arrivals, Request
from nlpcli.cli.vectors import SUFFIX, write_vectors
from nlpcli.config import AskedPrecision, Xla
from nlpcli.errors import NlpcliError, UsageError
from nlpcli.files.json_text import dumps

if TYPE_CHECKING:
    from nlpcli.engine.exported import Engine, ExportDir
    from nlpcli.engine.run_dir import RunDir

EXAMPLES = """\
Examples:
  nlpcli predict ner "王小明在北京大学读书"
  nlpcli predict ner "王小明在北京大学读书" --format text
  nlpcli predict ner --input lines.txt --output answers.jsonl
  nlpcli predict ner --input lines.txt --format label-studio --output tasks.json
  nlpcli predict simbert --input lines.txt --output vectors.npy
  nlpcli export ner ner-onnx --to onnx; nlpcli predict ner --run ner-onnx "王小明"
  tail -f log.jsonl | nlpcli predict ner --text-key message --on-error skip

Input is plain text, a line each, or JSON Lines when it begins with `{`. An output that
ends in .npy gets a float32 row for each line. A recipe that compares also takes two
texts, with a tab between them or as "text_a" and "text_b"."""

app = verb("predict")

# windows of this many batches are sorted by length together
BATCHES_AHEAD = 8


@app.command("predict", cls=AnswerCommand, epilog=EXAMPLES)
def predict(
    context: typer.Context,
    recipe: Recipe,
    texts: Texts = None,
    run: RunOrExport = None,
    engine: EngineOption = None,
    sets: TaskSets = None,
    source: Source = None,
    output: OutputFile = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    longest_line: LongestLine = None,
    batch_size: BatchSize = 32,
    precision: AskedPrecisionOption = "auto",
    xla: Annotated[
        bool | None, typer.Option("--xla/--no-xla", help="Compile the model.")
    ] = None,
    form: Annotated[
        Literal["json", "text", "doccano", "label-studio"],
        typer.Option(
            "--format", help="How answers look; for annotation tools, to be corrected."
        ),
    ] = "json",
    on_error: OnError = "stop",
    force: Force = False,
) -> None:
    """Answer texts: JSON Lines out, answer n for line n."""
    from nlpcli.files.named import refuse_existing
    from nlpcli.recipe import find_recipe

    entry = find_recipe(recipe)
    entry.require("predict", "does not predict")
    name = entry.name
    matrix = output if output is not None and output.suffix == SUFFIX else None
    if matrix is not None and form != "json":
        raise UsageError(
            f"--format {form}: does not go together with --output {output}"
        )
    told = task_sets(context, sets)
    if matrix is not None and told:
        raise UsageError(f"{typed(told[0])}: does not go together with {output}")
    if form in ANNOTATED and form not in entry.task_type()().form().published:
        raise UsageError(f"--format {form}: recipe {name} marks nothing in a text")
    refuse_existing(output, force, source or "-")
    mode: Xla | None = None if xla is None else "on" if xla else "off"
    opened = _opened(run, name, engine, mode)
    # reading begins while the model loads
    arrivals = Arrivals(requests_of(texts, source, text_key, id_key, longest_line))
    ahead = BATCHES_AHEAD * batch_size
    how = Answering(opened, name, engine, batch_size, precision, mode)
    try:
        if matrix is not None:
            failed = write_vectors(
                arrivals, ahead, _embedder(how), on_error, matrix, force
            )
        else:
            show, show_error = SHOWN[form]
            failed = write_answers(
                arrivals,
                ahead,
                _predictor(how, told).predict,
                show,
                on_error,
                output,
                force,
                as_list=form == "label-studio",
                show_error=show_error,
            )
    finally:
        arrivals.close()
    if failed:
        raise typer.Exit(4)


class Answering(NamedTuple):
    """What answers, and how: a run by TensorFlow, or an export by an engine."""

    opened: RunDir | ExportDir
    recipe: str
    engine: Engine | None
    batch_size: int
    precision: AskedPrecision
    xla: Xla | None


def _opened(
    run: Path | None, recipe: str, engine: Engine | None, xla: Xla | None
) -> RunDir | ExportDir:
    """The run or the export that answers; UsageError for options of the other."""
    from nlpcli.cli.runs import chosen_export, chosen_run

    export = chosen_export(run, recipe, engine)
    if export is not None and xla is not None:
        raise UsageError(f"--xla, --no-xla: {run} is an export, without TensorFlow")
    return export or chosen_run(run, recipe)


def _predictor(how: Answering, sets: Sequence[str]) -> Any:
    from nlpcli.cli.console import quiet_imports
    from nlpcli.engine.exported import ExportDir, ExportedRun

    opened, recipe, engine, size, precision, xla = how
    if isinstance(opened, ExportDir):
        return ExportedRun(opened, engine, size, precision, sets)
    with quiet_imports():
        from nlpcli.engine.predict import Predictor

    return Predictor(opened, recipe, size, precision, xla, sets)


def _embedder(how: Answering) -> Any:
    from nlpcli.cli.console import quiet_imports
    from nlpcli.engine.exported import ExportDir, ExportedRun

    opened, recipe, engine, size, precision, xla = how
    if isinstance(opened, ExportDir):
        return ExportedRun(opened, engine, size, precision).vectors()
    with quiet_imports():
        from nlpcli.engine.embed import Embedder

    return Embedder.open(opened, recipe, batch_size=size, precision=precision, xla=xla)


def _bracketed(request: Request, answer: dict[str, Any]) -> str:
    return render(answer.get("text", request.text), answer)


def _doccano(request: Request, answer: dict[str, Any]) -> str:
    from nlpcli.records.doccano import doccano

    return dumps(doccano(answered(request, answer)))


def _doccano_error(request: Request, error: NlpcliError) -> str:
    return dumps(answered(request, {"error": told(error)}))


def _label_studio(request: Request, answer: dict[str, Any]) -> str:
    from nlpcli.records.label_studio import label_studio

    return dumps(label_studio(answered(request, answer), predicted=True))


def _label_studio_error(request: Request, error: NlpcliError) -> str:
    """A task without a prediction, so that the list can still be imported."""
    from nlpcli.records.label_studio import task

    return dumps(task(answered(request, {}), request.text, error=told(error)))


# an answer, and what stands for a bad line
SHOWN = {
    "json": (json_line, error_line),
    "text": (_bracketed, error_line),
    "doccano": (_doccano, _doccano_error),
    "label-studio": (_label_studio, _label_studio_error),
}
ANNOTATED = ("doccano", "label-studio")
