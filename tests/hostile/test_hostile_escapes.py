"""Text of strangers does not command the terminal of whoever reads it.

What this protects: the screen, its title and clipboard (ESC, OSC, U+009B), the order in
which a line reads (marks of direction), and that one line looks like one line. Labels,
bad lines, names of tensors, recipes, models and files, ids and texts came out raw.
"""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from typer.testing import CliRunner

from nlpcli.cli import console
from nlpcli.cli.command import write_block
from nlpcli.cli.console import RichBar, Settings, configure, error_lines
from nlpcli.cli.curves import curve
from nlpcli.cli.main import app
from nlpcli.cli.render import render
from nlpcli.cli.scores import score_table
from nlpcli.cli.table import listing, pairs, table
from nlpcli.config.loader import resolve, to_yaml
from nlpcli.config.yaml_file import parse_yaml
from nlpcli.errors import DataError, NlpcliError
from nlpcli.files.json_text import dumps, in_a_cell, in_one_line, readable
from tests.hostile.faked import nlpcli

# a title of the window, a colour, a line that reads backwards, two that are one
EVIL = "a\x1b]0;owned\x07\x9b31m\u202egpj\u2066\u2028\x7f\u200b\u061c\U000e0041b"
LINES = f"{EVIL}\r\nnlpcli: error: forged\tc"
UNSAFE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
)
SHOWN = "a\\x1b]0;owned\\x07\\x9b31m\\u202egpj\\u2066\\u2028\\x7f\\u200b\\u061c"


def assert_safe(output: str | bytes) -> str:
    """Nothing that a terminal obeys, and the attack is there, spelled out."""
    text = output.decode("utf-8") if isinstance(output, bytes) else output
    assert not UNSAFE.search(text), ascii(text)
    assert "owned" in text
    return text


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: Any) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield


def call(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


# --- the one function --------------------------------------------------------------


@given(st.text(st.characters(), max_size=30))
def test_nothing_that_is_obeyed_is_left(text: str) -> None:
    """Protects every channel below, which all come through these."""
    for shown in (readable(text), in_one_line(text), in_a_cell(text)):
        assert not UNSAFE.search(shown)
        assert readable(shown) == shown
    assert not set("\r\n") & set(in_one_line(text))
    assert not set("\r\n\t") & set(in_a_cell(text))
    line = dumps({text: text})
    assert not UNSAFE.search(line) and "\n" not in line
    if not re.search("[\ud800-\udfff]", text):
        assert json.loads(line) == {text: text}


def test_all_of_unicode_that_has_no_shape() -> None:
    """Protects from the ones not thought of; a few marks of scripts are harmless."""
    for code in range(0x110000):
        character = chr(code)
        kind = unicodedata.category(character)
        if kind in ("Cc", "Zl", "Zp", "Cs"):
            assert readable(character) != character or character in "\t\n"
        bidi = unicodedata.bidirectional(character)
        if bidi in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"):
            assert readable(character) != character


@pytest.mark.parametrize(
    "text", ["王小明\t在\n北京", "👨‍👩‍👧❤️", "é 一𠀀", "葛󠄀", "‌می‌خواهم", "a\\x1b"]
)
def test_what_is_harmless_stays(text: str) -> None:
    """Protects ordinary text, emoji that are joined and variants of characters."""
    assert readable(text) == text
    assert json.loads(dumps(text)) == text and dumps(text).count("\\u") == 0


# --- stderr ------------------------------------------------------------------------


def assert_one_error(done: Any, code: int) -> None:
    first, *others = assert_safe(done.stderr).removesuffix("\n").split("\n")
    assert done.exit_code == code
    assert first.startswith(("nlpcli: error: ", "nlpcli: internal error: "))
    assert all(line.startswith("  ") for line in others), "none looks like a message"


@pytest.mark.parametrize("end", ["", "\nnlpcli: error: forged"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("data", "check", EVIL, "--task", "ner"), 6),
        (("data", "check", "x", "--task", EVIL), 6),
        ((EVIL,), 2),
        (("train", "ner", f"--{EVIL}"), 2),
        (("config", "ner", "--set", f"{EVIL}=1"), 3),
        (("config", "ner", "--set", f"train.lr={EVIL}"), 3),
        (("config", "ner", "-c", EVIL), 6),
        (("models", "show", EVIL), 6),
        (("models", "inspect", EVIL), 6),
        (("runs", "show", EVIL), 6),
        (("predict", "ner", "x", "--run", EVIL), 6),
        (("data", "check", "x", "--task", "ner", "--longest-line", EVIL), 2),
    ],
)
def test_what_was_typed_is_told_back_safely(
    words: tuple[str, ...], code: int, end: str
) -> None:
    """Protects from a command that was copied from a page."""
    assert_one_error(call(*(word.replace(EVIL, EVIL + end) for word in words)), code)


