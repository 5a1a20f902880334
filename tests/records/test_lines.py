"""Lines of files as they come: marks, line ends, gzip, broken bytes."""

import gzip
import io
import json
import os
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError, NotFoundError
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import decode_lines, parse_object, read_json_lines, read_lines


def write(tmp_path, content):
    path = tmp_path / "train.jsonl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_lines_without_their_marks_and_ends(tmp_path, packed):
    content = "\ufeff王\r\n\n\u2028明\x85 \n\ufeff在\r\r\nend".encode()
    path = write(tmp_path, gzip.compress(content) if packed else content)
    assert list(read_lines(path)) == [
        (1, "王"), (2, ""), (3, "\u2028明\x85 "), (4, "\ufeff在\r"), (5, "end"),
    ]  # fmt: skip


def test_gzip_of_several_parts_is_one_file(tmp_path):
    path = write(tmp_path, gzip.compress("王\n".encode()) + gzip.compress(b"a\n"))
    assert list(read_lines(path)) == [(1, "王"), (2, "a")]


def test_an_empty_file_has_no_lines(tmp_path):
    assert list(read_lines(write(tmp_path, b""))) == []


def test_stdin_is_read_and_left_open(monkeypatch):
    stream = io.BytesIO("\ufeff王\r\n明".encode())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=stream))
    assert list(read_lines("-")) == [(1, "王"), (2, "明")]
    assert not stream.closed


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("packed", [False, True])
def test_a_pipe_that_does_not_go_back(tmp_path, packed):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = "王\n明\n".encode()
    content = gzip.compress(content) if packed else content
    writer = threading.Thread(target=path.write_bytes, args=[content])
    writer.start()
    assert list(read_lines(path)) == [(1, "王"), (2, "明")]
    writer.join()


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(NotFoundError, match=r"none\.jsonl: no such file"):
        list(read_lines(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="expected a file, got a folder"):
        list(read_lines(tmp_path))


def test_a_bad_byte_has_its_line_and_leaves_the_others_alone(tmp_path):
    path = write(tmp_path, "王\n".encode() + b"ab\xff\n" + "明\n".encode())
    message = f"{path}:2: expected UTF-8, got byte 0xff at position 3"
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    assert str(caught.value) == message
    (_, first), (number, bad), third = decode_lines(path)
    assert (first, third) == ("王", (3, "明"))
    assert (number, str(bad)) == (2, message)


def damaged(content, kind):
    if kind == "cut":
        return content[: len(content) // 2]
    place = len(content) // 2 if kind == "deflate" else len(content) - 8
    return content[:place] + bytes(255 - b for b in content[place:])


@pytest.mark.parametrize("kind", ["cut", "deflate", "checksum"])
def test_broken_gzip(tmp_path, kind):
    numbers = "".join(f"{i * 7919 % 10007}\n" for i in range(20_000)).encode()
    path = write(tmp_path, damaged(gzip.compress(numbers), kind))
    with pytest.raises(DataError, match=r"train\.jsonl: cannot be read: "):
        list(read_lines(path))


def test_json_lines(tmp_path):
    path = write(tmp_path, b'\n{"text": "\\ud83d"}\r\n  \n{"n": 1}')
    assert list(read_json_lines(path)) == [(2, {"text": "\ud83d"}), (4, {"n": 1})]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{broken", "'{broken' (Expecting property name enclosed in double quotes, "),
        ("[1]", "'[1]'"),
        ("3", "'3'"),
        ('{"a": NaN}', "'{\"a\": NaN}' (NaN is not JSON)"),
        ('{"a": -Infinity}', "'{\"a\": -Infinity}' (-Infinity is not JSON)"),
        ('{"a": 1} {', "'{\"a\": 1} {' (Extra data, column 10)"),
        ("[" * 100_000, f"'{'[' * 39}…' ("),
        ('{"a": ' + "1" * 5000 + "}", "(Exceeds the limit"),
        ("\t\x1b[2J", "'\\x1b[2J' (Expecting value, column 2)"),
    ],
)
def test_a_bad_object_is_one_short_line(text, shown):
    with pytest.raises(DataError) as caught:
        parse_object(text, "train.jsonl:1042")
    message = str(caught.value)
    assert message.startswith("train.jsonl:1042: expected a JSON object, got ")
    assert shown in message
    assert "\n" not in message and len(message) < 250


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(text=st.text(st.characters(categories=["L", "Cs", "Cc", "So"])), value=values)
def test_what_is_written_is_read(text, value):
    paired = json.loads(json.dumps(text))  # surrogates that make a pair become one
    line = dumps({"text": paired, "value": value})
    assert parse_object(line.encode("utf-8").decode(), "f:1")["text"] == paired
    assert "\n" not in line
