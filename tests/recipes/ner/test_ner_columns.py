"""Column files: every scheme there and back, real files, and what cannot be held."""

import json
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.errors import DataError, NotFoundError, UsageError
from recipes.ner.columns import TaggedText, column_lines, read_columns
from recipes.ner.convert import convert
from recipes.ner.examples import Entity, NerExample, json_line, read_examples
from recipes.ner.tags import SCHEMES

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
    content = "".join(f"{json_line(row)}\n" for row in rows)
    (folder / "a.jsonl").write_text(content, encoding="utf-8", newline="")
    report = convert(folder / "a.jsonl", folder / "b.txt", scheme)
    assert report["examples"] == len(rows)
    assert report["from"] == "jsonl"
    convert(folder / "b.txt", folder / "c.jsonl")
    assert (folder / "c.jsonl").read_bytes().decode() == content
    convert(folder / "c.jsonl", folder / "d.txt.gz", scheme)
    again = convert(folder / "d.txt.gz", folder / "e.txt", scheme)
    assert (folder / "e.txt").read_bytes() == (folder / "b.txt").read_bytes()
    assert again["entities"] == sum(len(row.entities) for row in rows)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_real_sentences_survive_columns(shared, tmp_path, scheme):
    source = shared("datasets/ner/resume.dev.jsonl")
    first = convert(source, tmp_path / "dev.txt", scheme)
    back = convert(tmp_path / "dev.txt", tmp_path / "dev.jsonl")
    assert back["from"] == scheme
    assert (first["examples"], first["entities"]) == (462, 1496)
    assert (back["examples"], back["entities"]) == (462, 1496)
    before = [(one.text, one.entities) for one in read_examples(source)]
    after = [(one.text, one.entities) for one in read_examples(tmp_path / "dev.jsonl")]
    assert after == before


def read(tmp_path, content, **options):
    path = tmp_path / "train.txt"
    path.write_text(content, encoding="utf-8", newline="")
    return list(read_columns(path, **options))


def test_sentences_lines_and_spans(tmp_path):
    content = "\r\n-DOCSTART- -X- O\r\n\r\n王 B-PER\r\n明 I-PER\r\n\r\n\r\n在\tO\r\n"
    first, second = read(tmp_path, content)
    assert first == TaggedText("王明", ((0, 2, "PER"),), first.line)
    assert first.line.endswith("train.txt:4")
    assert second == TaggedText("在", (), second.line)
    assert second.line.endswith("train.txt:8")


@pytest.mark.parametrize(
    ("joiner", "text", "span"),
    [("", "在NewYork读书", (1, 8)), (" ", "在 New York 读书", (2, 10))],
)
def test_words_are_joined_and_middle_columns_passed_over(tmp_path, joiner, text, span):
    content = "在 p x O\nNew nr x B-LOC\nYork nr x I-LOC\n读书 v x O\n"
    [sentence] = read(tmp_path, content, joiner=joiner)
    assert sentence.text == text
    assert sentence.spans == ((*span, "LOC"),)


def test_a_space_may_be_the_character(tmp_path):
    [sentence] = read(tmp_path, "A\tB-LOC\n \tI-LOC\nB\tI-LOC\n")
    assert sentence.text == "A B"
    [sentence] = read(tmp_path, "A B-LOC\n  I-LOC\n\u3000 O\n")
    assert sentence.text == "A \u3000"
    assert sentence.spans == ((0, 2, "LOC"),)


@pytest.mark.parametrize("line", ["北京", "北京 LOC", "北京 B", "北京 B-", "\tO", "O"])
def test_a_line_that_is_no_row_drops_its_sentence(tmp_path, line):
    content = f"王 B-PER\n{line}\n明 I-PER\n\n在 O\n"
    error, sentence = read(tmp_path, content)
    assert isinstance(error, DataError)
    assert str(error).endswith(f'train.txt:2: expected "character tag", got "{line}"')
    assert sentence.text == "在"


