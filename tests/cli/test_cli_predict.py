"""predict over a fake engine: lines in, answers out, where it stops."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.fake_engine import Engine, answer, call, rows


def test_words_are_answered_in_order(engine: Engine) -> None:
    result = call("predict", "ner", "我在北京", "好")
    assert rows(result) == [
        {"text": "我在北京", **answer("我在北京")},
        {"text": "好", "entities": []},
    ]
    assert "北京" in result.stdout
    ((_, asked),) = engine.calls
    assert asked.pop("run").path == Path("runs/newest")
    assert asked == {
        "recipe": "ner",
        "batch_size": 32,
        "precision": "auto",
        "xla": None,
        "sets": [],
    }


def test_text_form(engine: Engine) -> None:
    result = call("predict", "ner", "--format", "text", "我在北京", "好")
    assert result.stdout == "我在[北京/LOC]\n好\n"


def test_line_n_answers_line_n(engine: Engine) -> None:
    result = call("predict", "ner", stdin="﻿北京\r\n\n好\n".encode())
    assert [row["text"] for row in rows(result)] == ["北京", "", "好"]
    lines = '{"id": 1, "text": "北京"}\n\n{"id": "b", "text": "好"}'
    answers = rows(call("predict", "ner", "--input", "-", stdin=lines))
    assert [row.get("id") for row in answers] == [1, None, "b"]
    assert list(answers[0]) == ["id", "text", "entities"]


def test_a_row_reaches_the_recipe_with_all_its_keys(engine: Engine) -> None:
    lines = '{"n": 7, "body": "北京", "more": [1]}\n'
    result = call(
        *("predict", "ner", "--text-key", "body", "--id-key", "n"), stdin=lines
    )
    assert rows(result) == [{"id": 7, "text": "北京", **answer("北京")}]
    assert engine.texts == [["北京"]]
    result = call("predict", "ner", stdin=lines)
    assert result.exit_code == 4
    assert result.stderr == (
        'nlpcli: error: stdin:1: expected the key "text", got the keys "n", "body", '
        '"more" (--text-key names another)\n'
    )


def test_flags_of_predict(engine: Engine) -> None:
    words = ["--run", "runs/x", "--precision", "bfloat16", "--no-xla"]
    call("predict", "ner", "a", *words, "--batch-size", "3")
    asked = engine.calls[0][1]
    assert (asked["run"].path, asked["batch_size"]) == (Path("runs/x"), 3)
    assert (asked["precision"], asked["xla"]) == ("bfloat16", "off")
    call("predict", "ner", "a", "--xla")
    assert engine.calls[1][1]["xla"] == "on"


def test_a_recipe_without_the_verb_says_which_it_has(engine: Engine) -> None:
    result = call("predict", "couplet", "a")
    assert (result.exit_code, engine.calls) == (2, [])
    assert "recipe couplet: does not predict, it has the verbs" in result.stderr


def test_any_number_of_lines_keeps_its_order(engine: Engine) -> None:
    Path("in.txt").write_text("".join(f"{i}\n" for i in range(1000)))
    result = call("predict", "ner", "--input", "in.txt", "--batch-size", "4")
    assert [row["text"] for row in rows(result)] == [str(i) for i in range(1000)]
    assert max(map(len, engine.texts)) <= 32


def test_a_bad_line_stops_after_the_answers_before_it(engine: Engine) -> None:
    result = call("predict", "ner", stdin=b"a\nb\n\xff\nc\n")
    assert [row["text"] for row in rows(result)] == ["a", "b"]
    assert result.exit_code == 4
    assert result.stderr == (
        "nlpcli: error: stdin:3: expected UTF-8, got byte 0xff at position 1\n"
    )
    assert "c" not in engine.texts[0]


def test_a_bad_line_is_answered_in_its_place_when_skipped(engine: Engine) -> None:
    lines = b'{"id": 1, "text": "a"}\n{"id": 2}\n{"id": 3, "text": "odd"}\n{"text":"b"}'
    result = call("predict", "ner", "--on-error", "skip", stdin=lines)
    assert result.exit_code == 4
    first, no_text, odd, last = rows(result)
    assert (first["text"], last["text"]) == ("a", "b")
    assert (no_text["id"], no_text["error"]["code"]) == (2, 4)
    assert odd == {
        "id": 3,
        "error": {"code": 4, "message": "stdin:3: cannot be answered"},
    }


def test_a_text_the_recipe_refuses_names_its_line(engine: Engine) -> None:
    result = call("predict", "ner", stdin="a\nodd\nb\n")
    assert (result.exit_code, len(rows(result))) == (4, 1)
    assert result.stderr == "nlpcli: error: stdin:2: cannot be answered\n"


def test_lone_surrogates_are_written_as_escapes(engine: Engine) -> None:
    result = call("predict", "ner", stdin=b'{"id": "\\udc00", "text": "a\\ud800b"}')
    assert result.exit_code == 0
    assert "\\ud800" in result.stdout
    assert rows(result)[0]["text"] == "a\ud800b"
    result = call("predict", "ner", "--format", "text", "a\ud800b")
    assert result.exit_code == 0


def test_an_output_appears_whole_or_not_at_all(engine: Engine) -> None:
    assert call("predict", "ner", "--output", "o", "a", "b").exit_code == 0
    assert [
        json.loads(line)["text"] for line in Path("o").read_text().splitlines()
    ] == [
        "a",
        "b",
    ]
    result = call("predict", "ner", "--output", "o", "c")
    assert (result.exit_code, len(engine.calls)) == (2, 1)
    assert "--force" in result.stderr
    for words, code in ((["odd"], 4), (["boom"], 1)):
        assert (
            call("predict", "ner", "--output", "o", "--force", *words).exit_code == code
        )
        assert len(Path("o").read_text().splitlines()) == 2
    assert call("predict", "ner", "--output", "o", "--force", "c").exit_code == 0
    assert len(Path("o").read_text().splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["o"]


def test_where_input_and_output_cannot_be(engine: Engine) -> None:
    Path("folder").mkdir()
    for words, code in (
        (["--input", "missing"], 6),
        (["--input", "folder"], 4),
        (["--input", "-", "text"], 2),
        (["--output", "no/such/folder", "text"], 6),
        (["--output", "folder", "text"], 2),
    ):
        assert call("predict", "ner", *words).exit_code == code
    assert engine.calls == []


def test_a_full_disk_is_one_line(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = call("predict", "ner", "--output", "o", "a")
    assert result.exit_code == 1
    assert result.stderr == (
        "nlpcli: error: o: cannot write, no space left on the device\n"
    )
    assert list(Path().iterdir()) == []