def test_a_bad_line_is_quoted_safely(tmp_path: Path) -> None:
    """Protects from data: its first bad line is quoted."""
    for line in (EVIL, f'{{"text": "{EVIL}'):
        (tmp_path / "in").write_text(f'{{"text": "x", "entities": []}}\n{line}\n')
        done = call("data", "convert", "in", "out.jsonl", "--task", "ner")
        assert_one_error(done, 4)


def test_an_error_of_several_lines_cannot_be_forged() -> None:
    """Protects what follows "nlpcli: error": line ends of Unicode's own are none."""
    first, second = error_lines(DataError(f"{EVIL}\x85\u2029x\nnlpcli: error: forged"))
    assert first.startswith("nlpcli: error: a") and second == "  nlpcli: error: forged"


def test_messages_of_a_log_are_one_line(capsys: Any) -> None:
    """Protects logs, for people and as JSON, and the traceback of --debug."""
    logger = logging.getLogger("nlpcli")
    for settings in (Settings(), Settings(json_logs=True)):
        configure(settings)
        logger.warning("%s", LINES, extra={"fields": {"task": LINES}})
        (line,) = assert_safe(capsys.readouterr().err).splitlines()
        assert (line[0] == "{") == settings.json_logs
    configure(Settings(debug=True))
    try:
        raise ValueError(EVIL)
    except ValueError:
        logger.exception("%s", LINES)
        console.show_traceback()
    told = assert_safe(capsys.readouterr().err)
    assert told.count("ValueError: a\\x1b") == 2


def test_progress_is_safe() -> None:
    """Protects the bar: its title may be a model's name, its stats a metric's."""
    bar = RichBar()
    bar.start(LINES, 10)
    bar.update(1, **{LINES: 0.5, "best": LINES})
    (task,) = bar.bar.tasks  # type: ignore[union-attr]
    bar.finish()
    for shown in (task.description, task.fields["stats"]):
        assert "\n" not in assert_safe(shown)


# --- stdout, for people ------------------------------------------------------------


def evil_data(path: Path) -> Path:
    """Lines whose texts, labels and mistakes are evil."""
    text = f"在{LINES}"
    good = {"text": text, "entities": [{"start": 0, "end": 1, "label": LINES}]}
    other = {**good, "entities": []}
    bad = {"text": text, "entities": [{"start": 0, "end": 999, "label": LINES}]}
    rows = [json.dumps(row, ensure_ascii=False) for row in (good, good, other, bad)]
    path.write_text("\n".join([*rows, EVIL]) + "\n", encoding="utf-8")
    return path


def test_the_report_of_a_file(tmp_path: Path) -> None:
    """Protects `data check`: name of the file, table of labels, bad lines."""
    name = "in\x1b]0;owned\x07\nnlpcli: forged"
    evil_data(tmp_path / name)
    done = call("data", "check", name, "--task", "ner")
    shown = assert_safe(done.stdout)
    assert (done.exit_code, done.stderr) == (4, "")
    assert not any(line.startswith("nlpcli") for line in shown.splitlines())
    (label,) = [x for x in shown.splitlines() if x.startswith(SHOWN)]
    assert label.split()[-3:] == ["2", "1", "1.0000"], "its columns stand"


