"""`nlpcli index` as a real process, with a stand-in for the model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("lancedb")

ROOT = Path(__file__).resolve().parents[2]
LINES = ["怎么还花呗", "花呗如何还款", "今天天气怎么样", "明天下雨吗"]

# a stand-in for the model, the rest is the real command
FAKE = """
import resource, sys, types
from tests.hashed_words import HashedWords
sys.modules["nlpcli.engine.embed"] = types.ModuleType("nlpcli.engine.embed")
sys.modules["nlpcli.engine.embed"].Embedder = HashedWords
limit = int(sys.argv.pop(1))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from nlpcli.cli import indexing, main
indexing.CHUNK = int(sys.argv.pop(1))
main.run()
"""


def command(*words, limit=0, chunk=1000):
    texts = [str(limit), str(chunk), "index", *map(str, words)]
    return [sys.executable, "-c", FAKE, *texts]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def nlpcli(*words, cwd, stdin="", **options):
    return subprocess.run(
        command(*words, **options),
        cwd=cwd,
        env=environment(),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=250,
    )


def assert_fails(done, code, *needles):
    assert done.returncode == code, done.stderr
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("nlpcli: error")]
    for needle in needles:
        assert needle in line
    assert "Traceback" not in done.stderr


@pytest.fixture
def folder(tmp_path):
    """A folder with two models and a file of lines."""
    for name, numbers in {"model": "1", "other": "2", "slow": "1 0.2"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "seed").write_text(numbers)
    (tmp_path / "faq.txt").write_text("\n".join([*LINES, "", LINES[0], ""]))
    return tmp_path


@pytest.fixture
def built(folder):
    """The folder with faq.idx in it."""
    words = ["build", "faq.idx", "--input", "faq.txt", "--model", "model"]
    done = nlpcli(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "faq.idx: 6 lines: 4 added, 1 there already, 1 empty; 4 texts now\n"
    )
    return folder


def info(folder, address="faq.idx"):
    done = nlpcli("info", address, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_build_search_add_remove_info(built):
    done = nlpcli("search", "faq.idx", "--top", "2", cwd=built, stdin="花呗\n\n天气\n")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["text"] for row in rows] == ["花呗", "", "天气"]
    assert [len(row["hits"]) for row in rows] == [2, 0, 2]
    assert {hit["text"] for hit in rows[0]["hits"]} == set(LINES[:2])
    assert rows[2]["hits"][0]["text"] == LINES[2]

    more = '{"id": 17, "text": "借呗怎么还"}\n'
    assert nlpcli("add", "faq.idx", "--input", "-", cwd=built, stdin=more).stdout == (
        "faq.idx: 1 line: 1 added; 5 texts now\n"
    )
    text = ["search", "faq.idx", "借呗怎么还", "--top", "1", "--format", "text"]
    done = nlpcli(*text, cwd=built)
    assert done.stdout == "借呗怎么还\n  1.0000  17  借呗怎么还\n"
    told = info(built)
    assert (told["texts"], told["complete"], told["search"]) == (5, True, "flat")
    assert told["model"] == str(built / "model")
    done = nlpcli("remove", "faq.idx", "--id", "17", "--id", "no", cwd=built)
    assert_fails(done, 6, "no entry has the id no")
    assert done.stdout == "faq.idx: 1 removed\n"
    assert info(built)["texts"] == 4


@pytest.mark.slow
def test_what_it_refuses(built):
    again = ["build", "faq.idx", "--input", "faq.txt", "--model"]
    assert_fails(nlpcli(*again, "model", cwd=built), 2, "--resume", "--force")
    other = ["--model", "other"]
    for words in (
        ["search", "faq.idx", "花呗", *other],
        ["add", "faq.idx", "花呗", *other],
        [*again, "other", "--resume"],
    ):
        assert_fails(nlpcli(*words, cwd=built), 5, "made by another model")
    assert_fails(nlpcli("search", "none.idx", "花呗", cwd=built), 6, "no index here")
    assert_fails(nlpcli("info", "faq.txt", cwd=built), 4, "not an index")
    assert_fails(nlpcli("info", "model", cwd=built), 4, "not an index")
    assert info(built)["texts"] == 4
    assert nlpcli(*again, "other", "--force", cwd=built).returncode == 0
    assert info(built)["model"] == str(built / "other")
    (built / "other" / "seed").unlink()
    (built / "other").rmdir()
    assert_fails(nlpcli("search", "faq.idx", "花", cwd=built), 6, "no longer", "--run")


@pytest.mark.slow
def test_bad_lines_stop_or_are_counted(built):
    bad = "好的一行\n" + "长" * 30_000 + "\n后来的\n"
    done = nlpcli("add", "faq.idx", cwd=built, stdin=bad)
    assert_fails(done, 4, "stdin:2", "65535 bytes")
    assert info(built)["texts"] == 5, "the line before is stored"
    done = nlpcli("add", "faq.idx", "--on-error", "skip", cwd=built, stdin=bad)
    assert done.returncode == 4
    assert done.stdout == (
        "faq.idx: 3 lines: 1 added, 1 there already, 1 bad; 6 texts now\n"
    )
    assert "nlpcli: warning: stdin:2" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["build", "add"])
def test_kill_9_loses_nothing_that_was_told(folder, verb):
    """Killed three times in a row; the same command then goes on to the end."""
    if verb == "add":
        (folder / "first.txt").write_text("第一行\n")
        words = ["build", "faq.idx", "--input", "first.txt", "--model", "slow"]
        assert nlpcli(*words, cwd=folder).returncode == 0
        words = ["add", "faq.idx", "--input", "many.txt"]
    else:
        words = ["build", "faq.idx", "--input", "many.txt", "--model", "slow"]
    (folder / "many.txt").write_text("".join(f"第{i}个问题\n" for i in range(400)))
    total, before = 400 + (verb == "add"), 0
    for turn in range(3):
        going_on = ["--resume"] if verb == "build" and turn else []
        process = subprocess.Popen(
            command(*words, *going_on, chunk=20),
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # some chunks on: versions are the commits of the store
        wait_for(folder / "faq.idx" / "vectors.lance" / "_versions", process, 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        told = info(folder)
        assert told["complete"] is (verb == "add")
        assert told["texts"] >= before
        assert total > told["texts"] > 20 * turn
        before = told["texts"]
    (folder / "slow" / "seed").write_text("1")
    going_on = ["--resume"] if verb == "build" else []
    done = nlpcli(*words, *going_on, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["texts"] == total
    assert told["added"] == total - before, "what was there is not done again"
    assert info(folder)["complete"] is True


def wait_for(versions: Path, process, more: int) -> None:
    def commits() -> int:
        names = versions.glob("*.manifest")
        return max((2**64 - 1 - int(x.stem) for x in names), default=0)

    first, deadline = commits(), time.monotonic() + 200
    while commits() < first + more:
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["build", "add"])
def test_a_full_disk_is_one_line_and_the_index_stays(built, verb):
    many = "".join(f"第{i}个问题，怎么办呢？\n" for i in range(2000))
    address = "faq.idx" if verb == "add" else "new.idx"
    model = ["--model", "model"] if verb == "build" else []
    done = nlpcli(verb, address, *model, cwd=built, stdin=many, limit=20_000)
    assert_fails(done, 1, address, "no space left")
    assert info(built)["texts"] == 4
    going_on = ["--resume"] if verb == "build" else []
    done = nlpcli(verb, address, *model, *going_on, cwd=built, stdin=many)
    assert done.returncode == 0, done.stderr
    assert info(built, address)["texts"] == 2000 + 4 * (verb == "add")


def test_it_says_which_extra_is_missing(built):
    code = "import sys; sys.modules['lancedb'] = None\n" + FAKE
    words = [sys.executable, "-c", code, "0", "9", "index", "info", "faq.idx"]
    done = subprocess.run(
        words, cwd=built, env=environment(), capture_output=True, encoding="utf-8"
    )
    assert_fails(done, 2, "lancedb", "nlpcli[index]")