def test_every_forbidden_tag_is_an_error_or_a_repair(tmp_path):
    content = "王 B-PER\n\n京 I-LOC\n城 I-ORG\n"
    _, first, second = read(tmp_path, content)
    assert str(first).endswith("train.txt:3: I-LOC without the B-LOC before it (BIO)")
    assert str(second).endswith("train.txt:4: I-ORG without the B-ORG before it (BIO)")
    messages = []
    _, repaired = read(tmp_path, content, on_repair=messages.append)
    assert repaired.spans == ((0, 1, "LOC"), (1, 2, "ORG"))
    assert len(messages) == 2


def test_scheme_may_be_given(tmp_path):
    content = "王 I-PER\n明 I-PER\n"
    [detected] = read(tmp_path, content)
    assert detected.spans == ((0, 2, "PER"),)  # IOB1, told from the missing B
    [error] = read(tmp_path, content, scheme="BIO")
    assert "train.txt:1: I-PER without" in str(error)


def test_tags_of_no_scheme_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"one scheme .* got the prefixes B, I, M, O"):
        read(tmp_path, "王 B-X\n小 I-X\n明 M-X\n在 O\n")


@pytest.mark.parametrize("character", ["\t", "\n", "\r", "\ufeff", "\ud83d"])
def test_what_columns_cannot_hold_is_refused(character):
    code = f"U\\+{ord(character):04X}"
    with pytest.raises(DataError, match=rf"f:1: .* cannot hold {code} \(character 1\)"):
        list(column_lines(f"王{character}", [], "BIO", "f:1"))


def test_overlaps_and_labels_with_spaces_cannot_be_tags():
    with pytest.raises(DataError, match="f:1: overlapping entities"):
        list(column_lines("北京大学", [(0, 4, "ORG"), (0, 2, "LOC")], "BIO", "f:1"))
    with pytest.raises(DataError, match="f:1: expected a label without white space"):
        list(column_lines("北京", [(0, 2, "a b")], "BIO", "f:1"))


def test_convert_counts_repairs_skipped_lines_and_empty_texts(tmp_path):
    columns = tmp_path / "a.bio"
    columns.write_text("王 B-PER\n\n京 I-LOC\n\n坏\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.bio:3: I-LOC"):
        convert(columns, tmp_path / "a.jsonl")
    assert not (tmp_path / "a.jsonl").exists()
    report = convert(columns, tmp_path / "a.jsonl", repair=True, skip_bad=True)
    assert (report["examples"], report["repaired"], report["skipped"]) == (2, 1, 1)
    with (tmp_path / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"text": "", "entities": []}) + "\n")
        nested = [
            {"start": 0, "end": 2, "label": "A"},
            {"start": 0, "end": 1, "label": "B"},
        ]
        file.write(json.dumps({"text": "北京", "entities": nested}) + "\n")
    report = convert(tmp_path / "a.jsonl", tmp_path / "b.bio", "BIOES", skip_bad=True)
    assert (report["examples"], report["empty"], report["skipped"]) == (2, 1, 1)
    assert report["to"] == "BIOES"


def test_convert_refuses_what_exists_and_folders_that_do_not(tmp_path):
    (tmp_path / "a.bio").write_text("王 O\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text("kept")
    with pytest.raises(UsageError, match=r"b.jsonl: exists already; --force"):
        convert(tmp_path / "a.bio", tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_text() == "kept"
    assert (
        convert(tmp_path / "a.bio", tmp_path / "b.jsonl", force=True)["examples"] == 1
    )
    with pytest.raises(NotFoundError, match="there is no folder"):
        convert(tmp_path / "a.bio", tmp_path / "none" / "b.jsonl")


def test_a_long_line_of_nothing_is_read_quickly(tmp_path):
    """Neither pattern may go back and forth over white space."""
    for line in ("x" + " " * 50_000, " " * 50_000 + "x", "\t" * 50_000 + "x y z"):
        found = list(islice(read(tmp_path, f"{line}\n"), 2))
        assert len(found) == 1
