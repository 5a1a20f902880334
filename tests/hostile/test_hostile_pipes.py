"""Input from a pipe, which has no second beginning: all lines arrive, none twice.

What this protects: nothing is lost in silence. An input was opened, looked at, closed
and opened again; of a process substitution 4,628 of 5,000 lines were answered, exit 0.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.config.loader import resolve
from nlpcli.records.check import check
from nlpcli.records.convert import convert
from nlpcli.records.lines import Lines, reusable
from nlpcli.records.read import read
from nlpcli.samples import sample
from tests.hostile.faked import ROOT, nlpcli
from tests.slow import first_is_quick

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")

Row = dict[str, Any]


def rows_of(task: str) -> list[Row]:
    return [json.loads(line) for line in sample(task, "dev").read_text().splitlines()]


def written(task: str, to: str) -> bytes:
    """The sample in a format that we write."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        convert(resolve(task).task.form(), sample(task, "dev"), out, to=to)
        return out.read_bytes()


def jsonl(rows: list[Any], indent: int | None = None) -> bytes:
    texts = (json.dumps(row, ensure_ascii=False, indent=indent) for row in rows)
    return "".join(text + "\n" for text in texts).encode()


def table(rows: list[Row], *names: str) -> bytes:
    return "".join(
        "\t".join(str(row[n]) for n in names) + "\n" for row in rows
    ).encode()


def squad() -> bytes:
    def paragraph(row: Row) -> Row:
        start = row["passage"].index(row["answer"])
        answers = [{"text": row["answer"], "answer_start": start}]
        qas = [{"id": row["id"], "question": row["question"], "answers": answers}]
        return {"context": row["passage"], "qas": qas}

    rows = [{"paragraphs": [paragraph(row)]} for row in rows_of("qa-gen")]
    return json.dumps({"version": "1", "data": rows}, ensure_ascii=False).encode()


def documents() -> bytes:
    document = "<doc id={}>\n  <summary>\n{}\n  </summary>\n"
    document += "<short_text>{}</short_text>\n</doc>\n"
    rows = enumerate(rows_of("title"))
    return "".join(document.format(i, x["title"], x["text"]) for i, x in rows).encode()


def turns() -> list[list[str]]:
    return [row["turns"] for row in rows_of("dialog")]


FORMATS: dict[str, tuple[str, Callable[[], bytes]]] = {
    **{
        f"{task} {to}": (task, lambda task=task, to=to: written(task, to))
        for task, formats in {
            "ner": ("jsonl", "columns", "doccano", "label-studio"),
            "classify": ("jsonl", "doccano", "label-studio"),
            "triple-extract": ("jsonl", "doccano", "label-studio"),
            **dict.fromkeys(
                ("couplet", "dialog", "math-qa", "simbert", "title"), ("jsonl",)
            ),
        }.items()
        for to in formats
    },
    "classify columns": (
        "classify",
        lambda: table(rows_of("classify"), "text", "label"),
    ),
    "couplet columns": (
        "couplet",
        lambda: table(rows_of("couplet"), "first", "second"),
    ),
    "simbert columns": (
        "simbert",
        lambda: table(
            [row for row in rows_of("simbert") if "text_b" in row],
            *("text_a", "text_b", "label"),
        ),
    ),
    "title columns": ("title", lambda: table(rows_of("title"), "title", "text")),
    "title csl": (
        "title",
        lambda: table(
            [{"prompt": "to title", **row} for row in rows_of("title")],
            *("prompt", "text", "title"),
        ),
    ),
    "title lcsts": ("title", documents),
    "math-qa objects": ("math-qa", lambda: jsonl(rows_of("math-qa"), indent=2)),
    "qa-gen squad": ("qa-gen", squad),
    "dialog json lines": ("dialog", lambda: jsonl(turns())),
    "dialog json": ("dialog", lambda: json.dumps({"train": turns()}).encode()),
    "dialog columns": ("dialog", lambda: "\n".join(map("\t".join, turns())).encode()),
    "dialog blocks": (
        "dialog",
        lambda: "\n\n".join(map("\n".join, turns())).encode(),
    ),
}


