"""``nlpcli index``: searchable vectors, in a folder or on a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli import indexing
from nlpcli.cli.answer_lines import json_line, write_answers
from nlpcli.cli.command import Command, verb
from nlpcli.cli.indexing import (
    arriving,
    fill_index,
    model_of,
    named_model,
    newest_run,
    open_model,
    opened,
)
from nlpcli.cli.options import (
    AskedPrecisionOption,
    BatchSize,
    Force,
    IdKey,
    Json,
    LongestLine,
    OnError,
    OutputFile,
    RunOrExport,
    Source,
    TextKey,
    Texts,
)
from nlpcli.cli.stream import Request
from nlpcli.errors import NlpcliError, NotFoundError, UsageError
from nlpcli.files.address import show_address
from nlpcli.files.json_text import in_one_line
from nlpcli.records.row import Row

app = verb(
    "index",
    help="Searchable vectors of texts, in a folder or on a Milvus server.",
    epilog="Examples:\n"
    "  nlpcli index build faq.idx --input faq.txt\n"
    '  nlpcli index search faq.idx "花呗如何还款" --top 5\n'
    '  nlpcli index add faq.idx "怎么开通花呗"\n'
    "  nlpcli index build http://localhost:19530/faq --input faq.txt\n\n"
    "PATH is a folder, or http://HOST:PORT/NAME of a Milvus server. The model is\n"
    "remembered: search and add open it again and refuse another one.\n"
    "MILVUS_TOKEN is the server's token; over http it goes to this machine only, or\n"
    "to a host that NLPCLI_TOKEN_HOST names.",
)

Address = Annotated[
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
    "  nlpcli index build faq.idx --input faq.txt --run simbert-int8     (an export)\n"
    '  nlpcli index build faq.idx --input faq.txt --model e5 --prefix "query: "',
)
def build(
    address: Address,
    source: Source = None,
    run: RunOrExport = None,
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
    longest_line: LongestLine = None,
    batch_size: BatchSize = 64,
    precision: AskedPrecisionOption = "auto",
    on_error: OnError = "stop",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a build that was cut short.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make an index of lines, an entry a line."""
    from nlpcli.engine.index.store import (
        Meta,
        create_store,
        exists,
        open_store,
    )
    from nlpcli.engine.index.table import EXISTS

    if resume and force:
        raise UsageError("--resume: does not go together with --force")
    going_on = exists(address)
    if going_on and not (resume or force):
        raise UsageError(f"{show_address(address)}: {EXISTS}")
    chosen = named_model(run, model) or newest_run()
    with arriving(None, source, text_key, id_key, longest_line) as arrivals:
        embedder = open_model(chosen, pooling, prefix, batch_size, precision)
        if going_on and resume:
            store = open_store(address)
        else:
            meta = Meta(
                embedder.fingerprint,
                embedder.dimension,
                str(chosen.resolve()),
                pooling,
                prefix,
            )
            store = create_store(address, meta, force)
        with store:
            fill_index(store, embedder, arrivals, on_error, as_json, building=True)


@app.command(
    "add",
    cls=Command,
    epilog='Examples:\n  nlpcli index add faq.idx "怎么开通花呗"\n'
    "  nlpcli index add faq.idx --input more.jsonl",
)
def add(
    address: Address,
    texts: Texts = None,
    source: Source = None,
    run: RunOrExport = None,
    model: ModelOption = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    longest_line: LongestLine = None,
    batch_size: BatchSize = 64,
    precision: AskedPrecisionOption = "auto",
    on_error: OnError = "stop",
    as_json: Json = False,
) -> None:
    """Add texts; one whose id is there takes its place."""
    with (
        opened(address) as store,
        arriving(texts, source, text_key, id_key, longest_line) as arrivals,
    ):
        embedder = model_of(store.meta, address, run, model, batch_size, precision)
        fill_index(store, embedder, arrivals, on_error, as_json, building=False)


@app.command(
    "search",
    cls=Command,
    epilog='Examples:\n  nlpcli index search faq.idx "花呗如何还款" --top 5\n'
    "  nlpcli index search faq.idx --input questions.txt --output answers.jsonl",
)
def search(
    address: Address,
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
    run: RunOrExport = None,
    model: ModelOption = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    longest_line: LongestLine = None,
    batch_size: BatchSize = 64,
    precision: AskedPrecisionOption = "auto",
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
    from nlpcli.engine.index.search import plain_hits
    from nlpcli.engine.index.search import search as nearest
    from nlpcli.files.named import refuse_existing

    refuse_existing(output, force, source or "-")
    as_text = form == "text" or (
        form is None and bool(texts) and output is None and sys.stdout.isatty()
    )
    with (
        opened(address) as store,
        arriving(texts, source, text_key, id_key, longest_line) as arrivals,
    ):
        embedder = model_of(store.meta, address, run, model, batch_size, precision)

        def answer(rows: list[Row]) -> list[dict[str, Any] | NlpcliError]:
            asked = [row.string("text") for row in rows]
            found = nearest(store, embedder, asked, top, exact, probes)
            return [{"hits": hits} for hits in plain_hits(found)]

        failed = write_answers(
            arrivals,
            indexing.CHUNK,
            answer,
            _readable if as_text else json_line,
            on_error,
            output,
            force,
        )
    if failed:
        raise typer.Exit(4)


@app.command(
    "remove", cls=Command, epilog="Examples:\n  nlpcli index remove faq.idx --id 17"
)
def remove(
    address: Address,
    ids: Annotated[
        list[str], typer.Option("--id", metavar="ID", help="An entry; may be repeated.")
    ],
) -> None:
    """Take entries out by their ids, which search shows."""
    from nlpcli.cli.output import print_text
    from nlpcli.engine.index.search import remove as take_out

    with opened(address) as store:
        removed, missing = take_out(store, ids)
    shown_address = show_address(address)
    print_text(f"{shown_address}: {removed} removed")
    if missing:
        shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise NotFoundError(f"{shown_address}: no entry has the id {shown}")


@app.command(
    "info", cls=Command, epilog="Examples:\n  nlpcli index info faq.idx --json"
)
def info(address: Address, as_json: Json = False) -> None:
    """Say what an index holds and which model made it."""
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import pairs
    from nlpcli.engine.index.store import is_server

    with opened(address, warn=False) as store:
        meta = store.meta
        row: dict[str, Any] = {
            "index": show_address(address),
            "texts": store.count(),
            "complete": not meta.building,
            "dimension": meta.dimension,
            "search": store.kind(),
            "model": meta.source,
            "pooling": meta.pooling,
            "prefix": meta.prefix,
            "fingerprint": meta.fingerprint,
        }
    if not is_server(address):
        files = (path for path in Path(address).rglob("*") if path.is_file())
        row["bytes"] = sum(path.stat().st_size for path in files)
    if as_json:
        print_json(row)
    else:
        print_text(pairs({k: v for k, v in row.items() if v is not None}))


def _readable(request: Request, answer: dict[str, Any]) -> str:
    """A text, and its hits below it, score first."""
    hits = [
        f"  {hit['score']:.4f}  {in_one_line(hit['id'])}  {in_one_line(hit['text'])}"
        for hit in answer["hits"]
    ]
    return "\n".join([in_one_line(request.text), *hits])
