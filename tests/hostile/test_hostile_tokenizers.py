"""Tokenizers of strangers, and what ends a thread: told at once, in one line."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlpcli.cli.stream import Arrivals
from nlpcli.engine import generate
from nlpcli.errors import CheckpointError
from nlpcli.text.tokenizers.load import load_tokenizer
from nlpcli.text.tokenizers.unigram import UnigramTokenizer
from tests.checkpoints.tiny_bert import write_hf
from tests.text.test_unigram import RAW


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_hf(tmp_path / "model")


def refused(act: Callable[[], Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=told) as caught:
        act()
    line = str(caught.value)
    assert "\n" not in line and len(line) < 600


def charsmap(blob: bytes) -> dict[str, Any]:
    coded = base64.b64encode(blob).decode()
    return {"normalizer": {"type": "Precompiled", "precompiled_charsmap": coded}}


def split(pattern: str) -> dict[str, Any]:
    found = {"type": "Split", "pattern": {"Regex": pattern}}
    return {"pre_tokenizer": {**found, "behavior": "Isolated", "invert": False}}


PANICS = {
    "a charsmap without content": charsmap(b""),
    "a charsmap that leads outside": charsmap(
        (1024).to_bytes(4, "little") + b"\1\2\3\x81" * 256 + b"ab\0"
    ),
    "pieces of no length": {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
    "a pattern without end": split("(a|aa)+$"),
}


@pytest.mark.parametrize("case", PANICS)
def test_a_panic_of_the_library_is_told_at_once(
    case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({**RAW, **PANICS[case]}))
    refused(lambda: load_tokenizer(tmp_path), "tokenizer.json: its tokenizer fails: ")
    assert capfd.readouterr().err == "", "the library's own lines are held back"


def test_a_panic_at_a_text_is_told(tmp_path: Path) -> None:
    """A pattern may wait for its text: every way of asking turns the panic."""
    raw = {**RAW, **split("(z|zz)+$")}
    tokenizer = UnigramTokenizer(raw, "tokenizer.json")
    text = "z" * 40 + "b"
    refused(lambda: tokenizer.encode(text), "tokenizer.json: its tokenizer fails: ")
    refused(lambda: tokenizer.encode_batch(["a", text]), "its tokenizer fails: ")
    assert len(tokenizer.encode("z").token_ids) > 0


@pytest.mark.parametrize(
    "change",
    [
        {"added_tokens": {"a": 1}},
        {"added_tokens": [{"id": 1}]},
        {"added_tokens": [["<s>"]]},
        {"post_processor": {"ids": [1], "tokens": ["gone"]}},
        {"post_processor": {"ids": [1], "tokens": [["<s>"]]}},
    ],
)
def test_a_tokenizer_with_other_types(change: dict[str, Any]) -> None:
    def act() -> None:
        tokenizer = UnigramTokenizer({**RAW, **change}, "tokenizer.json")
        tokenizer.with_vocab(range(5), ())

    refused(act, "tokenizer.json: (added_tokens|post_processor): expected")


@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": "false"},
        {"strip_accents": 0},
        {"tokenize_chinese_chars": []},
        {"never_split": [["a"]]},
        {"nlpcli_kind": ["word"]},
        {"nlpcli_kind": "x" * 100_000},
    ],
)
def test_flags_of_other_types(settings: dict[str, Any], folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    refused(lambda: load_tokenizer(folder), "tokenizer_config.json: ")


# -- what ends a thread


class Panic(BaseException):
    """As the class of Rust's panics, no Exception."""


def within(seconds: float, act: Callable[[], Any]) -> BaseException | None:
    """What ``act`` raised; fails where it still waits."""
    raised: list[BaseException | None] = []

    def work() -> None:
        try:
            act()
            raised.append(None)
        except BaseException as error:  # noqa: BLE001 - it is what is asked for
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    assert raised, "it waits for ever"
    return raised[0]


def test_a_chat_does_not_wait_for_a_thread_that_panicked() -> None:
    writer = object.__new__(generate.Generator)
    writer.recipe = Panicking()
    assert isinstance(within(20, lambda: list(writer.stream(None, None))), Panic)  # type: ignore[arg-type]


class Panicking:
    def ask(self, row: Any) -> Any:
        raise Panic


def test_input_that_panicked_is_not_waited_for() -> None:
    def lines() -> Any:
        raise Panic
        yield

    arrivals = Arrivals(lines())
    assert isinstance(within(20, lambda: list(arrivals.chunks(1))), Panic)
