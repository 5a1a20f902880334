"""Standard streams that are closed, full, broken, or the output that is named.

What this protects: what was written before (`--force --output /dev/stdout` emptied the
file it was to be appended to), files that would take the number of a closed stdout, and
whoever reads the messages: one line and an exit code, never a traceback.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.faked import ROOT, assert_one_line, nlpcli

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs descriptors")

ROW = '{"text": "王小明在北京", "entities": []}\n'
FULL = Path("/dev/full")
# one of each way to write to stdout
VERBS = {
    "help": ("--help",),
    "version": ("--version",),
    "recipes": ("recipes",),
    "config": ("config", "ner"),
    "runs": ("runs",),
    "models": ("models", "--json"),
    "data check": ("data", "check", "in", "--task", "ner"),
    "data check --json": ("data", "check", "in", "--task", "ner", "--json"),
    "data convert": ("data", "convert", "in", "out.jsonl", "--task", "ner"),
    "predict": ("predict", "ner", "北京"),
    "generate": ("generate", "couplet", "北京"),
    "generate --stream": ("generate", "couplet", "北京", "--stream"),
    "fill": ("fill", "--model", "m", "北京"),
    "chat": ("chat", "dialog"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").write_text(ROW * 3)
    return tmp_path


def run(name: str, folder: Path, **streams: Any) -> Any:
    return nlpcli(*VERBS[name], cwd=folder, stdin="北京\n".encode(), **streams)


# --- stdout ------------------------------------------------------------------------


@pytest.mark.parametrize("name", VERBS)
def test_a_closed_stdout_is_told(name: str, folder: Path) -> None:
    """Protects `>&-`: sys.stdout was None, an internal error."""
    done = run(name, folder, closed=(1,), stdout=None)
    assert_one_line(done, 1, "stdout: cannot write, Bad file descriptor")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("name", VERBS)
def test_a_full_stdout_is_told(
    name: str, buffered: str, folder: Path, monkeypatch: Any
) -> None:
    """Protects from answers that are lost with exit code 0, and from a traceback."""
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    with FULL.open("wb") as full:
        done = run(name, folder, stdout=full)
    assert_one_line(done, 1, "stdout: cannot write, no space left on the device")


@pytest.mark.parametrize("name", VERBS)
def test_a_broken_pipe_ends_quietly(name: str, folder: Path) -> None:
    """Protects `| head`: nothing is said, whatever the verb writes."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = run(name, folder, stdout=write_end)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_error_before_it_keeps_its_code(folder: Path) -> None:
    """Protects the exit code of a bad line, where the answers before it are lost."""
    (folder / "in").write_text(ROW + "{\n")
    with FULL.open("wb") as full:
        words = ("data", "convert", "in", "out.jsonl", "--task", "ner")
        assert_one_line(nlpcli(*words, cwd=folder, stdout=full), 4, "in:2: ")


def test_what_needs_no_stdout_does_without(folder: Path) -> None:
    """Protects files: none takes the number of a closed stream, and is printed into."""
    words = ("predict", "ner", "--input", "in", "--output", "out", "-v")
    done = nlpcli(*words, cwd=folder, closed=(0, 1, 2), stdin=None, stdout=None)
    assert done.returncode == 0
    answers = [json.loads(x) for x in (folder / "out").read_text().splitlines()]
    assert [answer["text"] for answer in answers] == ["王小明在北京"] * 3


def test_no_file_takes_the_number_of_a_closed_stream(folder: Path) -> None:
    """Protects the first file that is opened: libraries print to numbers 1 and 2."""
    code = (
        "import os\n"
        "from nlpcli.cli.standard import open_standard_streams\n"
        "open_standard_streams()\n"
        "with open('out', 'w') as out:\n"
        "    out.write(str(out.fileno()))\n"
        "for number in (1, 2):\n"
        "    try:\n"
        "        os.write(number, b'chatter')\n"
        "    except OSError:\n"
        "        pass\n"
    )

    def close() -> None:
        for number in (0, 1, 2):
            os.close(number)

    subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=close,
        timeout=60,
        check=True,
    )
    assert (folder / "out").read_text().isdigit()
    assert int((folder / "out").read_text()) > 2


# --- stderr ------------------------------------------------------------------------


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("how", ["closed", "full", "broken"])
@pytest.mark.parametrize("name", ["data check", "predict", "config"])
def test_messages_that_nobody_reads_do_not_stop_the_work(
    name: str, how: str, folder: Path
) -> None:
    """Protects the work and its exit code, which was 120 for a lost message."""
    words = (*VERBS[name], "--debug") if name == "predict" else VERBS[name]
    broken, write_end = os.pipe()
    os.close(broken)
    with FULL.open("wb") as full:
        streams: dict[str, Any] = {
            "closed": {"closed": (2,), "stderr": None},
            "full": {"stderr": full},
            "broken": {"stderr": write_end},
        }[how]
        done = nlpcli(*words, cwd=folder, **streams)
        assert (done.returncode, done.stdout != b"") == (0, True)
        bad = nlpcli("data", "check", "none", "--task", "ner", cwd=folder, **streams)
        assert bad.returncode == 6
    os.close(write_end)


# --- stdin -------------------------------------------------------------------------


