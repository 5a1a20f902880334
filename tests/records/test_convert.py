"""Conversion through a Form: what is written, what is counted, what is refused."""

import gzip
import json

import pytest

from nlpcli.errors import DataError, NotFoundError, UsageError
from nlpcli.records.convert import convert
from nlpcli.records.read import read
from tests.records.notes import NoteForm

FORM = NoteForm()
LINES = '{"text": "王明", "tags": ["a", "b"], "more": 1}\n\n{"text": "李"}\n'


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(LINES, encoding="utf-8")
    return path


def test_canonical_lines_stay_what_they_are(source, tmp_path):
    report = convert(FORM, source, tmp_path / "b.jsonl")
    assert report == {
        "from": "jsonl",
        "to": "jsonl",
        "examples": 2,
        "tags": 2,
        "comments": 0,
        "empty": 0,
        "skipped": 0,
    }
    written = (tmp_path / "b.jsonl").read_bytes().decode()
    assert (
        written == '{"text": "王明", "tags": ["a", "b"]}\n{"text": "李", "tags": []}\n'
    )
    convert(FORM, tmp_path / "b.jsonl", tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_text("utf-8") == written


@pytest.mark.parametrize("name", ["b.jsonl.gz", "b.gz"])
def test_a_name_in_gz_packs(source, tmp_path, name):
    convert(FORM, source, tmp_path / name)
    content = gzip.decompress((tmp_path / name).read_bytes()).decode()
    assert [json.loads(line)["text"] for line in content.splitlines()] == ["王明", "李"]
    assert len(list(read(FORM, tmp_path / name))) == 2


def test_the_name_or_to_says_the_format(source, tmp_path):
    report = convert(FORM, source, tmp_path / "b.txt")
    assert (report["from"], report["to"]) == ("jsonl", "plain")
    assert (tmp_path / "b.txt").read_text("utf-8") == "王明 #a #b\n李\n"
    report = convert(FORM, tmp_path / "b.txt", tmp_path / "c.txt", to="jsonl")
    assert (report["from"], report["to"]) == ("plain text", "jsonl")
    assert [n.tags for n in read(FORM, tmp_path / "c.txt")] == [("a", "b"), ()]


def test_a_format_may_stand_in_a_frame(source, tmp_path):
    convert(FORM, source, tmp_path / "b.json", to="list")
    written = (tmp_path / "b.json").read_text("utf-8")
    assert written == (
        '[{"text": "王明", "tags": ["a", "b"]}, {"text": "李", "tags": []}]\n'
    )
    report = convert(FORM, tmp_path / "b.json", tmp_path / "c.jsonl")
    assert (report["from"], report["examples"]) == ("list", 2)
    (tmp_path / "n.jsonl").write_text("{\n", "utf-8")
    convert(FORM, tmp_path / "n.jsonl", tmp_path / "n.json", to="list", skip_bad=True)
    assert (tmp_path / "n.json").read_text("utf-8") == "[]\n", "a frame around nothing"


def test_the_source_may_be_said(source, tmp_path):
    report = convert(FORM, source, tmp_path / "b.txt", source_format="plain")
    assert (report["from"], report["examples"]) == ("plain text", 2)
    path = tmp_path / "t.txt"
    path.write_text("王明 #a\n", "utf-8")
    report = convert(
        FORM, path, tmp_path / "t.jsonl", source_format="jsonl", skip_bad=True
    )
    assert (report["from"], report["examples"], report["skipped"]) == ("jsonl", 0, 1)


def test_a_form_under_flags_writes_by_them(source, tmp_path):
    form = FORM.with_flags(shout=True)
    source.write_text('{"text": "abc"}\n', "utf-8")
    report = convert(form, source, tmp_path / "b.txt")
    assert report["to"] == "LOUD", "reports say how it was written"
    assert (tmp_path / "b.txt").read_text("utf-8") == "ABC\n"


def test_formats_that_are_not_there_are_told_with_those_that_are(source, tmp_path):
    out = tmp_path / "b.jsonl"
    with pytest.raises(UsageError, match=r"^--from: .* jsonl, list, plain, got csv$"):
        convert(FORM, source, out, source_format="csv")
    with pytest.raises(UsageError, match=r"^--to: .* jsonl, list, plain, got csv$"):
        convert(FORM, source, out, to="csv")
    assert not out.exists()

    class ReadsOnly(NoteForm):
        @property
        def published(self):
            found = super().published
            found["list"].__dict__["write"] = None
            return found

    with pytest.raises(UsageError, match=r"^--to: .* jsonl, plain, got list$"):
        convert(ReadsOnly(), source, out, to="list")


def test_counts_of_what_is_left_out(tmp_path):
    source = tmp_path / "a.jsonl"
    rows = [{"text": "a", "tags": ["x"]}, {"text": ""}, {"text": "dull"}]
    rows += [{"text": "b\nc"}, {"text": "d", "tags": [1]}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl:3: expected more than dull"):
        convert(FORM, source, tmp_path / "b.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl"]
    report = convert(FORM, source, tmp_path / "b.txt", skip_bad=True)
    assert (report["examples"], report["empty"], report["skipped"]) == (2, 1, 3)
    assert report["unfit"] == {"too dull": 1}
    assert report["tags"] == 1, "of what was written"
    assert (tmp_path / "b.txt").read_text("utf-8") == "a #x\nd\n"
    report = convert(FORM, source, tmp_path / "b.jsonl", skip_bad=True)
    assert (report["examples"], report["empty"], report["skipped"]) == (4, 0, 2)


def test_marks_are_counted(tmp_path):
    source = tmp_path / "a.txt"
    source.write_text("// one\na\n// two\n", "utf-8")
    report = convert(FORM, source, tmp_path / "b.jsonl")
    assert (report["examples"], report["comments"]) == (1, 2)


def test_an_output_that_exists_or_has_no_folder(source, tmp_path):
    out = tmp_path / "b.jsonl"
    out.write_text("kept")
    with pytest.raises(UsageError, match=r"b\.jsonl: exists already; --force"):
        convert(FORM, source, out)
    with pytest.raises(UsageError, match="exists already"):
        convert(FORM, source, source)
    with pytest.raises(NotFoundError, match="there is no folder"):
        convert(FORM, source, tmp_path / "none" / "b.jsonl")
    assert out.read_text() == "kept"
    assert convert(FORM, source, source, force=True)["examples"] == 2
    assert len(list(read(FORM, source))) == 2, (
        "in place: it is read before it is written"
    )


def test_a_form_says_what_it_takes_when_nothing_is_learnt(tmp_path):
    class Lenient(NoteForm):
        def converting(self):
            return NoteForm()

        def parse(self, row):
            raise DataError("never asked")

    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "a"}\n', "utf-8")
    assert convert(Lenient(), source, tmp_path / "b.jsonl")["examples"] == 1
