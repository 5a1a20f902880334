"""Files of entities in one format to another: every scheme there and back."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.errors import DataError, NotFoundError, UsageError
from nlpcli.files.json_text import dumps
from nlpcli.recipes.ner.form import Entity, NerExample, NerForm
from nlpcli.records.convert import convert
from nlpcli.records.read import read
from nlpcli.records.tag_schemes import SCHEMES

FORM = NerForm()

# what a tagger meets: spaces of all kinds, separators, emoji, combining marks, braces
CHARACTERS = st.one_of(
    st.sampled_from("王小明北京 \u3000\u2028\x85\x0b\x00{}[]O-#e\u0301😀Ａ"),
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\t\n\r\ufeff"),
)
LABELS = st.sampled_from(["PER", "LOC", "PER.NOM", "时间", "a-b", "O"])


@st.composite
def examples(draw):
    """A text that is not empty, with entities that do not overlap."""
    text = "".join(draw(st.lists(CHARACTERS, min_size=1, max_size=12)))
    places = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = draw(st.permutations(list(pairwise(places))))
    spans = spans[: draw(st.integers(0, len(spans)))]
    entities = [Entity(start, end, draw(LABELS)) for start, end in sorted(spans)]
    return NerExample(text, tuple(entities))


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(examples(), min_size=1, max_size=4))
def test_json_lines_survive_columns(tmp_path_factory, scheme, rows):
    folder = tmp_path_factory.mktemp("columns")
    content = "".join(f"{dumps(FORM.row(row))}\n" for row in rows)
    (folder / "a.jsonl").write_text(content, encoding="utf-8", newline="")
    form = NerForm(scheme=scheme)
    report = convert(form, folder / "a.jsonl", folder / "b.txt")
    assert report["examples"] == len(rows)
    assert report["from"] == "jsonl"
    convert(FORM, folder / "b.txt", folder / "c.jsonl")
    assert (folder / "c.jsonl").read_bytes().decode() == content
    convert(form, folder / "c.jsonl", folder / "d.txt.gz")
    again = convert(form, folder / "d.txt.gz", folder / "e.txt")
    assert (folder / "e.txt").read_bytes() == (folder / "b.txt").read_bytes()
    assert again["entities"] == sum(len(row.entities) for row in rows)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_real_sentences_survive_columns(shared, tmp_path, scheme):
    source = shared("datasets/ner/resume.dev.jsonl")
    first = convert(NerForm(scheme=scheme), source, tmp_path / "dev.txt")
    back = convert(FORM, tmp_path / "dev.txt", tmp_path / "dev.jsonl")
    assert back["from"] == scheme
    assert (first["examples"], first["entities"]) == (462, 1496)
    assert (back["examples"], back["entities"]) == (462, 1496)
    before = [(one.text, one.entities) for one in read(FORM, source)]
    after = [(one.text, one.entities) for one in read(FORM, tmp_path / "dev.jsonl")]
    assert after == before


def test_convert_counts_repairs_skipped_lines_and_empty_texts(tmp_path):
    columns = tmp_path / "a.bio"
    columns.write_text("王 B-PER\n\n京 I-LOC\n\n坏\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.bio:3: I-LOC"):
        convert(FORM, columns, tmp_path / "a.jsonl")
    assert not (tmp_path / "a.jsonl").exists()
    mending = NerForm(repair=True)
    report = convert(mending, columns, tmp_path / "a.jsonl", skip_bad=True)
    assert (report["examples"], report["repaired"], report["skipped"]) == (2, 1, 1)
    with (tmp_path / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"text": "", "entities": []}) + "\n")
        nested = [
            {"start": 0, "end": 2, "label": "A"},
            {"start": 0, "end": 1, "label": "B"},
        ]
        file.write(json.dumps({"text": "北京", "entities": nested}) + "\n")
    bioes = NerForm(scheme="BIOES")
    report = convert(bioes, tmp_path / "a.jsonl", tmp_path / "b.bio", skip_bad=True)
    assert (report["examples"], report["empty"], report["skipped"]) == (2, 1, 1)
    assert (report["from"], report["to"]) == ("jsonl", "BIOES")
    report = convert(FORM, tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert (report["examples"], report["empty"], report["to"]) == (4, 0, "jsonl")


def test_convert_refuses_what_exists_and_folders_that_do_not(tmp_path):
    (tmp_path / "a.bio").write_text("王 O\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text("kept")
    with pytest.raises(UsageError, match=r"b.jsonl: exists already; --force"):
        convert(FORM, tmp_path / "a.bio", tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_text() == "kept"
    assert (
        convert(FORM, tmp_path / "a.bio", tmp_path / "b.jsonl", force=True)["examples"]
        == 1
    )
    with pytest.raises(NotFoundError, match="there is no folder"):
        convert(FORM, tmp_path / "a.bio", tmp_path / "none" / "b.jsonl")