def test_a_closed_stdin_is_told(folder: Path) -> None:
    """Protects `<&-`: sys.stdin was None, an internal error."""
    told = "expected TEXT, --input FILE or lines on stdin, got none"
    for words in (("predict", "ner"), ("generate", "couplet"), ("fill", "--model=m")):
        done = nlpcli(*words, cwd=folder, closed=(0,), stdin=None)
        assert_one_line(done, 2, told)
    for words in (
        ("predict", "ner", "--input", "-"),
        ("chat", "dialog"),
        ("data", "check", "-", "--task", "ner"),
        ("data", "convert", "-", "out.jsonl", "--task", "ner"),
    ):
        done = nlpcli(*words, cwd=folder, closed=(0,), stdin=None)
        assert_one_line(done, 4, "stdin: cannot be read: it is closed")
    done = nlpcli("predict", "ner", "北京", cwd=folder, closed=(0,), stdin=None)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_last_line_without_its_end_is_answered(folder: Path) -> None:
    """Protects the last words of a file that ends without a line end."""
    done = nlpcli("predict", "ner", cwd=folder, stdin="北京\n上海".encode())
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert texts == ["北京", "上海"]


def test_lines_read_ahead_are_bounded_while_a_model_loads(folder: Path) -> None:
    """Protects memory: a fast pipe into a slow model is held back."""
    program = (
        "import time\n"
        "from tests.hostile import faked\n"
        "def slow(self, *_):\n"
        "    time.sleep(60)\n"
        "faked.Predictor.__init__ = slow\n"
        "faked.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "predict", "ner"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    number, taken = process.stdin.fileno(), [0]

    def push() -> None:
        with suppress(BrokenPipeError):
            while taken[0] < 200:
                os.write(number, b"a" * (1 << 20) + b"\n")
                taken[0] += 1

    writer = threading.Thread(target=push)
    writer.start()
    before, waited = -1, 0
    while (taken[0] != before or not taken[0]) and waited < 60:
        before, waited = taken[0], waited + 2
        time.sleep(2)
    process.kill()
    process.wait()
    writer.join(timeout=10)
    process.stdin.close()
    assert 1 < taken[0] < 80


# --- an output that is a stream ----------------------------------------------------

OUTPUTS = {
    "predict": ("predict", "ner", "北京", "--output"),
    "generate": ("generate", "couplet", "北京", "--output"),
    "fill": ("fill", "--model", "m", "北京", "--output"),
    "data convert": ("data", "convert", "--task", "ner", "--to", "jsonl", "in"),
}


@pytest.mark.parametrize("force", [False, True], ids=["", "--force"])
@pytest.mark.parametrize("target", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("verb", OUTPUTS)
def test_stdout_by_its_name(verb: str, target: str, force: bool, folder: Path) -> None:
    """Protects what stdout is: a pipe is written to, a file is added to where it is."""
    if not Path(target).parent.exists():
        pytest.skip(f"needs {target}")
    words = (*OUTPUTS[verb], target, *["--force"] * force)
    piped = nlpcli(*words, cwd=folder)
    assert piped.returncode == 0, piped.stderr
    texts = [json.loads(line)["text"] for line in piped.stdout.splitlines()]
    assert set(texts) <= {"北京", "王小明在北京"} and texts
    log = folder / "log"
    log.write_bytes(b"before\n")
    number = log.stat().st_ino
    with log.open("ab") as out:
        done = nlpcli(*words, cwd=folder, stdout=out)
    assert done.returncode == 0, done.stderr
    assert log.read_bytes() == b"before\n" + piped.stdout
    assert log.stat().st_ino == number
    assert sorted(x.name for x in folder.iterdir()) == ["in", "log"]


def test_the_report_is_not_among_the_answers(folder: Path) -> None:
    """Protects `data convert IN /dev/stdout | ...`: what is counted goes to stderr."""
    words = ("data", "convert", "--task", "ner", "--to", "jsonl", "in", "/dev/stdout")
    done = nlpcli(*words, cwd=folder)
    assert done.stdout.decode() == ROW * 3
    assert b"examples  3" in done.stderr
    done = nlpcli(*words, "--json", cwd=folder)
    assert json.loads(done.stderr)["examples"] == 3


@pytest.mark.parametrize("verb", OUTPUTS)
def test_other_descriptors(verb: str, folder: Path) -> None:
    """Protects `3>>log`: /dev/fd/3 is added to, /dev/stderr is not replaced."""
    log = folder / "log"
    log.write_bytes(b"before\n")
    words = OUTPUTS[verb]
    with log.open("ab") as out:
        number = out.fileno()
        done = nlpcli(*words, f"/dev/fd/{number}", cwd=folder, pass_fds=(number,))
    assert done.returncode == 0, done.stderr
    assert log.read_bytes().startswith(b'before\n{"')
    log.write_bytes(b"before\n")
    with log.open("ab") as out:
        done = nlpcli(*words, "/dev/stderr", "--force", cwd=folder, stderr=out)
    assert done.returncode == 0
    assert log.read_bytes().startswith(b'before\n{"')


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("verb", OUTPUTS)
def test_a_full_output_is_told(verb: str, folder: Path) -> None:
    """Protects from answers that are lost in silence."""
    done = nlpcli(*OUTPUTS[verb], "/dev/full", cwd=folder)
    assert_one_line(done, 1, "/dev/full: cannot write, no space left on the device")
    with FULL.open("wb") as full:
        done = nlpcli(*OUTPUTS[verb], "/dev/stdout", cwd=folder, stdout=full)
    assert_one_line(done, 1, "stdout: cannot write, no space left on the device")


@pytest.mark.parametrize("verb", OUTPUTS)
def test_a_descriptor_that_is_not_open(verb: str, folder: Path) -> None:
    """Protects from a slip of a script: a line, not a traceback."""
    done = nlpcli(*OUTPUTS[verb], "/dev/fd/87", cwd=folder)
    assert_one_line(done, 1, "/dev/fd/87: cannot write, ")
    done = nlpcli(*OUTPUTS[verb], "/dev/stdout", cwd=folder, closed=(1,), stdout=None)
    assert_one_line(done, 1, "stdout: cannot write, Bad file descriptor")
