"""What predict reads: forms of input, their errors, and lines as they arrive."""

import gzip
import io
import os
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.cli.stream import Arrivals, Request, from_lines, from_texts, with_text
from nlpcli.errors import DataError, NlpcliError, NotFoundError
from nlpcli.records.lines import Lines


class Blocks(io.RawIOBase):
    """A source of bytes that gives one block at a time, as a pipe does."""

    def __init__(self, blocks: list[bytes]) -> None:
        self.blocks = iter(blocks)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        block = next(self.blocks, b"")
        buffer[: len(block)] = block
        return len(block)


def lines_of(*blocks: bytes) -> Lines:
    stream = io.BufferedReader(Blocks([block for block in blocks if block]))
    return Lines("in", stream=stream)


def requests(*lines: bytes, **keys: str) -> list[Request]:
    stream = io.BufferedReader(io.BytesIO(b"\n".join(lines) + b"\n"))
    return list(from_lines(Lines("in", stream=stream), **keys))


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_lines_do_not_depend_on_where_blocks_end(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(data)]
    blocks = [data[a:b] for a, b in pairwise(places)]
    if data.startswith(b"\x1f\x8b"):
        return
    expected = [(n, str(text)) for n, text in lines_of(data)]
    assert [(n, str(text)) for n, text in lines_of(*blocks)] == expected


def test_plain_text_keeps_every_line() -> None:
    found = requests("\ufeff王小明".encode(), b"", "  北京".encode())
    assert [request.text for request in found] == ["王小明", "", "  北京"]
    assert [request.row.values for request in found] == [
        {"text": "王小明"},
        {"text": ""},
        {"text": "  北京"},
    ]
    assert [request.origin for request in found] == ["in:1", "in:2", "in:3"]


def test_words_of_the_command_line_are_texts() -> None:
    found = list(from_texts(["a", '{"text": "b"}']))
    assert [request.text for request in found] == ["a", '{"text": "b"}']
    assert [request.origin for request in found] == ["TEXT 1", "TEXT 2"]


def test_json_lines_are_told_by_the_first_non_blank_byte() -> None:
    found = requests(b"", b' {"id": 7, "text": "a"}', b"", b'{"text": "b"}')
    assert [(request.id, request.text) for request in found] == [
        (None, ""),
        (7, "a"),
        (None, ""),
        (None, "b"),
    ]
    assert requests(b"a", b'{"text": "b"}')[1].text == '{"text": "b"}'
    found = list(from_lines(lines_of(b'{"text": "a"}\n'), plain=True))
    assert [request.text for request in found] == ['{"text": "a"}']


@pytest.mark.parametrize(
    ("first", "second"), [(b"\xff", '{"text": "b"}'), (b' {"text": "\xff"}', "b")]
)
def test_a_first_line_that_is_bad_tells_too(first: bytes, second: str) -> None:
    bad, good = requests(first, b'{"text": "b"}')
    assert isinstance(bad.error, DataError)
    assert (good.text, good.error) == (second, None)


def test_a_line_over_the_limit_is_bad_and_the_next_is_read() -> None:
    blocks = [b'{"text": "', b"a" * 50, b'"}\n', b'{"text": "b"}\n']
    lines = Lines("in", 30, io.BufferedReader(Blocks(blocks)))
    bad, good = from_lines(lines)
    assert (
        str(bad.error)
        == "in:1: expected a line of at most 30 bytes (--longest-line), got more"
    )
    assert good.text == "b"


def test_keys_of_the_text_and_the_id_can_be_chosen() -> None:
    (found,) = requests(b'{"n": "x", "m": "y"}', text_key="m", id_key="n")
    assert (found.id, found.text) == ("x", "y")
    assert found.row.string("text") == "y"
    (none,) = requests(b'{"text": "y"}', text_key="m")
    assert str(with_text(none).error) == (
        'in:1: expected the key "m", got the keys "text"'
    )


def test_a_row_keeps_all_its_keys() -> None:
    (found,) = requests(b'{"id": 1, "turns": ["a", "b"], "more": {"x": [1]}}')
    assert (found.id, found.text, found.error) == (1, "", None)
    assert found.row.items("turns") == ["a", "b"]
    assert found.row.get("more") == {"x": [1]}


@pytest.mark.parametrize(
    "line",
    [
        b'{"text": "a"',
        b'{"text": NaN}',
        b'{"text": 1e999}',
        b'{"text": "a", "text": "b"}',
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


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"text": 3}', 'expected a string for "text", got 3'),
        (
            b'{"body": "a"}',
            'expected the key "text", got the keys "body" (--text-key names another)',
        ),
    ],
)
def test_a_row_without_a_text_is_bad_where_a_text_is_needed(
    line: bytes, told: str
) -> None:
    first, bad, after = map(with_text, requests(b'{"text": "a"}', line, b""))
    assert (first.error, after.error) == (None, None)
    assert str(bad.error) == f"in:2: {told}"
    assert with_text(bad) is bad


def test_an_undecodable_line_names_the_byte() -> None:
    (bad,) = requests(b"ab\xff")
    assert str(bad.error) == "in:1: expected UTF-8, got byte 0xff at position 3"


def test_a_missing_file_and_a_folder_fail_before_the_first_line(tmp_path) -> None:
    with pytest.raises(NotFoundError):
        Lines(tmp_path / "none").open()
    with pytest.raises(DataError):
        Lines(tmp_path).open()


def test_a_packed_file_is_read_and_a_cut_one_is_an_error(tmp_path) -> None:
    path = tmp_path / "lines.gz"
    whole = gzip.compress("一\r\n二\n".encode() * 1000)
    path.write_bytes(whole)
    assert [r.text for r in from_lines(Lines(path))] == ["一", "二"] * 1000
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        list(from_lines(Lines(path)))


def test_a_line_is_handed_on_while_the_pipe_stays_open() -> None:
    read_end, write_end = os.pipe()
    lines = Lines("pipe", stream=os.fdopen(read_end, "rb")).open()
    chunks = Arrivals(from_lines(lines)).chunks(100)
    os.write(write_end, b"one\n")
    assert [request.text for request in next(chunks)] == ["one"]
    os.write(write_end, b"two\nthree\nfour")
    assert [request.text for request in next(chunks)] == ["two", "three"]
    os.close(write_end)
    assert [request.text for chunk in chunks for request in chunk] == ["four"]


def test_what_is_ready_fills_a_chunk() -> None:
    arrivals = Arrivals(from_lines(lines_of(b"x\n" * 25)))
    time.sleep(0.1)
    assert [len(chunk) for chunk in arrivals.chunks(10)] == [10, 10, 5]


def test_the_reader_s_error_comes_after_what_it_read() -> None:
    def broken() -> Iterator[bytes]:
        yield b"a\n"
        raise OSError("gone")

    stream = io.BufferedReader(Blocks(broken()))
    chunks = Arrivals(from_lines(Lines("in", stream=stream))).chunks(10)
    assert [request.text for request in next(chunks)] == ["a"]
    with pytest.raises(NlpcliError, match=r"^in: cannot be read: gone$"):
        next(chunks)


def test_the_reader_ends_when_nobody_takes_the_rest() -> None:
    before = threading.active_count()
    arrivals = Arrivals(from_lines(lines_of(*[b"x\n"] * 1_000_000)))
    next(arrivals.chunks(1))
    arrivals.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() == before
