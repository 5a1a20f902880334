"""``nlpcli chat RECIPE``: a conversation in the terminal, or through a pipe."""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import typer

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
    PrecisionOption,
    QuantizeOption,
    Recipe,
    Run,
    TaskSets,
)
from nlpcli.cli.stream import from_lines
from nlpcli.cli.stream import typed as at_terminal
from nlpcli.errors import DataError, UsageError
from nlpcli.files.json_text import in_one_line
from nlpcli.records.lines import STDIN, Lines

logger = logging.getLogger("nlpcli")

EXAMPLES = """\
Examples:
  nlpcli chat dialog
  nlpcli chat dialog --run runs/NAME --top-p 0.8 --seed 7
  nlpcli chat couplet --tones
  nlpcli chat dialog < lines.txt              a reply for each line

/reset forgets what was said, /quit or the end of input ends the conversation. Where
replies are sampled they differ each time, unless --seed is given."""

PROMPT = "> "
SEEDS = 2**31
COMMANDS = ("/reset", "/quit")

app = verb("chat")


@app.command("chat", cls=AnswerCommand, epilog=EXAMPLES)
def chat(
    context: typer.Context,
    recipe: Recipe,
    run: Run = None,
    sets: TaskSets = None,
    precision: PrecisionOption = None,
    quantize: QuantizeOption = None,
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
) -> None:
    """Talk: each line is answered as it is written, knowing the turns before it."""
    from nlpcli.cli.runs import chosen_run

    entry = writing_recipe(recipe)
    asked = asked_options(
        beam=beam,
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
    chosen, told = chosen_run(run, entry.name), task_sets(context, sets)
    writer = open_writer(
        chosen, entry.name, asked, 1, precision, told, quantize=quantize
    )
    typed = at_terminal()
    if typed:
        logger.info("%s: /reset forgets what was said, /quit ends", entry.name)
    lines = _typed_lines() if typed else _piped_lines()
    _converse(writer, lines, typed, random.randrange(SEEDS) if seed is None else seed)
    writer.tell_times()


def _converse(writer: Writer, lines: Iterator[str], typed: bool, seed: int) -> None:
    """Answer line by line; somebody who types may err, a pipe stops at an error.

    Each line has a seed of its own: the same words twice need not meet the same reply.
    """
    history: list[str] = []
    for number, line in enumerate(lines):
        command = line.strip()
        if command == "/quit":
            return
        if command == "/reset":
            history.clear()
            continue
        if typed and not command:
            continue
        if typed and command.startswith("/"):
            logger.info("%s: expected %s", command, " or ".join(COMMANDS))
            continue
        try:
            said = _say(writer, history, line, seed + number) if command else _end()
        except (DataError, UsageError) as error:
            if not typed:
                raise
            logger.warning("%s", error)
            continue
        if said:
            history += [line, said]


def _say(writer: Writer, history: list[str], line: str, seed: int) -> str:
    """Write the reply to stdout, token by token; returns it."""
    started = time.perf_counter()
    said = ""
    for piece in writer.reply(writer.generator.turn(history, line), seed):
        sys.stdout.write(in_one_line(piece))
        sys.stdout.flush()
        said += piece
    _end()
    logger.debug("reply in %.2f s", time.perf_counter() - started)
    return said


def _end() -> str:
    """End the line of a reply."""
    sys.stdout.write("\n")
    sys.stdout.flush()
    return ""


def _typed_lines() -> Iterator[str]:
    """Lines from a terminal, with editing where the system has it."""
    with suppress(ImportError):
        import readline  # noqa: F401 - input() edits lines once this is there
    asked_on_stdout = sys.stdout.isatty()
    while True:
        if not asked_on_stdout:
            sys.stderr.write(PROMPT)
            sys.stderr.flush()
        try:
            yield input(PROMPT if asked_on_stdout else "")
        except EOFError:
            _end_prompt()
            return
        except KeyboardInterrupt:
            _end_prompt()
            raise


def _end_prompt() -> None:
    sys.stderr.write("\n")
    sys.stderr.flush()


def _piped_lines() -> Iterator[str]:
    for request in from_lines(Lines(STDIN), plain=True):
        if request.error is not None:
            raise request.error
        yield request.text
