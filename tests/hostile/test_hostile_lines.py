"""One line does not stop everything: a bad line is a bad line, told with its number.

What this protects: the other lines, and the memory of the machine. `1e999` ended a job
with an internal error; a line of 200 MB took 900 MB, a gzip of 10 MB could take 46 GB.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from nlpcli.cli import stream
from nlpcli.cli.data_report import report_text
from nlpcli.cli.main import app
from nlpcli.cli.stream import Arrivals, Request, from_lines
from nlpcli.config.loader import resolve
from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.recipes.dialog.form import DialogForm
from nlpcli.records import tally
from nlpcli.records.check import check
from nlpcli.records.columns import read_columns
from nlpcli.records.convert import convert
from nlpcli.records.lines import Lines, Spooled
from nlpcli.records.objects import json_objects
from nlpcli.records.read import document, json_values, open_items
from nlpcli.samples import sample
from nlpcli.text.tokenizers.load import tiny_tokenizer
from tests.hostile.faked import assert_one_line, nlpcli
from tests.hostile.test_hostile_pipes import FORMATS

GOOD = {"text": "王小明在北京", "entities": []}
MB = 2**20
# What is no JSON to us, or no line.
EVIL = {
    "infinity": b'{"text": "a", "entities": [], "n": 1e999}',
    "minus infinity": b'{"text": "a", "entities": [], "n": -Infinity}',
    "NaN": b'{"text": "a", "entities": [{"start": NaN}]}',
    "900 levels": b'{"text": "a", "entities": ' + b"[" * 900 + b"]" * 900 + b"}",
    "100,000 levels": b'{"text": ' + b"[" * 100_000,
    "objects in objects": b'{"a": ' * 900 + b"1" + b"}" * 900,
    "a name twice": b'{"text": "a", "text": "b", "entities": []}',
    "deep inside twice": b'{"text": "a", "entities": [{"start": 0, "start": 1}]}',
    "thousands of digits": b'{"text": "a", "entities": [], "n": ' + b"9" * 5000 + b"}",
    "an end of NUL": b'{"text": "a\x00", "entities": []}',
    "no UTF-8": b'{"text": "\xff", "entities": []}',
    "half of a pair in UTF-8": b'{"text": "\xed\xa0\x80", "entities": []}',
    "too long": b'{"text": "' + b"a" * 200_000 + b'", "entities": []}',
    "a list": b"[1]",
    "cut short": b'{"text": "a", "entities": [',
}
LIMIT = ("--longest-line", "150K")


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A file of evil lines, each between good ones; and a model for an index."""
    good = json.dumps(GOOD).encode()
    lines = [line for bad in EVIL.values() for line in (good, bad)]
    (tmp_path / "in").write_bytes(b"\n".join([*lines, good]) + b"\n")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "seed").write_text("1")
    return tmp_path


BAD = [2 * n for n in range(1, len(EVIL) + 1)]  # lines by their numbers


def test_data_check_tells_each(evil: Path) -> None:
    """Protects the report: all bad lines, by number."""
    words = ("data", "check", "in", "--task", "ner", "--json", *LIMIT)
    done = nlpcli(*words, cwd=evil)
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (4, b"")
    assert report["examples"] == len(EVIL) + 1
    assert [int(told.split(":")[1]) for told in report["bad_lines"]] == BAD


def test_data_convert_skips_each(evil: Path) -> None:
    """Protects the lines beside them; without --skip-bad the first is told."""
    words = ("data", "convert", "in", "out.jsonl", "--task", "ner", *LIMIT)
    assert_one_line(nlpcli(*words, cwd=evil), 4, "in:2: expected a JSON object")
    assert not (evil / "out.jsonl").exists()
    done = nlpcli(*words, "--skip-bad", "--json", cwd=evil)
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (report["examples"], report["skipped"]) == (len(EVIL) + 1, len(EVIL))
    assert len((evil / "out.jsonl").read_bytes().splitlines()) == len(EVIL) + 1


@pytest.mark.parametrize(
    "verb", [("predict", "ner"), ("generate", "couplet"), ("fill", "--model", "m")]
)
def test_what_answers_skips_each(verb: tuple[str, ...], evil: Path) -> None:
    """Protects the stream: answer n for line n, an error in the place of a bad one."""
    words = (*verb, "--input", "in", *LIMIT)
    assert_one_line(nlpcli(*words, cwd=evil), 4, "in:2: expected a JSON object")
    done = nlpcli(*words, "--on-error", "skip", cwd=evil)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (4, b"")
    assert [n for n, row in enumerate(rows, start=1) if "error" in row] == BAD
    good = [row["text"] for row in rows if "error" not in row]
    assert good == [GOOD["text"]] * (len(EVIL) + 1)


def test_an_index_skips_each(evil: Path) -> None:
    """Protects the index: the good lines are in it."""
    pytest.importorskip("lancedb")
    words = ("index", "build", "i", "--input", "in", "--model", "m", "--json", *LIMIT)
    done = nlpcli(*words, "--on-error", "skip", cwd=evil)
    report = json.loads(done.stdout)
    assert (done.returncode, report["bad"]) == (4, len(EVIL)), done.stderr


