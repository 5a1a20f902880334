"""``nlpcli generate RECIPE [TEXT...]``: text for text, one line for each line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.answer_lines import (
    error_line,
    json_line,
    placed,
    requests_of,
    write_answers,
)
from nlpcli.cli.command import AnswerCommand, task_sets, verb
from nlpcli.cli.generation import (
    Beam,
    LengthPenalty,
    MaxLength,
    MinLength,
    NoRepeatNgram,
    RepetitionPenalty,
    Seed,
    Temperature,
    TopK,
    TopP,
    Writer,
    asked_options,
    open_writer,
    writing_recipe,
)
from nlpcli.cli.options import (
    AsItIs,
    Force,
    IdKey,
    LongestLine,
    Offline,
    OnError,
    OutputFile,
    PrecisionOption,
    QuantizeOption,
    Recipe,
    Run,
    Source,
    TaskSets,
    TextKey,
    Texts,
)
from nlpcli.cli.render import output_lines
from nlpcli.cli.stream import Arrivals, Request
from nlpcli.errors import NlpcliError, UsageError
from nlpcli.files.json_text import in_one_line

EXAMPLES = """\
Examples:
  nlpcli generate couplet "海内存知己" --num 5
  nlpcli generate math-qa "小明有3个苹果,小红有2个,两人一共有几个?" --format json
  nlpcli generate qa-gen --input passages.txt --num 3 --output pairs.jsonl
  nlpcli generate lm "今天天气" --model path/to/gpt2 --top-p 0.9 --stream
  nlpcli generate lm "一部难忘的电影" --model path/to/qwen --shots shots.jsonl \\
      --choices 正面,负面 --template "{text} 的情感是{answer}"
  nlpcli generate couplet --input lines.txt --quantize int8
  nlpcli generate dialog --turns "你好|你好呀|周末去爬山吗" --top-p 0.8 --seed 7

Input is plain text, a line each, or JSON Lines when it begins with `{`; a line of a
dialogue may hold "turns": [...] instead of "text". As text, the answers to TEXT stand
on lines of their own, and those to a line of input on one line, tabs between them."""

app = verb("generate")

# prompts of this many batches are sorted by length together
BATCHES_AHEAD = 4


@app.command("generate", cls=AnswerCommand, epilog=EXAMPLES)
def generate(
    context: typer.Context,
    recipe: Recipe,
    texts: Texts = None,
    turns: Annotated[
        str | None,
        typer.Option(
            "--turns", metavar="A|B|...", help="The turns so far, of a conversation."
        ),
    ] = None,
    run: Run = None,
    model: AsItIs = None,
    sets: TaskSets = None,
    source: Source = None,
    output: OutputFile = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    longest_line: LongestLine = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, metavar="N", help="Prompts a batch.")
    ] = 8,
    precision: PrecisionOption = None,
    quantize: QuantizeOption = None,
    form: Annotated[
        Literal["json", "text"] | None,
        typer.Option(
            "--format",
            help="How answers look; text for TEXT on a terminal, otherwise json.",
        ),
    ] = None,
    on_error: OnError = "stop",
    offline: Offline = False,
    force: Force = False,
    num: Annotated[
        int | None, typer.Option("--num", metavar="N", help="Answers to each text.")
    ] = None,
    beam: Beam = None,
    top_k: TopK = None,
    top_p: TopP = None,
    temperature: Temperature = None,
    repetition_penalty: RepetitionPenalty = None,
    no_repeat_ngram: NoRepeatNgram = None,
    length_penalty: LengthPenalty = None,
    min_length: MinLength = None,
    max_length: MaxLength = None,
    seed: Seed = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Show an answer while it is written.")
    ] = False,
) -> None:
    """Write text for texts: JSON Lines out, answer n for line n."""
    from nlpcli.cli.runs import chosen_weights
    from nlpcli.files.named import refuse_existing

    entry = writing_recipe(recipe)
    asked = asked_options(
        beam=beam,
        num=num,
        top_k=top_k,
        top_p=top_p,
        temperature=temperature,
        repetition_penalty=repetition_penalty,
        no_repeat_ngram=no_repeat_ngram,
        length_penalty=length_penalty,
        min_length=min_length,
        max_length=max_length,
        seed=seed,
    )
    if stream:
        _check_stream(num, form, output)
    if turns is not None:
        if texts or source is not None:
            raise UsageError("--turns: does not go together with TEXT or --input")
        if "chat" not in entry.verbs:
            raise UsageError(f"--turns: recipe {entry.name} takes no turns")
        texts = [turns]
    refuse_existing(output, force, source or "-")
    chosen, folder = chosen_weights(entry, run, model, offline)
    bare = bool(texts) and output is None and sys.stdout.isatty()
    # reading begins while the model loads
    arrivals = Arrivals(requests_of(texts, source, text_key, id_key, longest_line))
    try:
        told = task_sets(context, sets)
        writer = open_writer(
            chosen, entry.name, asked, batch_size, precision, told, folder, quantize
        )
        if stream:
            failed = _stream(writer, arrivals, on_error)
        else:
            show = _lines if texts else _one_line
            failed = write_answers(
                arrivals,
                BATCHES_AHEAD * batch_size,
                writer.generate,
                show if form == "text" or (form is None and bare) else json_line,
                on_error,
                output,
                force,
            )
        writer.tell_times()
    finally:
        arrivals.close()
    if failed:
        raise typer.Exit(4)


def _check_stream(num: int | None, form: str | None, output: Path | None) -> None:
    if form == "json":
        raise UsageError("--stream: shows bare text, so not with --format json")
    if output is not None:
        raise UsageError("--stream: writes to stdout, so not with --output")
    if (num or 1) > 1:
        raise UsageError(f"--stream: shows one answer, so not with --num {num}")


def _stream(writer: Writer, arrivals: Arrivals, on_error: str) -> int:
    """Each answer as it grows; returns how many lines failed."""
    failed = 0
    for chunk in arrivals.chunks(1):
        for request in chunk:
            for piece in _pieces(writer, request):
                if not isinstance(piece, NlpcliError):
                    shown = in_one_line(piece)
                elif on_error == "stop":
                    raise piece
                else:
                    shown = error_line(request, piece)
                    failed += 1
                sys.stdout.write(shown)
                sys.stdout.flush()
            sys.stdout.write("\n")
            sys.stdout.flush()
    return failed


def _pieces(writer: Writer, request: Request) -> Iterator[str | NlpcliError]:
    """The reply, piece by piece, and what stopped it."""
    try:
        if request.error is not None:
            raise request.error
        yield from writer.reply(request.row)
    except NlpcliError as error:
        yield placed(request, error)


def _lines(request: Request, answer: dict[str, Any]) -> str:
    return "\n".join(output_lines(answer))


def _one_line(request: Request, answer: dict[str, Any]) -> str:
    return "\t".join(output_lines(answer))
