"""``nlpcli index``: searchable vectors, in a folder or on a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.answer_lines import json_line, requests_of, write_answers
from nlpcli.cli.command import Command, verb
from nlpcli.cli.options import (
    BatchSize,
    Force,
    IdKey,
    Json,
    OnError,
    OutputFile,
    Run,
    Source,
    TextKey,
    Texts,
)
from nlpcli.cli.render import one_line
from nlpcli.cli.stream import Arrivals, Request
from nlpcli.errors import NlpcliError, NotFoundError, UsageError

RECIPE = "simbert"
CHUNK = 4096  # lines that are embedded, then stored, together

app = verb(
    "index",
    help="Searchable vectors of texts, in a folder or on a Milvus server.",
    epilog="Examples:\n"
    "  nlpcli index build faq.idx --input faq.txt\n"
    '  nlpcli index search faq.idx "花呗如何还款" --top 5\n'
    '  nlpcli index add faq.idx "怎么开通花呗"\n'
    "  nlpcli index build http://localhost:19530/faq --input faq.txt\n\n"
    "PATH is a folder, or http://HOST:PORT/NAME of a Milvus server. The model is\n"
    "remembered: search and add open it again and refuse another one.",
)

Place = Annotated[
    str, typer.Argument(metavar="PATH", help="The index: a folder or an address.")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="An encoder, instead of a run."),
]


@app.command(
    "build",
    cls=Command,
    epilog="Examples:\n  nlpcli index build faq.idx --input faq.txt\n"
    "  nlpcli index build faq.idx --input faq.jsonl --id-key key --resume\n"
    '  nlpcli index build faq.idx --input faq.txt --model e5 --prefix "query: "',
)
def build(
    place: Place,
    source: Source = None,
    run: Run = None,
    model: ModelOption = None,
    pooling: Annotated[
        Literal["cls", "pooler", "mean"] | None,
        typer.Option("--pooling", help="How --model makes one vector of a text."),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", metavar="TEXT", help="What --model reads first."),
    ] = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    batch_size: BatchSize = 64,
    on_error: OnError = "stop",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a build that was cut short.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make an index of lines, an entry a line."""
    from nlpcli.engine.index.store import (
        EXISTS,
        Meta,
        create_store,
        exists,
        open_store,
    )

    if resume and force:
        raise UsageError("--resume: does not go together with --force")
    going_on = exists(place)
    if going_on and not (resume or force):
        raise UsageError(f"{place}: {EXISTS}")
    chosen = _named_model(run, model) or _newest_run()
    with _arrivals(None, source, text_key, id_key) as arrivals:
        embedder = _open_model(chosen, pooling, prefix, batch_size)
        if going_on and resume:
            store = open_store(place)
        else:
            meta = Meta(
                embedder.fingerprint,
                embedder.dimension,
                str(chosen.resolve()),
                pooling,
                prefix,
            )
            store = create_store(place, meta, force)
        with store:
            _fill(store, embedder, arrivals, on_error, as_json, building=True)


@app.command(
    "add",
    cls=Command,
    epilog='Examples:\n  nlpcli index add faq.idx "怎么开通花呗"\n'
    "  nlpcli index add faq.idx --input more.jsonl",
)
def add(
    place: Place,
    texts: Texts = None,
    source: Source = None,
    run: Run = None,
    model: ModelOption = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    batch_size: BatchSize = 64,
    on_error: OnError = "stop",
    as_json: Json = False,
) -> None:
    """Add texts; one whose id is there takes its place."""
    with (
        _opened(place) as store,
        _arrivals(texts, source, text_key, id_key) as arrivals,
    ):
        embedder = _model_of(store.meta, place, run, model, batch_size)
        _fill(store, embedder, arrivals, on_error, as_json, building=False)


@app.command(
    "search",
    cls=Command,
    epilog='Examples:\n  nlpcli index search faq.idx "花呗如何还款" --top 5\n'
    "  nlpcli index search faq.idx --input questions.txt --output answers.jsonl",
)
def search(
    place: Place,
    texts: Texts = None,
    source: Source = None,
    output: OutputFile = None,
    top: Annotated[
        int, typer.Option("--top", min=1, max=1000, metavar="N", help="Hits a text.")
    ] = 5,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every vector.")
    ] = False,
    probes: Annotated[
        int,
        typer.Option(
            "--probes",
            min=1,
            max=1024,
            metavar="N",
            help="Clusters of a large index to read.",
        ),
    ] = 64,
    run: Run = None,
    model: ModelOption = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    batch_size: BatchSize = 64,
    form: Annotated[
        Literal["json", "text"] | None,
        typer.Option(
            "--format",
            help="How hits look; text for TEXT on a terminal, otherwise json.",
        ),
    ] = None,
    on_error: OnError = "stop",
    force: Force = False,
) -> None:
    """Find the nearest entries of texts: JSON Lines out, answer n for line n."""
    from nlpcli.engine.index.search import positions
    from nlpcli.engine.index.search import search as nearest
    from nlpcli.files.atomic import refuse_existing

    refuse_existing(output, force)
    as_text = form == "text" or (
        form is None and bool(texts) and output is None and sys.stdout.isatty()
    )
    with (
        _opened(place) as store,
        _arrivals(texts, source, text_key, id_key) as arrivals,
    ):
        embedder = _model_of(store.meta, place, run, model, batch_size)

        def answer(asked: list[str]) -> list[dict[str, Any] | NlpcliError]:
            found = nearest(store, embedder, asked, top, exact, probes)
            return [{"hits": hits} for hits in positions(found)]

        failed = write_answers(
            arrivals,
            CHUNK,
            answer,
            _readable if as_text else json_line,
            on_error,
            output,
        )
    if failed:
        raise typer.Exit(4)