def test_training_and_scoring_skip_each(evil: Path) -> None:
    """Protects training: what its reader gives, bad lines counted or told."""
    from nlpcli.engine.examples import ExampleFile

    recipe = SimpleNamespace(form=resolve("ner").task.form(), admit=lambda *_: None)
    file = ExampleFile(recipe, evil / "in", skip_bad=True, longest=150_000)
    assert len(list(file)) == len(EVIL) + 1
    assert file.skipped == len(EVIL)
    with pytest.raises(DataError, match="in:2: expected a JSON object"):
        list(ExampleFile(recipe, evil / "in"))


@pytest.mark.parametrize(
    "verb",
    [
        *(["data", "check"], ["data", "convert"], ["train"], ["evaluate"]),
        *(["predict"], ["generate"], ["fill"]),
        *(["index", "build"], ["index", "add"], ["index", "search"]),
    ],
    ids=" ".join,
)
def test_every_verb_that_reads_takes_the_limit(verb: list[str]) -> None:
    """Protects those whose lines are really longer."""
    shown = CliRunner().invoke(app, [*verb, "--help"]).stdout
    assert "--longest-line" in shown
    for wrong in ("0", "-1", "16X", "", "1e9", "9" * 30, "9999999G"):
        done = CliRunner().invoke(app, [*verb, "--longest-line", wrong])
        assert done.exit_code == 2
        assert "expected bytes, such as 16777216 or 16M" in done.stderr


def test_the_limit_of_a_run_is_an_option() -> None:
    """Protects train and evaluate, which read it from the configuration."""
    assert resolve("ner").data.longest_line == 16 * MB
    assert resolve("ner", sets=["data.longest_line=9"]).data.longest_line == 9


# --- evil values in each place of a line -------------------------------------------

