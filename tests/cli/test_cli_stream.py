"""What predict reads: forms of input, their errors, and lines as they arrive."""

import gzip
import os
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.cli.stream import (
    Arrivals,
    Request,
    from_lines,
    open_lines,
    split_lines,
)
from nlpcli.errors import DataError, NotFoundError


def requests(*lines: bytes, **keys: str) -> list[Request]:
    return list(from_lines(lines, "in", **keys))


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_lines_do_not_depend_on_where_blocks_end(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(data)]
    blocks = [data[a:b] for a, b in pairwise(places)]
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    expected = [line.removesuffix(b"\r") for line in expected]
    assert list(split_lines(blocks)) == expected


def test_plain_text_keeps_every_line() -> None:
    found = requests("﻿王小明".encode(), b"", "  北京".encode())
    assert [request.text for request in found] == ["王小明", "", "  北京"]
    assert [request.line for request in found] == ["in:1", "in:2", "in:3"]


def test_json_lines_are_told_by_the_first_non_blank_byte() -> None:
    found = requests(b"", b' {"id": 7, "text": "a"}', b"", b'{"text": "b"}')
    assert [(request.id, request.text) for request in found] == [
        (None, ""),
        (7, "a"),
        (None, ""),
        (None, "b"),
    ]
    assert requests(b"a", b'{"text": "b"}')[1].text == '{"text": "b"}'


def test_keys_of_the_text_and_the_id_can_be_chosen() -> None:
    (found,) = requests(b'{"n": "x", "m": "y"}', text_key="m", id_key="n")
    assert (found.id, found.text) == ("x", "y")


@pytest.mark.parametrize(
    "line",
    [
        b'{"text": "a"',
        b'{"text": 3}',
        b'{"body": "a"}',
        b'{"text": NaN}',
        b"[1]",
        b'{"text": ' + b"[" * 100_000 + b"}",
        b'{"text": "\xff"}',
    ],
)
def test_a_bad_line_carries_its_error_and_the_stream_goes_on(line: bytes) -> None:
    first, bad, after = requests(b'{"text": "a"}', line, b'{"text": "c"}')
    assert (first.text, after.text) == ("a", "c")
    assert isinstance(bad.error, DataError)
    assert str(bad.error).startswith("in:2: ")


def test_an_undecodable_line_names_the_byte() -> None:
    (bad,) = requests(b"ab\xff")
    assert str(bad.error) == "in:1: expected UTF-8, got byte 0xff at position 3"


def test_a_missing_file_and_a_folder_fail_before_the_first_line(tmp_path) -> None:
    with pytest.raises(NotFoundError):
        open_lines(str(tmp_path / "none"))
    with pytest.raises(DataError):
        open_lines(str(tmp_path))


def test_a_packed_file_is_read_and_a_cut_one_is_an_error(tmp_path) -> None:
    path = tmp_path / "lines.gz"
    whole = gzip.compress("一\r\n二\n".encode() * 1000)
    path.write_bytes(whole)
    assert len(list(open_lines(str(path)))) == 2000
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        list(open_lines(str(path)))


def test_a_line_is_handed_on_while_the_pipe_stays_open() -> None:
    read_end, write_end = os.pipe()

    def blocks():
        while block := os.read(read_end, 100):
            yield block

    chunks = Arrivals(from_lines(split_lines(blocks()), "pipe")).chunks(100)
    os.write(write_end, b"one\n")
    assert [request.text for request in next(chunks)] == ["one"]
    os.write(write_end, b"two\nthree\nfour")
    assert [request.text for request in next(chunks)] == ["two", "three"]
    os.close(write_end)
    assert [request.text for chunk in chunks for request in chunk] == ["four"]


def test_what_is_ready_fills_a_chunk() -> None:
    arrivals = Arrivals(from_lines([b"x"] * 25, "in"))
    time.sleep(0.1)
    assert [len(chunk) for chunk in arrivals.chunks(10)] == [10, 10, 5]


def test_the_reader_s_error_comes_after_what_it_read() -> None:
    def broken():
        yield b"a"
        raise DataError("in: cannot be read")

    chunks = Arrivals(from_lines(broken(), "in")).chunks(10)
    assert [request.text for request in next(chunks)] == ["a"]
    with pytest.raises(DataError):
        next(chunks)


def test_the_reader_ends_when_nobody_takes_the_rest() -> None:
    before = threading.active_count()
    arrivals = Arrivals(from_lines((b"x" for _ in range(1_000_000)), "in"))
    next(arrivals.chunks(1))
    arrivals.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() == before