def test_tables_and_lists() -> None:
    """Protects whatever is shown in columns: one row is one line."""
    row = {LINES: LINES, "list": [LINES], "inner": {LINES: LINES}}
    shown = assert_safe(table([row], [*row]))
    assert len(shown.split("\n")) == 2
    assert len(assert_safe(pairs({**row, "rows": [row]})).split("\n")) == 6
    assert len(assert_safe(listing({LINES: [LINES, LINES]})).split("\n")) == 4
    assert len(assert_safe(curve(LINES, [(0, 1.0), (1, 2.0)], 40)).split("\n")) == 10
    assert assert_safe(curve(LINES, [], 40)).count("\n") == 0
    labels = {LINES: {"f1": 0.5, LINES: 1}}
    wide = {f"{LINES}{n}": {f"{LINES}{n + 1}": 1} for n in range(13)}
    for scores in (
        {"f1": 0.5, "per_label": labels, "run": LINES},
        {LINES: {LINES: {LINES: 3}}, "data": LINES},
        {LINES: wide},
    ):
        shown = assert_safe(score_table(scores))
        assert not any(x.startswith("nlpcli") for x in shown.split("\n"))


def test_two_keys_that_look_alike_are_both_shown() -> None:
    """Protects from one that hides another."""
    assert len(pairs({"\x1b": 1, "\\x1b": 2}).splitlines()) == 2


def test_readable_answers_are_one_line() -> None:
    """Protects `--format text`; tabs stay, which cut answers of a line."""
    entity = {"start": 0, "end": 1, "label": LINES}
    for answer in (
        {"entities": [entity]},
        {"spo_list": [{"subject": LINES, "predicate": LINES, "object": LINES}]},
        {"label": LINES},
        {"labels": [{"label": LINES}]},
        {"outputs": [{"text": LINES, "note": LINES, "score": 0.1}]},
        {"vector": LINES},
    ):
        assert "\n" not in assert_safe(render(LINES, answer))
    assert render("a\tb", {"entities": []}) == "a\tb"


WRITTEN: dict[str, tuple[tuple[str, ...], Callable[[str], str]]] = {
    "predict": (("predict", "ner"), lambda x: json.loads(x)["entities"][0]["label"]),
    "doccano": (
        ("predict", "ner", "--format", "doccano"),
        lambda x: json.loads(x)["label"][0][2],
    ),
    "label-studio": (
        ("predict", "ner", "--format", "label-studio"),
        lambda x: json.loads(x)["data"]["text"],
    ),
    "generate": (
        ("generate", "couplet"),
        lambda x: json.loads(x)["outputs"][0]["text"],
    ),
    "fill": (
        ("fill", "--model", "m"),
        lambda x: json.loads(x)["masks"][0]["tokens"][0]["text"],
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_answers_in_json_say_the_same_safely(name: str) -> None:
    """Protects a terminal that shows JSON; whoever parses it gets the text."""
    words, text_of = WRITTEN[name]
    content = json.dumps({"id": EVIL, "text": EVIL}, ensure_ascii=False) + "\n"
    done = nlpcli(*words, stdin=content.encode())
    assert done.returncode == 0, done.stderr
    found = assert_safe(done.stdout).removeprefix("[\n").removesuffix("\n]\n")
    assert text_of(found) == EVIL


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "ner", "--format", "text"),
        ("generate", "couplet", "--format", "text"),
        ("generate", "couplet", "--stream"),
        ("fill", "--model", "m", "--format", "text"),
        ("chat", "dialog"),
    ],
    ids=lambda words: " ".join(words),
)
def test_answers_for_people_are_spelled_out(words: tuple[str, ...]) -> None:
    """Protects a terminal that shows text, also while it is written."""
    done = nlpcli(*words, stdin=f"{EVIL}\n".encode())
    assert done.returncode == 0, done.stderr
    shown = assert_safe(done.stdout)
    assert SHOWN in shown and shown.count("\n") == 1


def test_a_bad_line_among_answers() -> None:
    """Protects from the message in the place of an answer."""
    done = nlpcli("predict", "ner", "--on-error", "skip", stdin=f"{{{EVIL}\n".encode())
    assert done.returncode == 4
    assert "owned" in json.loads(assert_safe(done.stdout))["error"]["message"]