VALUES: list[Any] = [
    *(None, True, 0, -1, 1.5, 1e308, 10**40, -(10**40), 10**4000),
    *("", "\0", "\ud800", "😀\ud800", "a" * 3000, "\u2028\u202e\x9b", "1(" * 30),
    *([], {}, [[]], [{}], {"text": "a"}, ["a"], [1, 2, 3], [None], [10**30]),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def placed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = placed(copy[path[0]], path[1:], new)
    return copy


def first_value(content: bytes) -> Any:
    """Of a file in JSON, cut to its first example."""
    try:
        value = json.loads(content)
    except ValueError:
        value = json.loads(content.split(b"\n")[0])
    for name in ("data", "train"):
        if isinstance(value, dict) and isinstance(value.get(name), list):
            value[name] = value[name][:1]
    return value[:1] if isinstance(value, list) and len(value) > 9 else value


JSON_FORMATS = [
    name
    for name in FORMATS
    if not name.endswith(("columns", "objects", "blocks", "csl", "lcsts"))
]


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_any_value_in_any_place_is_read_or_told(name: str) -> None:
    """Protects against internal errors: a reader raises DataError and nothing else."""
    task, make = FORMATS[name]
    form, value = resolve(task).task.form(), first_value(make())
    tokenizer = tiny_tokenizer()
    for path in places(value):
        for new in VALUES:
            content = json.dumps(placed(value, path, new)).encode() + b"\n"
            lines = Lines("in", stream=io.BufferedReader(io.BytesIO(content)))
            try:
                _, items = open_items(form, lines, every=True)
                examples = [x for x in items if hasattr(x, "origin")]
            except DataError:
                continue
            for example in examples:
                dumps(form.row(example))
                for part in form.facts(example).texts[:1]:
                    tokenizer.encode_characters(part[:99])


# --- limits ------------------------------------------------------------------------


def test_a_line_without_an_end_ends_the_reading(monkeypatch: Any) -> None:
    """Protects those that skip bad lines: such a one has no next."""
    monkeypatch.setattr("nlpcli.records.lines._ENDLESS", MB)

    class Zeros(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    lines = iter(Lines("in", 100, io.BufferedReader(Zeros())))
    assert isinstance(next(lines)[1], DataError)
    with pytest.raises(DataError, match=r"^in:1: expected lines, got none$"):
        next(lines)


def lines_of(content: bytes, longest: int = 1000) -> Lines:
    return Lines("in", longest, io.BufferedReader(io.BytesIO(content)))


def test_a_first_line_with_a_mark_has_the_same_limit() -> None:
    """Protects the end of a line that is longer by no more than its mark."""
    (line,) = lines_of(b"\xef\xbb\xbf" + b"a" * 9 + b"\n", 9)
    assert line == (1, "a" * 9)
    for more in range(1, 9):
        content = b"\xef\xbb\xbf" + b"a" * (9 + more) + b"\nb\n"
        (_, bad), good = lines_of(content, 9)
        assert (isinstance(bad, DataError), good) == (True, (2, "b"))


def test_what_is_gathered_from_many_lines_is_bounded() -> None:
    """Protects what is read as one: an object, a sentence, a dialogue, a document."""
    (first, *_) = json_objects(lines_of(b'{"a": [\n' + b"1,\n" * 900))
    assert str(first).startswith("in:1: expected a JSON object of at most 1000 bytes")
    _, sentences = read_columns(lines_of("王\tO\n".encode() * 900 + b"\na\tO\n"), "BIO")
    *bad, good = sentences
    assert good.text == "a" and len(bad) > 1
    assert str(bad[0]).startswith("in:1: expected a sentence of at most 1000 bytes")
    _, dialogues = open_items(DialogForm(), lines_of(b"a\n" * 900), every=True)
    assert str(next(dialogues)).startswith("in:1: expected a dialogue of at most 1000")
    for whole in (document, json_values):
        with pytest.raises(DataError, match="expected a JSON value of at most 1000 by"):
            whole(lines_of(b"[\n" + b"\n" * 900 + b"]"))


def test_looking_ahead_is_bounded(monkeypatch: Any) -> None:
    """Protects from a file that begins with nothing for very long."""
    monkeypatch.setattr("nlpcli.records.lines._FAR", 10_000)
    for content in (b"\n" * 9000, b"\xff\n" * 9000, b" \n" * 9000):
        lines = lines_of(content + b"end\n")
        assert (lines.first(), lines.some(1)[:1]) == (None, lines.some(1))
        assert lines.number < 200
        with pytest.raises(DataError):
            open_items(resolve("ner").task.form(), lines, every=False)
        assert sum(1 for _ in lines) == 9001, "they stay to be read"


def test_long_lists_of_a_report_are_counted(tmp_path: Path, monkeypatch: Any) -> None:
    """Protects from a report that is longer than its file."""
    monkeypatch.setattr(tally, "MOST_LISTED", 3)
    path = tmp_path / "in"
    path.write_text("{\n" * 9 + (json.dumps(GOOD) + "\n") * 6)
    report = check(resolve("ner").task.form(), path)
    assert len(report["bad_lines"]) == len(report["duplicates"]) == 3
    assert report["unlisted"] == {"bad_lines": 6, "duplicates": 2}
    shown = report_text(report)
    assert "9 bad lines" in shown and "5 duplicates" in shown


def test_many_names_take_little_time() -> None:
    """Protects from an object of a million names, the last of which stands twice."""
    started = time.monotonic()
    names = ",".join(f'"k{n}":0' for n in range(200_000))
    content = f'{{{names},"k199999":1}}\n{{{names}}}\n'.encode()
    form = resolve("ner").task.form()
    _, items = open_items(form, lines_of(content, 9 * MB), every=False)
    twice, strange = map(str, items)
    assert "the name 'k199999' stands twice" in twice
    assert 'expected the key "text"' in strange and len(strange) < 300
    assert time.monotonic() - started < 30


# --- what is read ahead --------------------------------------------------------------


def endless(size: int, read: list[int]) -> Iterator[Request]:
    while True:
        read[0] += 1
        yield Request("in:1", size=size)


@pytest.mark.parametrize(("size", "most"), [(0, 4200), (MB, 40), (40 * MB, 3)])
def test_what_is_read_ahead_is_bounded(size: int, most: int) -> None:
    """Protects memory while a model loads: 4,096 lines might be 64 GB."""
    read = [0]
    arrivals = Arrivals(endless(size, read))
    try:
        time.sleep(0.5)
        assert 0 < read[0] <= most
        assert len(next(arrivals.chunks(4000))) <= most
    finally:
        arrivals.close()
        for thread in threading.enumerate():
            if thread.name == "nlpcli-input":
                thread.join(timeout=10)


def test_a_request_tells_its_size() -> None:
    """Protects the bound above: every line counts what it takes."""
    content = ('{"text": "' + "王" * 300 + '"}\n' + "\n").encode()
    found = list(from_lines(lines_of(content)))
    assert [request.size > 600 for request in found] == [True, False]
    assert stream.QUEUED_BYTES < 64 * MB


def test_a_pipe_that_cannot_be_kept_is_told(monkeypatch: Any, tmp_path: Path) -> None:
    """Protects from a full disk while a pipe is kept to be read again."""
    from nlpcli.records.lines import reusable

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spooled, "__init__", full)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\n")))
    with pytest.raises(DataError, match="stdin: cannot be kept to be read again: No s"):
        reusable("-")


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    """Protects from names with a NUL or half a pair, which a YAML file can hold."""
    form = resolve("ner").task.form()
    for name in ("a\0b", "a\ud800"):
        done = CliRunner().invoke(app, ["data", "check", name, "--task", "ner"])
        assert (done.exit_code, "no such file" in done.stderr) == (6, True)
        with pytest.raises(Exception, match="no such file"):
            convert(form, name, tmp_path / "out")
    assert sample("ner", "dev").exists()
