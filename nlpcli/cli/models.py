"""``nlpcli models``: names, what is on disk, what a file or folder is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.command import Command, verb
from nlpcli.cli.complete import complete_models
from nlpcli.cli.options import Force, Json

app = verb(
    "models",
    help="Pretrained models: names, what is on disk, what a folder is.",
    epilog="Examples:\n  nlpcli models\n  nlpcli models pull rbt3\n"
    "  nlpcli models inspect path/to/folder",
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of a model.", autocompletion=complete_models
    ),
]
FOUND = (
    *("container", "dialect", "family", "loads", "layers", "hidden", "vocab_size"),
    *("parameters", "dtype", "bytes", "parts", "tokenizer"),
    *("missing_files", "missing_tensors", "notes"),
)
COLUMNS = [
    *("model", "family", "tokenizer", "M_parameters", "MB", "licence", "needs_torch"),
    *("on_disk", "note"),
]


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the models when no verb follows."""
    if context.invoked_subcommand is None:
        list_(as_json)


@app.command("list", cls=Command)
def list_(as_json: Json = False) -> None:
    """List the models that have a name."""
    from nlpcli.checkpoints.registry import MODELS
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import table

    rows = [_row(model) for model in MODELS.values()]
    if as_json:
        print_json(rows)
        return
    shown = [
        {
            **row,
            "model": row["name"],
            "M_parameters": row["architecture"]["millions"],
            "MB": row["megabytes"] or None,
        }
        for row in rows
    ]
    print_text(table(shown, COLUMNS))


@app.command("show", cls=Command, epilog="Examples:\n  nlpcli models show wobert")
def show(name: Name, as_json: Json = False) -> None:
    """Show one model: its form, whose it is, how it is loaded, what is on disk."""
    from nlpcli.checkpoints.registry import find_model
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import pairs

    row = _row(find_model(name))
    row |= {"found": _found(row["path"])}
    if as_json:
        print_json(row)
    else:
        print_text(pairs(row))


@app.command(
    "pull",
    cls=Command,
    epilog="Examples:\n  nlpcli models pull rbt3\n"
    "  HF_ENDPOINT=https://MIRROR nlpcli models pull rbt3\n\n"
    "No token is sent unless the hub refuses a model without one, and then (HF_TOKEN,\n"
    "or that of a login) only over https to huggingface.co. NLPCLI_TOKEN_HOST names\n"
    "other hosts that may have it.",
)
def pull(
    name: Name,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only look for it on disk.")
    ] = False,
) -> None:
    """Download a model and print its folder."""
    from nlpcli.checkpoints.download import pull as download
    from nlpcli.cli.console import open_progress
    from nlpcli.cli.output import print_text

    print_text(str(download(name, offline=offline, progress=open_progress())))


@app.command(
    "inspect",
    cls=Command,
    epilog="Examples:\n  nlpcli models inspect path/to/folder\n"
    "  nlpcli models inspect model.safetensors --json",
)
def inspect(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH|NAME",
            help="A folder, a file, or a model on disk.",
            autocompletion=complete_models,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Say what a folder or file is and what would be missing."""
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import listing

    report = _look(_folder(path))
    if as_json:
        print_json(report)
    else:
        print_text(listing(report))


@app.command(
    "convert",
    cls=Command,
    epilog="Examples:\n  nlpcli models convert chinese_L-12_H-768_A-12 bert-hf\n"
    "  nlpcli models convert mt5-small mt5-zh --pieces chinese",
)
def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="A model folder, or a model on disk or to download."
        ),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="Folder to write.")
    ],
    to: Annotated[
        Literal["hf"], typer.Option("--to", help="hf: as transformers loads it.")
    ] = "hf",
    pieces: Annotated[
        str | None,
        typer.Option(
            metavar="chinese|FILE",
            help="Keep only the pieces of the vocabulary that Chinese needs, or that "
            "the lines of a text file need.",
        ),
    ] = None,
    least: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="With a file: pieces found N times or more."
        ),
    ] = 1,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Write a model as a Hugging Face folder (safetensors)."""
    from nlpcli.checkpoints.download import resolve_model
    from nlpcli.cli.console import open_progress, quiet_imports
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import pairs

    folder = resolve_model(source, progress=open_progress())
    with quiet_imports():
        from nlpcli.engine.convert import convert_model
    report = convert_model(folder, destination, force, pieces, least)
    if as_json:
        print_json(report)
    else:
        print_text(pairs(report))


@app.command("remove", cls=Command, epilog="Examples:\n  nlpcli models remove rbt3")
def remove(name: Name) -> None:
    """Delete a downloaded model."""
    from nlpcli.checkpoints.storage import remove as delete
    from nlpcli.cli.output import print_text

    print_text(f"{name}: {delete(name) / 1e6:.0f} MB freed")


def _row(model: Any) -> dict[str, Any]:
    from nlpcli.checkpoints.storage import locate

    path = None if model.is_built_in else locate(model.name)
    return {
        "name": model.name,
        "family": model.family,
        "architecture": model.size._asdict(),
        "tokenizer": model.tokenizer,
        "repository": model.repository or None,
        "files": list(model.files),
        "loaded": _loaded(model),
        "needs_torch": model.needs_torch,
        "megabytes": model.megabytes,
        "licence": model.licence,
        "aliases": list(model.aliases),
        "on_disk": model.is_built_in or path is not None,
        "path": None if path is None else str(path),
        "note": model.note,
    }


def _loaded(model: Any) -> str:
    """How the weights come into memory, in words."""
    if model.is_built_in:
        return "drawn at random"
    if model.needs_torch:
        return f"from {model.weights} with PyTorch: pip install 'nlpcli[torch]'"
    return f"from {model.weights}, without PyTorch"


def _found(path: str | None) -> dict[str, Any] | None:
    """What the files of a model on disk say, or what is wrong with them."""
    from nlpcli.errors import NlpcliError

    if path is None:
        return None
    try:
        report = _look(Path(path))
    except NlpcliError as error:
        return {"problem": str(error)}
    return {key: report[key] for key in FOUND if report[key] not in (None, [], {})}


def _look(folder: Path) -> dict[str, Any]:
    """The report of an inspection."""
    from nlpcli.cli.console import quiet_imports
    from nlpcli.engine.inspect import inspect as look

    with quiet_imports():  # keras, where a family's shapes are compared
        return look(folder).as_dict()


def _folder(path: str) -> Path:
    """A path as it is, or the folder of a model on disk that has this name."""
    if Path(path).exists():
        return Path(path)
    from nlpcli.checkpoints.registry import MODELS
    from nlpcli.checkpoints.storage import locate

    found = locate(path) if path in MODELS and path != "tiny" else None
    return Path(path) if found is None else found
