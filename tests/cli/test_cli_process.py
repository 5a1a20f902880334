"""The command as a real process: pipes, signals, exit codes, what it imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# stands in for the engine, so that the process needs no model
FAKE = """
import sys, types

def predict(texts):
    return [{"entities": []} for _ in texts]

def module(name, **values):
    made = types.ModuleType(name)
    made.__dict__.update(values)
    sys.modules[name] = made

opened = types.SimpleNamespace(path="run")
module("nlpcli.engine.run_dir", choose_run=lambda run, name: opened)
module(
    "nlpcli.engine.predict",
    Predictor=lambda *a, **k: types.SimpleNamespace(predict=predict),
)
from nlpcli.cli.main import run
run()
"""

SAMPLE = (
    '{"text": "王小明在北京", "entities": [{"start": 0, "end": 3, "label": "PER"}]}\n'
)


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **extra}


def nlpcli(*words: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nlpcli", *words],
        cwd=cwd,
        env=environment(**extra),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def start_predict(*words: str, cwd: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", FAKE, "predict", "ner", *words],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["train", "ner", "--help"],
        ["recipes"],
        ["config", "ner"],
        ["data", "check", "dev.jsonl", "--task", "ner"],
        ["models", "list"],
        ["runs"],
    ],
    ids=" ".join,
)
def test_these_start_without_a_model_library(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").write_text(SAMPLE, encoding="utf-8")
    code = (
        "import sys\n"
        "from nlpcli.cli.main import run\n"
        "try:\n"
        "    run()\n"
        "finally:\n"
        "    heavy = {'tensorflow', 'keras', 'torch', 'numpy', 'rich', 'pydantic'}\n"
        "    print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        ([], 0),
        (["trian"], 2),
        (["config", "ner", "--set", "train.epochz=1"], 3),
        (["data", "check", "bad.jsonl", "--task", "ner"], 4),
        (["train", "nerr"], 6),
        (["runs", "show", "none"], 6),
        (["data", "check", "missing", "--task", "ner"], 6),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_exit_codes(words: list[str], code: int, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text(SAMPLE + "{\n", encoding="utf-8")
    done = nlpcli(*words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code in (2, 3, 6):
        assert all(
            line.startswith("nlpcli: error: ") for line in done.stderr.splitlines()
        )
        assert done.stdout == ""


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    for words in (["config", "ner"], ["--help"], ["train", "ner", "--help"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "nlpcli", *words],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


def test_predict_ends_quietly_when_nobody_reads_on(tmp_path: Path) -> None:
    process = start_predict(cwd=tmp_path)
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write(b"one\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.stdout.close()
    process.stdin.write(b"two\n")
    process.stdin.flush()
    # stdin stays open: the reading thread must not keep the process
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""


def test_a_line_is_answered_while_the_pipe_stays_open(tmp_path: Path) -> None:
    process = start_predict(cwd=tmp_path)
    assert process.stdin and process.stdout
    for text in ("北京", "", "上海"):
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == text
    process.stdin.close()
    assert process.wait(timeout=60) == 0


def test_it_stops_at_a_bad_line_while_the_pipe_stays_open(tmp_path: Path) -> None:
    process = start_predict(cwd=tmp_path)
    assert process.stdin and process.stderr
    process.stdin.write(b"\xff\n")
    process.stdin.flush()
    assert process.wait(timeout=60) == 4
    assert process.stderr.read().startswith(b"nlpcli: error: stdin:1: expected UTF-8")


def test_an_interrupt_exits_with_130(tmp_path: Path) -> None:
    process = start_predict(cwd=tmp_path)
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write(b"one\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.stderr.read() == b""


def test_libraries_load_silently_unless_asked(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from nlpcli.cli.console import Settings, configure, quiet_imports\n"
        "configure(Settings(verbose='-v' in sys.argv))\n"
        "with quiet_imports():\n"
        "    os.write(2, b'chatter')\n"
        "os.write(2, b'after')\n"
        "with quiet_imports():\n"
        "    os.write(2, b'why')\n"
        "    raise ImportError\n"
    )

    def said(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        ).stderr

    assert said().startswith("afterwhy")
    assert said("-v").startswith("chatterafterwhy")


def test_a_terminal_without_utf8_still_gets_answers(tmp_path: Path) -> None:
    done = nlpcli("recipes", cwd=tmp_path, LC_ALL="C", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0
    process = start_predict("北京", cwd=tmp_path)
    assert json.loads(process.communicate(timeout=60)[0])["text"] == "北京"


def test_completion_offers_recipes_and_keys(tmp_path: Path) -> None:
    def offered(*words: str) -> str:
        line = " ".join(["nlpcli", *words])
        return nlpcli(
            cwd=tmp_path,
            _NLPCLI_COMPLETE="complete_bash",
            COMP_WORDS=line,
            COMP_CWORD=str(len(words)),
        ).stdout

    assert "ner" in offered("train", "n").split()
    assert "train.epochs=" in offered("config", "ner", "--set", "train.ep").split()
    assert "train" in offered("tr").split()
