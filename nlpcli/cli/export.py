"""``nlpcli export RECIPE DST``: a folder that other tools load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nlpcli.cli.command import Command, verb
from nlpcli.cli.options import Force, Json, Recipe, Run
from nlpcli.config import Quantize
from nlpcli.errors import UsageError

EXAMPLES = """\
Examples:
  nlpcli export ner my-encoder --to hf
  nlpcli export ner my-encoder --run runs/rbt3 --force
  nlpcli export ner ner-onnx --to onnx --quantize int8
  nlpcli predict ner --run ner-onnx "王小明在北京大学读书"

hf: a head that transformers has goes with the encoder: ner with task.head softmax,
classify with task.pooling pooler, the output head of what writes. What is lost is told.

onnx, openvino, savedmodel: the whole model of a recipe that predicts, up to its logits,
with all that answers need; eight samples are answered on both sides before it is
handed over. `predict` runs the first two (extras nlpcli[onnx], nlpcli[openvino])
without TensorFlow, TensorFlow Serving the third."""

app = verb("export")


@app.command("export", cls=Command, epilog=EXAMPLES)
def export(
    recipe: Recipe,
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="Folder to write.")
    ],
    to: Annotated[
        Literal["hf", "onnx", "openvino", "savedmodel"],
        typer.Option(
            "--to",
            help="hf: as transformers loads it; others: the whole model for an engine.",
        ),
    ] = "hf",
    quantize: Annotated[
        Quantize | None,
        typer.Option(
            "--quantize", help="Kernels of int8, for onnx and openvino; else float32."
        ),
    ] = None,
    run: Run = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Write a run as a folder other tools load."""
    from nlpcli.cli.console import quiet_imports
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.runs import chosen_run
    from nlpcli.cli.table import pairs
    from nlpcli.recipe import find_recipe

    if quantize is not None and to == "hf":
        raise UsageError(f"--quantize {quantize}: --to hf writes float32")
    chosen = chosen_run(run, find_recipe(recipe).name)
    if to == "hf":
        with quiet_imports():
            from nlpcli.engine.export import export_run

        report = export_run(chosen, destination, force=force)
    else:
        with quiet_imports():
            from nlpcli.engine.export_engine import export_engine

        report = export_engine(chosen, destination, to, quantize, force)
    if as_json:
        print_json(report)
    else:
        print_text(pairs(report))
