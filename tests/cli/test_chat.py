"""The verb chat: turns through a pipe and in a terminal, over a fake generator."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# answers a text with the number of turns it holds; "bad" cannot be answered
FAKE = """
import sys, types
from dataclasses import make_dataclass
from nlpcli import recipe
from nlpcli.config import option
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import DataError
from nlpcli.records.row import Row

class Generator:
    def __init__(self, run, recipe, batch_size, precision, sets, model, quantize):
        self.talks = recipe == "dialog"
        self.sets = sets
        self.timings = {"decode": 1.0}

    def options(self, asked):
        return asked.over(GenerateOptions(top_p=0.9))

    def turn(self, history, line):
        return Row({"turns": [*history, line]} if self.talks else {"text": line})

    def stream(self, row, asked):
        text = "|".join(row.get("turns", [])) or row.string("text")
        if "sets" in text:
            yield " ".join(self.sets)
            return
        if "bad" in text:
            raise DataError("cannot be answered")
        if "slow" in text:
            import time
            print("waiting", file=sys.stderr, flush=True)
            time.sleep(30)
        if "seed" in text:
            yield str(asked.seed)
            return
        yield "回"
        yield "" if "mute" in text else str(text.count("|") + 1)

    def generate(self, rows, asked):
        return [{"outputs": [{"text": "束"}]} for _ in rows]

def module(name, **values):
    made = types.ModuleType(name)
    made.__dict__.update(values)
    sys.modules[name] = made

flag = ("tones", bool, option(False, "level tones", flag=True))

class Entry(types.SimpleNamespace):
    def require(self, verb, told):
        return self

    def task_type(self):
        return make_dataclass("TaskOptions", [flag] * (self.name == "couplet"))

recipe.find_recipe = lambda name: Entry(name=name, verbs=("generate", "chat"))
module("nlpcli.engine.generate", Generator=Generator)
module("nlpcli.engine.run_dir", choose_run=lambda run, name: name)
from nlpcli.cli.main import run
run()
"""


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", FAKE, "chat", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}


def piped(
    lines: str | bytes, *words: str, recipe: str = "dialog"
) -> subprocess.CompletedProcess[bytes]:
    data = lines.encode() if isinstance(lines, str) else lines
    return subprocess.run(
        command(recipe, *words),
        env=environment(),
        input=data,
        capture_output=True,
        timeout=60,
    )


def test_each_line_of_a_pipe_has_its_reply_and_no_prompt() -> None:
    done = piped("你好\n\n在吗\n/reset\n好\n/quit\n没了\n")
    assert (done.returncode, done.stderr) == (0, b"")
    # an empty line keeps its place; a command has no reply
    assert done.stdout.decode() == "回1\n\n回3\n回1\n"


def test_each_line_has_its_seed_and_the_first_may_be_given() -> None:
    done = piped("seed\nseed\n", "--seed", "7", recipe="couplet")
    assert done.stdout.decode() == "7\n8\n"
    one, other = (piped("seed\n", recipe="couplet").stdout for _ in range(2))
    assert one != other


def test_a_recipe_without_turns_answers_each_line_alone() -> None:
    done = piped("海内\n天涯\n", recipe="couplet")
    assert done.stdout.decode() == "回1\n回1\n"


def test_flags_of_the_recipe_hold() -> None:
    done = piped("sets\n", "--tones", recipe="couplet")
    assert done.stdout.decode() == "--tones task.tones=true\n"
    done = piped("sets\n", "--tones")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--tones" in done.stderr


def test_a_line_that_looks_like_json_is_a_line() -> None:
    assert piped('{"a"\n{}\n').stdout.decode() == "回1\n回3\n"


def test_beams_answer_at_once() -> None:
    assert piped("你好\n", "--beam", "3").stdout.decode() == "束\n"


@pytest.mark.parametrize("line", [b"bad\n", b"\xff\n"])
def test_a_bad_line_of_a_pipe_stops_it(line: bytes) -> None:
    done = piped("好\n".encode() + line + b"x\n")
    assert (done.returncode, done.stdout.decode()) == (4, "回1\n")
    assert len(done.stderr.splitlines()) == 1


def test_wrong_values_are_wrong_usage() -> None:
    done = piped("好\n", "--top-p", "1.7", "--min-length", "4", "--max-length", "2")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--top-p" in done.stderr and b"--min-length" in done.stderr


def test_a_reply_comes_while_the_pipe_stays_open() -> None:
    process = subprocess.Popen(
        command("dialog"),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    process.stdin.write("你好\n".encode())
    process.stdin.flush()
    assert process.stdout.readline().decode() == "回1\n"
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


def test_ctrl_c_ends_quietly() -> None:
    process = subprocess.Popen(
        command("dialog"),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stderr
    process.stdin.write(b"slow\n")
    process.stdin.flush()
    assert process.stderr.readline() == b"waiting\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, b"", b"")


class Terminal:
    """A process that talks to a terminal."""

    def __init__(self, *words: str) -> None:
        pid, self.descriptor = pty.fork()
        if pid == 0:
            os.execve(sys.executable, command(*words), environment())
        self.pid = pid
        self.bytes = b""

    def expect(self, text: str, count: int = 1) -> None:
        deadline = time.monotonic() + 20
        while self.bytes.count(text.encode()) < count and time.monotonic() < deadline:
            self.bytes += os.read(self.descriptor, 1000)
        assert self.bytes.count(text.encode()) >= count, self.bytes.decode()

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def code(self, keys: str = "") -> int:
        """The exit code; types ``keys``, and again where nothing comes of it.

        A signal between the prompt and the wait for keys is only seen with the next.
        """
        for tenths in range(300):
            if keys and tenths % 50 == 0:
                with suppress(OSError):
                    self.type(keys)
            time.sleep(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise TimeoutError(self.bytes.decode())

    def close(self) -> None:
        os.close(self.descriptor)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@pytest.fixture
def terminal():
    opened = Terminal("dialog")
    yield opened
    opened.close()


def test_a_terminal_has_prompts_and_outlives_mistakes(terminal: Terminal) -> None:
    terminal.expect("> ")
    terminal.type("你好\n")
    terminal.expect("回1")
    terminal.expect("> ", 2)
    terminal.type("bad\n")
    terminal.expect("cannot be answered")
    terminal.type("/what\n")
    terminal.expect("/what: expected /reset or /quit")
    terminal.type("在吗\n")
    terminal.expect("回3")
    terminal.type("/reset\n")
    terminal.type("新的\n")
    terminal.expect("回1", 2)
    terminal.type("/quit\n")
    assert terminal.code() == 0


@pytest.mark.parametrize(("keys", "code"), [("\x04", 0), ("\x03", 130)])
def test_end_and_interrupt_of_a_terminal(
    terminal: Terminal, keys: str, code: int
) -> None:
    terminal.expect("> ")
    assert terminal.code(keys) == code
