"""Lines of files as they come: marks, line ends, gzip, broken bytes, pipes."""

import gzip
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError, NotFoundError
from nlpcli.records.lines import BadLine, Lines, Spooled, read_lines, reusable

ROOT = Path(__file__).resolve().parents[2]


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


@given(st.binary(max_size=40))
def test_lines_are_cut_at_line_feeds_alone(tmp_path_factory, data):
    path = write(tmp_path_factory.mktemp("lines"), data)
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    expected[:1] = [raw.removeprefix(b"\xef\xbb\xbf") for raw in expected[:1]]
    if data.startswith(b"\x1f\x8b"):
        return
    with Lines(path) as lines:
        found = list(lines)
    assert [number for number, _ in found] == list(range(1, len(expected) + 1))
    for (_, text), raw in zip(found, expected, strict=True):
        if isinstance(text, str):
            assert text.encode() == raw.removesuffix(b"\r")
        else:
            with pytest.raises(UnicodeDecodeError):
                raw.decode()


def test_stdin_of_a_notebook_is_read_and_left_open(monkeypatch):
    stream = io.BytesIO("\ufeff王\r\n明".encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(stream))
    assert list(read_lines("-")) == [(1, "王"), (2, "明")]
    assert not stream.closed


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_stdin_of_a_process_is_read_and_left_open(name, packed):
    code = (
        "import os, sys\n"
        "from nlpcli.records.lines import Lines\n"
        "with Lines(sys.argv[1]) as lines:\n"
        "    for number, text in lines:\n"
        "        print(lines.origin(number), ascii(text))\n"
        "os.fstat(0)\n"
    )
    content = "\ufeff王\r\n明".encode()
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        input=gzip.compress(content) if packed else content,
        capture_output=True,
        cwd=ROOT,
        timeout=60,
    )
    shown = "stdin" if name == "-" else name
    assert done.stderr == b""
    assert done.stdout.decode().splitlines() == [
        f"{shown}:1 '\\u738b'",
        f"{shown}:2 '\\u660e'",
    ]


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
    with pytest.raises(NotFoundError):
        Lines(tmp_path / "none.jsonl").open()
    with pytest.raises(DataError):
        Lines(tmp_path).open()


def test_opening_waits_for_no_line():
    """A model loads while the first line of a pipe is still to come."""
    read_end, write_end = os.pipe()
    source = f"/dev/fd/{read_end}"
    if not Path(source).exists():
        pytest.skip("needs /dev/fd")
    lines = Lines(source).open()
    os.write(write_end, b"one\ntwo\n")
    assert next(iter(lines)) == (1, "one")
    os.close(write_end)
    assert list(lines) == [(2, "two")]
    lines.close()
    os.close(read_end)


def test_a_bad_byte_has_its_line_and_leaves_the_others_alone(tmp_path):
    path = write(tmp_path, "王\n".encode() + b"ab\xff\n" + "明\n".encode())
    message = f"{path}:2: expected UTF-8, got byte 0xff at position 3"
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    assert str(caught.value) == message
    with Lines(path) as lines:
        (_, first), (number, bad), third = lines
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


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_over_the_limit_is_bad_and_the_next_one_is_read(tmp_path, end):
    path = write(
        tmp_path, b"\n".join([b"x" * 8, b"y" * 9, b"z" * 70, b"8 bytes."]) + end
    )
    with Lines(path, longest=8) as lines:
        (_, most), (_, more), (_, much), last = lines
    assert (most, last) == ("x" * 8, (4, "8 bytes."))
    told = "expected a line of at most 8 bytes (--longest-line), got more"
    assert (str(more), str(much)) == (f"{path}:2: {told}", f"{path}:3: {told}")


@pytest.mark.parametrize(
    ("line", "begins"),
    [(b" \t{\xff", b"{"), (b"\xff{", b"\xff"), (b" {" + b"x" * 99, b"{")],
)
def test_a_bad_line_tells_what_it_began_with(tmp_path, line, begins):
    with Lines(write(tmp_path, line), longest=20) as lines:
        ((_, bad),) = lines
    assert isinstance(bad, BadLine) and bad.begins == begins


def test_looking_ahead_takes_nothing_away(tmp_path):
    path = write(tmp_path, b"\n \n\xff\na\nb\nc\n")
    with Lines(path) as lines:
        assert [number for number, _ in lines.head(2)] == [1, 2]
        assert lines.first() == lines.first() == "a"
        assert lines.first_line() == (4, "a")
        assert [number for number, _ in lines.head(5)] == [1, 2, 3, 4, 5]
        assert lines.number == 5
        taken = iter(lines)
        assert [next(taken)[0] for _ in range(4)] == [1, 2, 3, 4]
        assert (lines.first(), [text for _, text in lines]) == ("b", ["b", "c"])
        assert (lines.first(), lines.head(), lines.number) == (None, [], 6)
    with Lines(write(tmp_path, b"\n\xff\n")) as lines:
        assert lines.first_line() == (2, None)


def test_looking_into_many_blank_lines_is_quick(tmp_path):
    with Lines(write(tmp_path, b"\n" * 300_000 + b"end")) as lines:
        assert lines.first() == "end"
        assert sum(1 for _ in lines) == 300_001


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("packed", [False, True])
def test_a_pipe_is_kept_where_it_is_read_again(tmp_path, packed):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = "王\n明\n".encode()
    content = gzip.compress(content) if packed else content
    writer = threading.Thread(target=path.write_bytes, args=[content])
    writer.start()
    source = reusable(path)
    writer.join()
    assert isinstance(source, Spooled)
    for _ in range(2):
        with Lines(source) as lines:
            assert lines.origin(1) == f"{path}:1"
            assert list(lines) == [(1, "王"), (2, "明")]


def test_a_file_is_read_again_where_it_is(tmp_path):
    path = write(tmp_path, b"a\n")
    assert reusable(path) is path
    assert reusable(tmp_path) is tmp_path
    assert reusable("none") == "none", "what is missing is told when it is opened"