def test_hits_of_an_index(tmp_path: Path) -> None:
    """Protects from ids and texts that others put into an index."""
    pytest.importorskip("lancedb")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "seed").write_text("1")
    line = json.dumps({"id": EVIL, "text": EVIL}) + "\n"
    words = ("index", "build", "i", "--model", "m")
    assert nlpcli(*words, cwd=tmp_path, stdin=line.encode()).returncode == 0
    words = ("index", "search", "i", "--format", "text", "a")
    shown = assert_safe(nlpcli(*words, cwd=tmp_path).stdout)
    assert shown.count(SHOWN) == 2 and shown.count("\n") == 2
    done = nlpcli("index", "search", "i", "a", cwd=tmp_path)
    assert json.loads(assert_safe(done.stdout))["hits"][0]["id"] == EVIL
    done = nlpcli("index", "remove", "i", "--id", "x\x1bowned", cwd=tmp_path)
    assert (done.returncode, b"x\\x1bowned" in done.stderr) == (6, True)


def test_runs_and_their_curves(tmp_path: Path) -> None:
    """Protects from a run folder of others: its name, its scores, its metrics."""
    from nlpcli.engine.run_dir import RunDir

    run = RunDir.create(tmp_path / "runs" / EVIL, resolve("ner"))
    run.append_metrics({"step": 1, "loss": 0.5})
    run.append_metrics({"step": 1, "dev": {LINES: 0.5}})
    run.save_best(lambda folder: None, {LINES: 0.5, "per_label": {LINES: {"f1": 1.0}}})
    run.mark_finished({"seconds": 1, "score_name": LINES, "score": 0.5, "steps": 1})
    for words in (("runs",), ("runs", "show", f"runs/{EVIL}")):
        done = call(*words)
        assert done.exit_code == 0, done.stderr
        shown = assert_safe(done.stdout)
        assert not any(x.startswith("nlpcli") for x in shown.split("\n"))
        done = call(*words, "--json")
        value = json.loads(assert_safe(done.stdout))
        assert EVIL in (value[0] if isinstance(value, list) else value)["run"]


def test_tensors_of_a_model(tmp_path: Path) -> None:
    """Protects from a model file of others: names of tensors."""
    save_file({LINES: np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    done = call("models", "inspect", ".")
    shown = done.stdout + done.stderr
    assert not UNSAFE.search(shown)
    assert not any(x.startswith("nlpcli: error: forged") for x in shown.split("\n"))
    done = call("models", "inspect", ".", "--json")
    assert not UNSAFE.search(done.stdout + done.stderr)


def test_help_of_a_recipe_of_others() -> None:
    """Protects from a plug-in: the words of its keys stand in the help."""
    written: list[str] = []
    formatter = SimpleNamespace(write_paragraph=lambda: None, write=written.append)
    write_block(formatter, f"Keys\n  {EVIL}\n")
    assert assert_safe("".join(written)).count("\n") == 2


def test_a_configuration_is_the_same_when_it_is_read_again() -> None:
    """Protects `config > my.yaml`: escaped as YAML does it, to the same value."""
    config = resolve("ner", flags={"data.train": EVIL, "backbone.model": "甲"})
    text = to_yaml(config)
    assert_safe(text.encode())
    assert parse_yaml(text, "").values["data"]["train"] == EVIL
    assert call("config", "ner", "--set", f"data.train={EVIL}").stdout == to_yaml(
        resolve("ner", sets=[f"data.train={EVIL}"])
    )


def test_words_that_the_shell_offers(tmp_path: Path) -> None:
    """Protects the prompt: a name is offered as it is, or not at all."""
    from nlpcli.cli.complete import _quiet

    offer = _quiet(lambda: [("ner", LINES), (EVIL, ""), ("a\nb", "")])
    (found,) = offer()
    assert found[0] == "ner" and "\n" not in assert_safe(found[1])


@pytest.mark.parametrize("error", [ZeroDivisionError, NlpcliError])
def test_errors_of_all_kinds_are_told_safely(error: Any, monkeypatch: Any) -> None:
    """Protects bugs and errors that are yet to come, which may quote anything."""

    def broken(*_: Any, **__: Any) -> None:
        raise error(LINES)

    monkeypatch.setattr("nlpcli.config.loader.resolve", broken)
    assert_one_error(call("config", "ner"), 1)
