"""The tokenizers library, written in Rust, which panics at some files of strangers.

A panic is neither an Exception nor one line: it has a class of its own below
BaseException, and the library prints it before Python hears of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tokenizers import Tokenizer as Engine

from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short
from nlpcli.files.rust import is_panic

# What a damaged or hostile file mostly fails at: runs, spaces, each kind of character.
_PROBE = (
    "".join(map(chr, range(32, 127)))
    + "".join(f"{c * 40}b" for c in "a 1.")
    + "王小明在北京大学读书。１９８６年 é\u0301 ß ﷺ 😀 \t\n"
)


def open_engine(text: str, origin: str) -> Any:
    """The library's tokenizer of a tokenizer.json; CheckpointError for another text."""
    with guarded(origin), _silent():
        try:
            return Engine.from_str(text)
        except Exception as error:
            told = short(str(error))
            raise CheckpointError(f"{origin}: not a tokenizer ({told})") from error


def probe(engine: Any, origin: str) -> None:
    """Raise CheckpointError for a tokenizer that fails at its first text."""
    with _silent():
        encode_all(engine, [_PROBE], origin)


def encode_all(engine: Any, texts: Sequence[str], origin: str) -> list[Any]:
    """What the library finds in each encodable text; CheckpointError at a failure."""
    with guarded(origin):
        try:
            found: list[Any] = engine.encode_batch(texts, add_special_tokens=False)
        except Exception as error:
            raise CheckpointError(
                f"{origin}: its tokenizer fails at a text: {short(str(error))}"
            ) from error
    return found


@contextmanager
def guarded(origin: str) -> Iterator[None]:
    """Turn a panic inside into a CheckpointError."""
    try:
        yield
    except BaseException as error:
        if not is_panic(error):
            raise
        told = short(" ".join(str(error).split()))
        raise CheckpointError(f"{origin}: its tokenizer fails: {told}") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Hold back what a panic prints."""
    try:
        terminal = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