@contextmanager
def slow_pipe(path: Path, content: bytes) -> Iterator[Path]:
    """A pipe whose first two bytes come alone, and the rest in odd pieces."""

    def write() -> None:
        with path.open("wb", buffering=0) as out:
            for place in (0, 1):
                out.write(content[place : place + 1])
                time.sleep(0.05)
            for place in range(2, len(content), 1021):
                out.write(content[place : place + 1021])

    os.mkfifo(path)
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield path
    writer.join(timeout=10)
    assert not writer.is_alive(), "the pipe was not read to its end"
    path.unlink()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_from_a_pipe_as_from_a_file(
    name: str, packed: bool, tmp_path: Path
) -> None:
    """Protects all formats, which are told by looking ahead, as gzip is."""
    task, make = FORMATS[name]
    form, content = resolve(task).task.form(), make()
    content = gzip.compress(content) if packed else content
    file, out = tmp_path / "in", tmp_path / "out.jsonl"
    file.write_bytes(content)
    expected = convert(form, file, out, to="jsonl")
    report = {**check(form, file), "file": ""}
    assert expected["examples"] > 20
    lines = out.read_bytes()
    file.unlink()
    with slow_pipe(file, content):
        assert convert(form, file, out, to="jsonl", force=True) == expected
    assert out.read_bytes() == lines
    with slow_pipe(file, content):
        assert {**check(form, file), "file": ""} == report


def test_both_files_of_couplets_may_be_pipes(tmp_path: Path) -> None:
    """Protects pairs of files, of which line n answers line n."""
    rows = rows_of("couplet")
    one, other = tmp_path / "in.txt", tmp_path / "out.txt"
    firsts, seconds = (
        "".join(row[name] + "\n" for row in rows).encode()
        for name in ("first", "second")
    )
    with slow_pipe(one, firsts), slow_pipe(other, seconds):
        form = resolve("couplet").task.form()
        report = convert(form, tmp_path, tmp_path / "out.jsonl")
    assert report["examples"] == len(rows)


@pytest.mark.parametrize("begins", [b"", b"\x1f", b"\x1fa\n", b"\n", b"a"])
def test_what_begins_like_gzip_and_is_none(begins: bytes, tmp_path: Path) -> None:
    """Protects the byte that was taken to tell gzip by the second one."""
    with slow_pipe(tmp_path / "pipe", begins) as pipe, Lines(pipe) as lines:
        found = [text for _, text in lines]
    assert found == begins.decode().splitlines()


def test_an_empty_first_line_is_answered_at_once() -> None:
    """Protects `tail -f`: only a first byte of gzip is worth waiting for the second."""
    read_end, write_end = os.pipe()
    lines = iter(Lines("pipe", stream=os.fdopen(read_end, "rb")))
    os.write(write_end, b"\n")
    found: list[Any] = []
    reader = threading.Thread(target=lambda: found.append(next(lines)), daemon=True)
    reader.start()
    reader.join(timeout=10)
    os.close(write_end)
    assert found == [(1, "")]


def test_what_is_read_again_is_kept(tmp_path: Path, monkeypatch: Any) -> None:
    """Protects training, which passes over its file more than once, also stdin's."""
    form, content = resolve("ner").task.form(), written("ner", "columns")
    with slow_pipe(tmp_path / "pipe", content) as pipe:
        source = reusable(pipe)
    first, second = (list(read(form, source)) for _ in range(2))
    assert first == second and len(first) == len(rows_of("ner"))
    read_end, write_end = os.pipe()
    os.write(write_end, b"a\nb\n")
    os.close(write_end)
    monkeypatch.setattr(sys, "stdin", os.fdopen(read_end))
    source = reusable("-")
    for _ in range(2):
        with Lines(source) as lines:
            assert [text for _, text in lines] == ["a", "b"]


