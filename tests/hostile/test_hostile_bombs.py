"""Small files that unpack to more than the machine has, and input that never ends.

What this protects: memory. Each child process has room for a few lines, not for the
file; a gzip of 10 MB could take 46 GB.
"""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest

from tests.hostile.faked import assert_one_line, nlpcli
from tests.slow import first_is_quick

MB = 2**20
ROOM = 640 * MB  # of addresses, of which Python and its libraries take a third


def bomb(path: Path, part: bytes, size: int, begin: bytes = b"") -> Path:
    """A small gzip that unpacks to ``size`` bytes."""
    block = part * (16 * MB // len(part))
    member = gzip.compress(block, 6)
    path.write_bytes(gzip.compress(begin) + member * (size // len(block)))
    assert path.stat().st_size < 4 * MB
    return path


CHECK = ("data", "check", "in.gz", "--task", "ner")
CONVERT = ("data", "convert", "in.gz", "out.jsonl", "--task")
AS_A_LINE = ("--longest-line", "16M")
BOMBS = {
    "blank lines": (b"\n", 16 * MB, b"", CHECK),
    "one value": (b"a", 700 * MB, b"", (*CONVERT, "qa-gen")),
    "one line": (b"a", 700 * MB, b"", CHECK),
    "JSON in JSON": (b"[", 700 * MB, b'{"text": ', CHECK),
    "a long object": (
        b'"a": [],\n',
        96 * MB,
        b"{\n",
        (*CONVERT, "math-qa", *AS_A_LINE),
    ),
    "lines of a value": (b"[],\n", 96 * MB, b"[\n", (*CONVERT, "qa-gen", *AS_A_LINE)),
    "a sentence": ("王\tO\n".encode(), 32 * MB, b"", CHECK),
    "long lines": (b"a" * (MB - 1) + b"\n", 200 * MB, b"", CHECK),
    "lines of spaces": (b" " * 1023 + b"\n", 700 * MB, b"", CHECK),
}


@pytest.mark.parametrize("name", first_is_quick(BOMBS))
def test_a_gzip_bomb_takes_little_memory(name: str, tmp_path: Path) -> None:
    """Protects the machine from a small file that unpacks to more than it has."""
    part, size, begin, words = BOMBS[name]
    bomb(tmp_path / "in.gz", part, size, begin)
    done = nlpcli(*words, cwd=tmp_path, memory=ROOM)
    assert done.returncode == 4, done.stderr[-500:]
    assert b"MemoryError" not in done.stderr, done.stderr[-500:]


def test_a_bomb_among_texts_is_one_bad_line(tmp_path: Path) -> None:
    """Protects the verbs that answer."""
    path = bomb(tmp_path / "in.gz", b"a", 900 * MB)
    path.write_bytes(path.read_bytes() + gzip.compress("\n北京\n".encode()))
    words = ("predict", "ner", "--input", path, "--on-error", "skip")
    done = nlpcli(*words, cwd=tmp_path, memory=ROOM)
    bad, good = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr, good["text"]) == (4, b"", "北京")
    assert (
        "in.gz:1: expected a line of at most 16777216 bytes" in bad["error"]["message"]
    )


def test_a_line_without_an_end_stops_at_the_limit(tmp_path: Path) -> None:
    """Protects from input that never ends: told at the limit, not after it."""
    started = time.monotonic()
    with Path("/dev/zero").open("rb") as zero:
        for words in (("predict", "ner"), ("chat", "dialog")):
            done = nlpcli(*words, stdin=zero.fileno(), memory=ROOM)
            assert_one_line(done, 4, "stdin:1: expected a line of at most 16777216 b")
    assert time.monotonic() - started < 60


@pytest.mark.slow
def test_converting_holds_no_more_than_a_line(tmp_path: Path) -> None:
    """Protects from a file that is larger than the memory, as whole corpora are."""
    row = json.dumps({"text": "a" * 50_000, "entities": []}).encode() + b"\n"
    path = bomb(tmp_path / "in.gz", row, 480 * MB)
    words = ("data", "convert", path, "out.jsonl.gz", "--task", "ner", "--json")
    done = nlpcli(*words, cwd=tmp_path, memory=ROOM - 200 * MB)
    assert done.returncode == 0, done.stderr[-500:]
    assert json.loads(done.stdout)["examples"] > 9000
