"""Reading by a Form: whatever the bytes come through, each line in its place, once."""

import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nlpcli.errors import DataError, NotFoundError
from nlpcli.records import lines as lines_module
from nlpcli.records.check import check
from nlpcli.records.convert import convert
from nlpcli.records.read import read
from tests.records.notes import Note, NoteForm

ROOT = Path(__file__).resolve().parents[2]
FORM = NoteForm()
MANY = "".join(
    json.dumps({"text": f"第{i}条", "tags": ["a"]}) + "\n" for i in range(3000)
)


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_canonical_lines(tmp_path):
    path = write(
        tmp_path / "a.jsonl", '\n{"text": "王"}\n  \n{"text": "", "tags": ["x"]}'
    )
    assert list(read(FORM, path)) == [
        Note("王", (), f"{path}:2"),
        Note("", ("x",), f"{path}:4"),
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_mark_line_ends_and_gzip(tmp_path, packed):
    content = '\ufeff{"text": "王"}\r\n\r\n{"text": "\\ud83d"}\r\n'.encode()
    path = write(tmp_path / "a", gzip.compress(content) if packed else content)
    assert [note.text for note in read(FORM, path)] == ["王", "\ud83d"]


BAD = {
    "{broken": "a:2: expected a JSON object, got '{broken' (",
    "[1]": "a:2: expected a JSON object, got '[1]'",
    '{"text": NaN}': "(NaN is no finite number)",
    '{"text": "a", "n": 1e999}': "(1e999 is no finite number)",
    '{"text": "a", "text": "b"}': "(the name 'text' stands twice)",
    '{"text": ' + "[" * 80 + "]" * 80 + "}": "(nested deeper than 64 levels)",
    '{"text": ' + "[" * 100_000: "a:2: expected a JSON object",
    '{"body": "a"}': 'expected the key "text", got the keys "body" (see the notes)',
    '{"text": 3}': 'a:2: expected a string for "text", got 3',
    '{"text": "dull"}': "a:2: expected more than dull",
    b'{"text": "\xff"}': "a:2: expected UTF-8, got byte 0xff at position 11",
    '{"text": "' + "a" * 2**20 + '"}': "a:2: expected a line of at most 1000000 bytes",
}


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: str(bad[:20]))
def test_a_bad_line_leaves_its_neighbours_alone(tmp_path, bad):
    raw = bad if isinstance(bad, bytes) else bad.encode()
    content = b'{"text": "a"}\n' + raw + b'\n{"text": "c"}\n'
    first, error, last = read(FORM, write(tmp_path / "a", content), 1_000_000)
    assert (first.text, last.text, last.origin) == ("a", "c", f"{tmp_path}/a:3")
    assert isinstance(error, DataError)
    assert str(error).startswith(f"{tmp_path}/a:2: ") and BAD[bad] in str(error)


def test_what_is_wrong_with_a_part_comes_before_the_example(tmp_path):
    lines = '{"text": "a", "tags": ["x", 1, "y", 2]}\n{"text": "b"}\n'
    one, two, note, other = read(FORM, write(tmp_path / "a", lines))
    assert (str(one), str(two)) == (
        f"{tmp_path}/a:1: expected a tag, got 1",
        f"{tmp_path}/a:1: expected a tag, got 2",
    )
    assert (note.text, note.tags, other.text) == ("a", ("x", "y"), "b")


def test_formats_that_training_reads_as_they_are(tmp_path):
    path = write(tmp_path / "a", b"// by hand\nA #x #y\n\xff\n\nB\n")
    first, bad, last = read(FORM, path)
    assert first == Note("A", ("x", "y"), f"{path}:2")
    assert "a:3: expected UTF-8" in str(bad)
    assert last == Note("B", (), f"{path}:5")


def test_a_format_that_is_only_converted_is_bad_lines_to_training(tmp_path):
    path = write(tmp_path / "a", '[{"text": "a"}]')

    class Strict(NoteForm):
        """Without the lines that anything is."""

        @property
        def published(self):
            return {"list": super().published["list"]}

    (bad,) = read(Strict(), path)
    assert "expected a JSON object" in str(bad)
    report = convert(Strict(), path, tmp_path / "b.jsonl")
    assert (report["from"], report["examples"]) == ("list", 1)


@pytest.mark.parametrize("content", ["", "\n", " \n\r\n\u3000\n"])
def test_a_file_with_nothing_in_it(tmp_path, content):
    path = write(tmp_path / "a.jsonl", content)
    work = [
        lambda: list(read(FORM, path)),
        lambda: check(FORM, path),
        lambda: convert(FORM, path, tmp_path / "b.jsonl"),
    ]
    for doing in work:
        with pytest.raises(DataError) as caught:
            doing()
        assert str(caught.value) == f"{path}: expected notes, got an empty file"


def test_a_file_of_no_text_at_all_and_a_missing_one(tmp_path):
    path = write(tmp_path / "a.jsonl", b"\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: expected UTF-8"):
        list(read(FORM, path))
    for doing in (lambda p: list(read(FORM, p)), lambda p: check(FORM, p)):
        with pytest.raises(NotFoundError, match=r"none: no such file"):
            doing(tmp_path / "none")
        with pytest.raises(DataError, match="expected a file, got a folder"):
            doing(tmp_path)


@pytest.mark.parametrize("content", [MANY, '[{"text": "a"}]', "A #x\n" * 3000])
def test_an_input_is_opened_once(tmp_path, monkeypatch, content):
    path = write(tmp_path / "a", content)
    opened = []
    whole = lines_module.explained_open

    def counted(source):
        opened.append(source)
        return whole(source)

    monkeypatch.setattr(lines_module, "explained_open", counted)
    list(read(FORM, path))
    check(FORM, path)
    convert(FORM, path, tmp_path / "b.jsonl", skip_bad=True)
    assert opened == [path] * 3


DOING = {
    "read": lambda source, out: len(list(read(FORM, source))),
    "check": lambda source, out: check(FORM, source)["examples"],
    "convert": lambda source, out: convert(FORM, source, out)["examples"],
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("doing", DOING)
def test_a_named_pipe_is_read_whole(tmp_path, doing, packed):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = gzip.compress(MANY.encode()) if packed else MANY.encode()
    writer = threading.Thread(target=path.write_bytes, args=[content])
    writer.start()
    assert DOING[doing](path, tmp_path / "out.jsonl") == 3000
    writer.join()
    if doing == "convert":
        first, *_, last = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
        assert json.loads(first)["text"] == "第0条"
        assert json.loads(last)["text"] == "第2999条"


@pytest.mark.parametrize("doing", DOING)
def test_stdin_is_read_whole(tmp_path, doing):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.records.test_form_read import DOING\n"
        "doing, source, out = sys.argv[1:]\n"
        "print(DOING[doing](Path(source), Path(out)))\n"
    )
    for name in ("-", "/dev/stdin"):
        done = subprocess.run(
            [sys.executable, "-c", code, doing, name, tmp_path / f"out{len(name)}"],
            input=MANY.encode(),
            capture_output=True,
            cwd=ROOT,
            timeout=60,
        )
        assert (done.stdout, done.stderr) == (b"3000\n", b"")
