"""File names under every locale: as they are, or escaped; never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlpcli.files.json_text import dumps, escaped, readable

ROOT = Path(__file__).resolve().parents[2]
NAME = "训练.jsonl"
GBK = "语料.jsonl".encode("gbk")
ROW = {"text": "上海很大", "entities": [{"start": 0, "end": 2, "label": "地点"}]}
LOCALES = {
    "C": {"LC_ALL": "C"},
    "C, ascii asked for": {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    "C, no UTF-8 mode": {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    },
    "UTF-8": {"LC_ALL": "C.UTF-8"},
}


def nlpcli(
    *words: str | bytes, cwd: Path, locale: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "PYTHON"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), **locale}
    environment.pop("LANG", None)
    return subprocess.run(
        [sys.executable, "-m", "nlpcli", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        timeout=60,
    )


@pytest.fixture(params=LOCALES.values(), ids=LOCALES)
def locale(request: pytest.FixtureRequest) -> dict[str, str]:
    values: dict[str, str] = request.param
    return values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    line = json.dumps(ROW, ensure_ascii=False).encode()
    for name in (NAME.encode(), GBK):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(line)
    return tmp_path


def test_reports_are_utf8_and_name_the_file(
    folder: Path, locale: dict[str, str]
) -> None:
    words = ("data", "check", NAME, "--task", "ner")
    done = nlpcli(*words, "--json", cwd=folder, locale=locale)
    assert (done.returncode, done.stderr) == (0, b"")
    report = json.loads(done.stdout)
    assert (report["file"], report["labels"][0]["label"]) == (NAME, "地点")
    assert NAME in done.stdout.decode() and b"\\u" not in done.stdout
    text = nlpcli(*words, cwd=folder, locale=locale).stdout.decode()
    assert NAME in text and "地点" in text


def test_messages_name_the_file(tmp_path: Path, locale: dict[str, str]) -> None:
    words = ("data", "check", "没有.jsonl", "--task", "ner")
    done = nlpcli(*words, cwd=tmp_path, locale=locale)
    assert done.returncode == 6
    assert done.stderr.decode() == "nlpcli: error: 没有.jsonl: no such file\n"
    done = nlpcli("--log-format", "json", *words, cwd=tmp_path, locale=locale)
    assert json.loads(done.stderr)["message"] == "没有.jsonl: no such file"
    done = nlpcli("models", "show", "模型", cwd=tmp_path, locale=locale)
    assert done.returncode == 6
    assert "unknown model '模型'" in done.stderr.decode()
    done = nlpcli("训练", cwd=tmp_path, locale=locale)
    assert done.returncode == 2
    assert "no such command '训练'" in done.stderr.decode()
    done = nlpcli("config", "ner", "--set", "task.head=文", cwd=tmp_path, locale=locale)
    assert done.returncode == 3
    assert 'got "文"' in done.stderr.decode()


def test_a_name_in_another_encoding_is_escaped(
    folder: Path, locale: dict[str, str]
) -> None:
    words = ("data", "check", GBK, "--task", "ner")
    done = nlpcli(*words, "--json", cwd=folder, locale=locale)
    assert (done.returncode, done.stderr) == (0, b"")
    told = json.loads(done.stdout)["file"]
    # the bytes, but for those that happen to be UTF-8
    assert told.encode("utf-8", "surrogateescape") == GBK
    assert "\\udcd3" in done.stdout.decode()
    done = nlpcli("data", "check", b"no" + GBK, "--task", "ner", cwd=folder,
                  locale=locale)  # fmt: skip
    assert done.returncode == 6
    assert "no such file" in done.stderr.decode()


def bytes_of(text: str) -> str:
    """A name as a locale of ASCII leaves it."""
    return text.encode().decode("ascii", "surrogateescape")


def test_bytes_of_a_name_are_read_as_utf8() -> None:
    assert readable(bytes_of("/a/训练.jsonl: 坏😀")) == "/a/训练.jsonl: 坏😀"
    assert readable("上海 a\n") == "上海 a\n"
    assert readable(bytes_of("训") + "\udcff练") == "训\\udcff练"
    assert readable("\ud83d\ude00 \ud800 \udc00") == "\\ud83d\\ude00 \\ud800 \\udc00"
    assert readable(bytes_of("训")[:2]) == "\\udce8\\udcae"


def test_answers_and_files_keep_what_they_hold() -> None:
    text = bytes_of("训") + "\ud800"
    assert dumps(text) == '"\\udce8\\udcae\\udcad\\ud800"'
    assert json.loads(dumps(text)) == text
    assert json.loads(escaped(json.dumps(text, ensure_ascii=False))) == text
