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
from tests.text import made_tokenizers as made
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


# -- byte-pair encoding


@pytest.mark.parametrize("case", PANICS)
def test_so_is_one_of_byte_pair_encoding(
    case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made.write(tmp_path, {**made.llama(), **PANICS[case]})
    refused(lambda: load_tokenizer(tmp_path), "tokenizer.json: its tokenizer fails: ")
    assert capfd.readouterr().err == "", "the library's own lines are held back"


BPE = {"type": "BPE", "vocab": {"a": 0, "</s>": 1}, "merges": []}


@pytest.mark.parametrize(
    "change",
    [
        {"model": {**BPE, "merges": ["a"]}},
        {"model": {**BPE, "merges": ["a b"]}},
        {"model": {**BPE, "merges": [["a", 1]]}},
        {"model": {**BPE, "merges": [["a"] * 1000]}},
        {"model": {**BPE, "merges": "a" * 1000}},
        {"model": {**BPE, "vocab": {"</s>": 2**70}}},
        {"model": {**BPE, "vocab": {"</s>": True}}},
        {"model": {**BPE, "vocab": {"a" * 100_000: "x" * 100_000, "</s>": 1}}},
        {"model": {**BPE, "unk_token": ["<unk>"]}},
        {"model": {**BPE, "byte_fallback": "x" * 1000}},
        {"model": [BPE]},
        {"model": {"type": ["BPE"]}},
        {"model": {"type": "B" * 100_000}},
        {"added_tokens": [{"id": 5, "content": "<x>", "special": False}]},
        {"added_tokens": [{"content": "<x>", "special": True}]},
        {"pre_tokenizer": ["ByteLevel"]},
        {"decoder": {"type": "Sequence", "decoders": 3}},
    ],
)
def test_byte_pair_encoding_of_other_types(
    change: dict[str, Any], tmp_path: Path
) -> None:
    raw = {"version": "1.0", "added_tokens": [], "model": BPE}
    made.write(tmp_path, {**raw, **change})
    refused(lambda: load_tokenizer(tmp_path), "tokenizer.json: ")


@pytest.mark.parametrize(
    "processor",
    [
        "x",
        {"type": "TemplateProcessing", "single": 3},
        {"type": "TemplateProcessing", "single": [3, {"SpecialToken": "<s>"}]},
        {"type": "BertProcessing", "cls": 3},
        {"type": "Sequence", "processors": [[], {"processors": 3}]},
    ],
)
def test_what_stands_around_a_text_of_other_types(
    processor: Any, tmp_path: Path
) -> None:
    """What is not understood puts nothing before a text."""
    made.write(tmp_path, {**made.llama(), "post_processor": processor})
    assert load_tokenizer(tmp_path).vocab.begin_id is None


def test_a_merge_that_would_make_a_special_token_is_left_out(tmp_path: Path) -> None:
    letters = {c: i for i, c in enumerate("<s>/")}
    vocab = {**letters, "</": 4, "</s": 5, "</s>": 6}
    merges = ["< /", "</ s", "</s >"]
    raw = {"version": "1.0", "model": {**BPE, "vocab": vocab, "merges": merges}}
    made.write(tmp_path, raw)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("</s>").token_ids.tolist() == [5, 2]
    raw["model"]["ignore_merges"] = True  # type: ignore[index]
    made.write(tmp_path, raw)
    assert 6 not in load_tokenizer(tmp_path).encode("</s>").token_ids


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer_config.json", {"eos_token": 3}),
        ("tokenizer_config.json", {"add_bos_token": "false"}),
        ("tokenizer_config.json", {"eos_token": {"content": ["</s>"]}}),
        ("special_tokens_map.json", {"pad_token": ["x" * 100_000]}),
        ("special_tokens_map.json", {"bos_token": {"content": {}}}),
        ("special_tokens_map.json", []),
    ],
)
def test_names_of_other_types(name: str, content: Any, tmp_path: Path) -> None:
    made.write(tmp_path, made.gpt2())
    (tmp_path / name).write_text(json.dumps(content))
    refused(lambda: load_tokenizer(tmp_path), f"{name}: ")


# -- SentencePiece


GOOD = made.t5_pieces()
NUMBERLESS = b"\xff" * 20


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PK\x03\x04" + bytes(100),
        b"%PDF-1.7 and more",
        GOOD[:100],
        GOOD[:-1],
        GOOD + NUMBERLESS,
        GOOD + b"\x0a" + made.varint(2**62) + b"a",
        GOOD + b"\x0a" + made.varint(2**63) + b"a",
        GOOD + b"\x0b",
        GOOD + b"\x0d\0\0",
        GOOD + made.field(1, 3),
        GOOD + made.field(1, 3.0),
        GOOD + made.field(1, made.field(1, 3)),
        GOOD + made.field(1, made.field(1, b"\xff")),
        GOOD + made.field(1, made.field(1, "a") + made.field(2, 1)),
        GOOD + made.field(1, made.field(1, "a") + made.field(3, "b")),
        GOOD + made.field(2, 3),
        GOOD + made.field(2, made.field(3, "x")),
        GOOD + made.field(2, made.field(40, 10**6)),
        GOOD + made.field(3, made.field(2, 3)),
        GOOD + made.field(3, made.field(2, b"\1\2\3")),
    ],
)
def test_a_damaged_piece_model(
    raw: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spiece.model").write_bytes(raw)
    refused(lambda: load_tokenizer(tmp_path), r"spiece.model: ")
    assert capfd.readouterr().err == ""


def test_every_cut_of_a_piece_model_is_told(tmp_path: Path) -> None:
    path = tmp_path / "spiece.model"
    for end in range(0, len(GOOD), 7):
        path.write_bytes(GOOD[:end])
        try:
            load_tokenizer(tmp_path)
        except CheckpointError as error:
            assert "\n" not in str(error)


def test_a_model_of_many_messages_in_one_another(tmp_path: Path) -> None:
    """Nothing is read deeper than it is asked for."""
    inner = b""
    for _ in range(2000):
        inner = made.field(1, inner)
    (tmp_path / "spiece.model").write_bytes(GOOD + made.field(7, inner))
    assert load_tokenizer(tmp_path).vocab.pad_id == 0


@pytest.mark.parametrize("count", [-1, 10**9, "3", True])
def test_sentinels_of_other_counts(count: Any, tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(GOOD)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"extra_ids": count}))
    refused(lambda: load_tokenizer(tmp_path), "extra_ids: expected 0 to 1000")


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