COUNT = 5000
STDIN = "/dev/stdin"
VERBS = {
    "data check": ("data", "check", "IN", "--task", "ner", "--json"),
    "data convert": ("data", "convert", "IN", "OUT.jsonl", "--task", "ner", "--json"),
    "predict": ("predict", "ner", "--input", "IN", "--output", "OUT.jsonl"),
    "predict text": ("predict", "ner", "--input", "IN", "--format", "text"),
    "generate": ("generate", "couplet", "--input", "IN", "--output", "OUT.jsonl"),
    "fill": ("fill", "--model", "m", "--input", "IN", "--output", "OUT.jsonl"),
    "index build": ("index", "build", "i", "--input", "IN", "--model", "m", "--json"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Lines that are all different, and a model for an index of them."""
    with (tmp_path / "in").open("w") as out:
        for number in range(COUNT):
            text = f"王小明第{number}次在北京"
            row = {"id": str(number), "text": text, "entities": []}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "seed").write_text("1")
    return tmp_path


@pytest.mark.parametrize("how", first_is_quick(["process substitution", STDIN, "-"]))
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_reads_all_lines_once(verb: str, how: str, folder: Path) -> None:
    """Protects each verb that reads: line n is answered by line n, to the last."""
    if verb == "index build":
        pytest.importorskip("lancedb")
    words, content = VERBS[verb], (folder / "in").read_bytes()
    if how in (STDIN, "-"):
        words = tuple(how if word == "IN" else word for word in words)
        done = nlpcli(*words, cwd=folder, stdin=content)
    elif (bash := shutil.which("bash")) is None:
        pytest.skip("needs bash")
    else:
        line = " ".join("<(cat in)" if word == "IN" else word for word in words)
        done = subprocess.run(
            [bash, "-c", f"{sys.executable} -m tests.hostile.faked {line}"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=250,
        )
    assert (done.returncode, b"error" in done.stderr) == (0, False), done.stderr
    if "--json" in words:
        report = json.loads(done.stdout)
        found = report.get("examples", report.get("texts"))
        assert (found, report.get("duplicates", [])) == (COUNT, [])
    if verb != "data check" and "OUT.jsonl" in words:
        answers = (folder / "OUT.jsonl").read_text().splitlines()
        expected = [f"王小明第{n}次在北京" for n in range(COUNT)]
        assert [json.loads(line)["text"] for line in answers] == expected
    if "text" in words:
        shown = done.stdout.decode().splitlines()
        assert [line[1:].partition("/")[0] for line in shown] == expected_texts()


def expected_texts() -> list[str]:
    return [f"王小明第{n}次在北京" for n in range(COUNT)]


def test_configuration_from_a_pipe(tmp_path: Path) -> None:
    """Protects `-c <(...)`."""
    with slow_pipe(tmp_path / "pipe", b"train:\n  epochs: 7\n") as pipe:
        done = CliRunner().invoke(app, ["config", "ner", "-c", str(pipe), "--diff"])
    assert (done.exit_code, done.stdout.split()) == (0, ["train:", "epochs:", "7"])


def test_training_and_scoring_read_pipes(tmp_path: Path) -> None:
    """Protects train, which reads its file again where it does not fit in memory."""
    data, dev = jsonl(rows_of("ner") * 5), jsonl(rows_of("ner"))
    count = len(rows_of("ner"))
    words = ["train", "ner", "--data", str(tmp_path / "data")]
    words += ["--dev", str(tmp_path / "dev"), "--out", str(tmp_path / "run")]
    words += ["--max-steps", "2", "--set", "data.cache_examples=9"]
    for more in (["--dry-run"], []):
        with slow_pipe(tmp_path / "data", data), slow_pipe(tmp_path / "dev", dev):
            done = CliRunner().invoke(app, [*words, *more])
        assert done.exit_code == 0, done.output
        if more:
            told = dict(line.split()[:2] for line in done.stdout.splitlines()[:4])
            assert (told["examples"], told["dev_examples"]) == (
                str(5 * count),
                str(count),
            )
    with slow_pipe(tmp_path / "test", dev) as pipe:
        words = ["evaluate", "ner", "--run", str(tmp_path / "run"), "--json", "--data"]
        done = CliRunner().invoke(app, [*words, str(pipe)])
    assert json.loads(done.stdout)["examples"] == count, done.output
