"""JSON files as strangers write them: read, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlpcli.checkpoints.safetensors import read_weight_map
from nlpcli.engine.inspect import inspect
from nlpcli.engine.published import read_config_file
from nlpcli.engine.run_dir import RunDir
from nlpcli.errors import CheckpointError, DataError, NotFoundError
from nlpcli.files.json_file import NotJson, parse_json_object, read_json_object
from nlpcli.text.tokenizers.settings import read_settings
from nlpcli.text.tokenizers.unigram import UnigramTokenizer

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("before", [b"", BOM])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_byte_order_mark_is_no_content(
    tmp_path: Path, before: bytes, end: bytes
) -> None:
    path = tmp_path / "config.json"
    lines = ["{", '"a": [1, 2.5e-3, true, null],', '"b": "北京"', "}"]
    path.write_bytes(before + end.join(line.encode() for line in lines) + end)
    assert read_json_object(path) == {"a": [1, 2.5e-3, True, None], "b": "北京"}


BROKEN = {
    b"": r"expected JSON, got nothing",
    b" \n": r"expected JSON, got nothing",
    b"{": r"expected JSON, got '\{' \(.*, column 2\)$",
    b'{"a": 1} x': r"expected JSON, got .* \(Extra data, column 10\)$",
    b'{"a": 1,\n x': r"expected JSON, got .* \(.*, line 2, column 2\)$",
    b"{'a': 1}": r"expected JSON, got ",
    b"[1, 2]": r"expected a JSON object, got \[1, 2\]$",
    b'"text"': r'expected a JSON object, got "text"$',
    b"3": r"expected a JSON object, got 3$",
    b"null": r"expected a JSON object, got null$",
    "备注".encode("gbk"): r"expected UTF-8, got byte 0xb1 at position 1$",
    '{"备": 1}'.encode("gbk"): r"expected UTF-8, got byte 0xb1 at position 3$",
    "{}".encode("utf-16"): r"expected UTF-8, got byte 0xff at position 1$",
    b"[" * 100_000: r"expected a JSON object, got \[\[\[.*…$",
    b'{"a":' * 100_000: r"expected JSON, got .* \(nested too deep\)$",
    b'{"a": NaN}': r"expected JSON, got .* \(NaN is no finite number\)$",
    b'{"a": [-Infinity]}': r"expected JSON, got .* \(-Infinity is no finite ",
    b'{"a": 1e999}': r"expected JSON, got .* \(1e999 is no finite number\)$",
    b'{"a": ' + b"9" * 5000 + b"}": r"expected JSON, got .* \(Exceeds the limit",
    b"version https://git-lfs.github.com/spec/v1\noid 1\n": r"expected JSON, got 'vers",
}


@pytest.mark.parametrize("content", BROKEN, ids=lambda c: repr(c[:12]))
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    for error in (CheckpointError, DataError):
        with pytest.raises(error, match=rf"config\.json: {BROKEN[content]}") as caught:
            read_json_object(path, error)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < len(str(path)) + 200


def test_files_that_are_not_there_or_no_files(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.json: no such file"):
        read_json_object(tmp_path / "none.json")
    with pytest.raises(DataError, match="expected a plain file, got a folder"):
        read_json_object(tmp_path, DataError)


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(NotJson, match="the name 'a' stands twice"):
        parse_json_object(b'{"a": 1, "b": 2, "a": 2}')


READERS = {
    "config.json": lambda folder: read_config_file(folder, "hf"),
    "bert_config.json": lambda folder: read_config_file(folder, "tf"),
    "tokenizer_config.json": read_settings,
    "tokenizer.json": UnigramTokenizer.load,
    "model.safetensors.index.json": lambda folder: read_weight_map(
        folder / "model.safetensors.index.json"
    ),
    "run.json": lambda folder: RunDir(folder, None).state,  # type: ignore[arg-type]
    "scores.json": lambda folder: RunDir(folder, None).read_scores(),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"\xff{}", b"[" * 100_000, b'{"a": NaN}', b"[]"])
def test_every_reader_of_a_file_is_this_one(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((CheckpointError, DataError)) as caught:
        READERS[name](tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / name}: expected ")


def test_every_reader_takes_a_byte_order_mark(tmp_path: Path) -> None:
    sizes = dict.fromkeys(
        (
            *("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size"),
            "num_attention_heads",
        ),
        4,
    )
    files = {
        "config.json": sizes,
        "bert_config.json": sizes,
        "tokenizer_config.json": {"do_lower_case": False},
        "model.safetensors.index.json": {"weight_map": {"a": "b"}},
        "run.json": {"status": "finished"},
        "scores.json": {"f1": 1},
    }
    for name, value in files.items():
        (tmp_path / name).write_bytes(BOM + json.dumps(value).encode() + b"\r\n")
        assert READERS[name](tmp_path)
    assert inspect(tmp_path).hidden == 4