@app.command(
    "remove", cls=Command, epilog="Examples:\n  nlpcli index remove faq.idx --id 17"
)
def remove(
    place: Place,
    ids: Annotated[
        list[str], typer.Option("--id", metavar="ID", help="An entry; may be repeated.")
    ],
) -> None:
    """Take entries out by their ids, which search shows."""
    from nlpcli.cli.output import print_text
    from nlpcli.engine.index.search import remove as take_out

    with _opened(place) as store:
        removed, missing = take_out(store, ids)
    print_text(f"{place}: {removed} removed")
    if missing:
        shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise NotFoundError(f"{place}: no entry has the id {shown}")


@app.command(
    "info", cls=Command, epilog="Examples:\n  nlpcli index info faq.idx --json"
)
def info(place: Place, as_json: Json = False) -> None:
    """Say what an index holds and which model made it."""
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import pairs
    from nlpcli.engine.index.store import is_address

    with _opened(place, warn=False) as store:
        meta = store.meta
        row: dict[str, Any] = {
            "index": place,
            "texts": store.count(),
            "complete": not meta.building,
            "dimension": meta.dimension,
            "search": store.kind(),
            "model": meta.source,
            "pooling": meta.pooling,
            "prefix": meta.prefix,
            "fingerprint": meta.fingerprint,
        }
    if not is_address(place):
        files = (path for path in Path(place).rglob("*") if path.is_file())
        row["bytes"] = sum(path.stat().st_size for path in files)
    if as_json:
        print_json(row)
    else:
        print_text(pairs({k: v for k, v in row.items() if v is not None}))


@contextmanager
def _opened(place: str, warn: bool = True) -> Iterator[Any]:
    """An index that is there, closed at the end; a word when it is not whole."""
    import logging

    from nlpcli.engine.index.store import open_store

    with open_store(place) as store:
        if warn and store.meta.building:
            logging.getLogger("nlpcli").warning(
                "%s: its build was cut short; `nlpcli index build --resume` goes on",
                place,
            )
        yield store


@contextmanager
def _arrivals(
    texts: Sequence[str] | None, source: str | None, text_key: str, id_key: str
) -> Iterator[Arrivals]:
    """The lines of input, read from now on, while the model loads."""
    arrivals = Arrivals(requests_of(texts, source, text_key, id_key))
    try:
        yield arrivals
    finally:
        arrivals.close()


def _named_model(run: Path | None, model: str | None) -> Path | None:
    """The folder that --run or --model names."""
    from nlpcli.checkpoints.download import resolve_model
    from nlpcli.cli.console import open_progress
    from nlpcli.cli.runs import chosen_run

    if run is not None and model is not None:
        raise UsageError("--run: does not go together with --model")
    if run is not None:
        return chosen_run(run, RECIPE).path
    return None if model is None else resolve_model(model, progress=open_progress())


def _newest_run() -> Path:
    from nlpcli.cli.runs import chosen_run

    return chosen_run(None, RECIPE).path


def _open_model(
    folder: Path, pooling: str | None, prefix: str | None, batch_size: int
) -> Any:
    from nlpcli.cli.console import quiet_imports

    with quiet_imports():
        from nlpcli.engine.embed import Embedder

    return Embedder.open(folder, pooling=pooling, prefix=prefix, batch_size=batch_size)


def _model_of(
    meta: Any, place: str, run: Path | None, model: str | None, batch_size: int
) -> Any:
    """The model that made an index, from where it was or where the line says it is."""
    folder = _named_model(run, model) or Path(meta.source)
    if not folder.is_dir():
        raise NotFoundError(
            f"{place}: its model is no longer at {folder}; --run or --model says where"
        )
    return _open_model(folder, meta.pooling, meta.prefix, batch_size)


def _fill(
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
        print_text(_summary(store.place, filled, texts))
    if filled.bad:
        raise typer.Exit(4)


def _summary(place: str, filled: Any, texts: int) -> str:
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
    return f"{place}: {parts}; {texts} texts now"


def _readable(request: Request, answer: dict[str, Any]) -> str:
    """A text, and its hits below it, score first."""
    hits = [
        f"  {hit['score']:.4f}  {one_line(hit['id'])}  {one_line(hit['text'])}"
        for hit in answer["hits"]
    ]
    return "\n".join([one_line(request.text), *hits])
