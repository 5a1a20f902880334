"""What the commands of ``nlpcli index`` share: the index, its input and its model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from nlpcli.cli.answer_lines import requests_of
from nlpcli.cli.stream import Arrivals, with_text
from nlpcli.config import AskedPrecision
from nlpcli.errors import NotFoundError, UsageError
from nlpcli.files.address import show_address

CHUNK = 4096  # lines that are embedded, then stored, together


@contextmanager
def opened(address: str, warn: bool = True) -> Iterator[Any]:
    """An index that is there, closed at the end; a word when it is not whole."""
    import logging

    from nlpcli.engine.index.store import open_store

    with open_store(address) as store:
        if warn and store.meta.building:
            logging.getLogger("nlpcli").warning(
                "%s: its build was cut short; `nlpcli index build --resume` goes on",
                store.address,
            )
        yield store


@contextmanager
def arriving(
    texts: Sequence[str] | None,
    source: str | None,
    text_key: str,
    id_key: str,
    longest: int | None = None,
) -> Iterator[Arrivals]:
    """The lines of input, read from now on, while the model loads."""
    lines = requests_of(texts, source, text_key, id_key, longest)
    arrivals = Arrivals(with_text(request) for request in lines)
    try:
        yield arrivals
    finally:
        arrivals.close()


def named_model(run: Path | None, model: str | None) -> Path | None:
    """The folder that --run or --model names: a run, an export, an encoder."""
    from nlpcli.checkpoints.download import resolve_model
    from nlpcli.cli.console import open_progress
    from nlpcli.cli.runs import chosen_run
    from nlpcli.engine.exported import is_export

    if run is not None and model is not None:
        raise UsageError("--run: does not go together with --model")
    if run is not None:
        return run if is_export(run) else chosen_run(run, None).path
    return None if model is None else resolve_model(model, progress=open_progress())


def newest_run() -> Path:
    """The folder of the newest finished run of a recipe that makes vectors."""
    from nlpcli.engine.run_dir import newest_finished
    from nlpcli.recipe import list_recipes

    names = [entry.name for entry in list_recipes() if "index" in entry.verbs]
    return newest_finished(*names).path


def open_model(
    folder: Path,
    pooling: str | None,
    prefix: str | None,
    batch_size: int,
    precision: AskedPrecision,
) -> Any:
    """What makes vectors with the model of a folder."""
    from nlpcli.cli.console import quiet_imports
    from nlpcli.engine.exported import ExportDir, ExportedRun, is_export

    if is_export(folder):
        if pooling is not None or prefix is not None:
            raise UsageError(
                f"--pooling, --prefix: {folder} is an export, with its own"
            )
        export = ExportDir.open(folder)
        return ExportedRun(export, None, batch_size, precision).vectors()
    with quiet_imports():
        from nlpcli.engine.embed import Embedder

    return Embedder.open(
        folder,
        pooling=pooling,
        prefix=prefix,
        batch_size=batch_size,
        precision=precision,
    )


def model_of(
    meta: Any,
    address: str,
    run: Path | None,
    model: str | None,
    batch_size: int,
    precision: AskedPrecision,
) -> Any:
    """The model that made an index, from where it was or where the line says it is."""
    folder = named_model(run, model) or Path(meta.source)
    if not folder.is_dir():
        raise NotFoundError(
            f"{show_address(address)}: its model is no longer at {folder}; "
            "--run or --model says where"
        )
    return open_model(folder, meta.pooling, meta.prefix, batch_size, precision)


def fill_index(
    store: Any,
    embedder: Any,
    arrivals: Arrivals,
    on_error: str,
    as_json: bool,
    building: bool,
) -> None:
    """Store the lines and say what became of them; exit code 4 when some were bad."""
    from nlpcli.cli.console import open_progress
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.engine.index.search import fill

    chunks = arrivals.chunks(CHUNK)
    filled = fill(store, embedder, chunks, on_error, open_progress())
    if building:
        store.remember(building=False)
    texts = store.count()
    if as_json:
        print_json({**asdict(filled), "texts": texts})
    else:
        print_text(_summary(store.address, filled, texts))
    if filled.bad:
        raise typer.Exit(4)


def _summary(address: str, filled: Any, texts: int) -> str:
    """``faq.idx: 3 lines: 2 added, 1 empty; 2 texts now``"""
    counts = {
        "added": filled.added,
        "updated": filled.updated,
        "there already": filled.same,
        "empty": filled.empty,
        "bad": filled.bad,
    }
    told = [f"{count} {name}" for name, count in counts.items() if count]
    lines = f"{filled.lines} line{'' if filled.lines == 1 else 's'}"
    parts = f"{lines}: {', '.join(told)}" if told else lines
    return f"{address}: {parts}; {texts} texts now"
