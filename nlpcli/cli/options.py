"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.complete import (
    complete_keys,
    complete_models,
    complete_recipes,
    complete_runs,
)
from nlpcli.config import MOST_BYTES, AskedPrecision, Precision, Quantize

Recipe = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="Name of the recipe; `nlpcli recipes` lists them.",
        autocompletion=complete_recipes,
    ),
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("-c", "--config", metavar="FILE", help="YAML file over the defaults."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One configuration key; may be repeated.",
        autocompletion=complete_keys,
    ),
]
TaskSets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="task.KEY=VALUE",
        help="Answer otherwise than the run was set up to; repeatable.",
        autocompletion=complete_keys,
    ),
]
Run = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="DIR",
        help="Run folder; the newest finished run of the recipe when not given.",
        autocompletion=complete_runs,
    ),
]
RunOrExport = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="DIR",
        help="Run folder, or an export of one; the newest finished run of the recipe "
        "when not given.",
        autocompletion=complete_runs,
    ),
]
EngineOption = Annotated[
    Literal["onnx", "openvino"] | None,
    typer.Option("--engine", help="What runs an export; else what it is for."),
]
AsItIs = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|DIR",
        help="A pretrained model, for a recipe that needs no training.",
        autocompletion=complete_models,
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Forbid the download of a model.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON value on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, metavar="N", help="Most windows a batch.")
]
Texts = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TEXT]...", help="Texts; otherwise --input or stdin."),
]
Source = Annotated[
    str | None,
    typer.Option("--input", metavar="FILE|-", help="Lines to answer; - is stdin."),
]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FILE", help="Where answers go, all of them or none."
    ),
]
TextKey = Annotated[
    str, typer.Option("--text-key", metavar="KEY", help="Text of a JSON line.")
]
IdKey = Annotated[
    str, typer.Option("--id-key", metavar="KEY", help="Id of a JSON line.")
]


def size_of(text: str) -> int:
    """Bytes of ``16777216``, ``16M`` or ``1G``; raises ValueError."""
    unit = "KMG".find(text[-1:].upper()) + 1 if text else 0
    digits = text[:-1] if unit else text
    if digits.isascii() and digits.isdigit() and len(digits) < 20:
        size = int(digits) * 1024**unit
        if 0 < size <= MOST_BYTES:
            return size
    raise ValueError(f"expected bytes, such as 16777216 or 16M, got {text!r}")


def _longest(told: str) -> Any:
    return Annotated[
        int | None,
        typer.Option("--longest-line", metavar="BYTES", parser=size_of, help=told),
    ]


LongestLine = _longest("Bytes a line may have, such as 64M; 16M when not given.")
LongestValue = _longest(
    "Bytes a line, or a file that is one JSON value, may have; 256M when not given."
)
OnError = Annotated[
    Literal["stop", "skip"],
    typer.Option("--on-error", help="What a bad line does; skip exits with 4."),
]
PrecisionOption = Annotated[
    Precision | None, typer.Option("--precision", help="Type of activations.")
]
QuantizeOption = Annotated[
    Quantize | None,
    typer.Option("--quantize", help="Multiply in int8; for what writes."),
]
AskedPrecisionOption = Annotated[
    AskedPrecision,
    typer.Option(
        "--precision",
        help="Type of activations; auto: the run's own, or bfloat16 where "
        "`nlpcli doctor` found it faster and the first answers agree.",
    ),
]
EvaluatedPrecision = Annotated[
    AskedPrecision | None,
    typer.Option("--precision", help="As of predict; the run's own when not given."),
]
Strategy = Literal["auto", "one", "mirrored", "multi-worker"]
