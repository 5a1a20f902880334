"""Column files: sentences, words, places of what is wrong, what cannot be held."""

from itertools import islice

import pytest

from nlpcli.errors import DataError
from nlpcli.records.columns import (
    TaggedText,
    column_lines,
    is_column_line,
    read_columns,
)
from nlpcli.records.form import Mark
from nlpcli.records.lines import Lines


def opened(tmp_path, content, **options):
    path = tmp_path / "train.txt"
    path.write_text(content, encoding="utf-8", newline="")
    with Lines(path) as lines:
        scheme, items = read_columns(lines, **options)
        return scheme, list(items)


def read(tmp_path, content, **options):
    return opened(tmp_path, content, **options)[1]


def test_sentences_lines_and_spans(tmp_path):
    content = "\r\n-DOCSTART- -X- O\r\n\r\n王 B-PER\r\n明 I-PER\r\n\r\n\r\n在\tO\r\n"
    scheme, (first, second) = opened(tmp_path, content)
    assert scheme == "BIO"
    assert first == TaggedText("王明", ((0, 2, "PER"),), first.origin)
    assert first.origin.endswith("train.txt:4")
    assert second == TaggedText("在", (), second.origin)
    assert second.origin.endswith("train.txt:8")


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


def test_the_name_of_a_sentence_is_passed_over(tmp_path):
    """``# id ...`` before a sentence; within one it is no row."""
    content = "# id 5\tdomain=a\n王 B-PER\n\n# id 6\n# text 在\n在 O\n"
    first, second = read(tmp_path, content)
    assert (first.text, second.text) == ("王", "在")
    assert second.origin.endswith("train.txt:6")
    [error] = read(tmp_path, "王 B-PER\n# id 6\n在 O\n")
    assert str(error).endswith('train.txt:2: expected "character tag", got "# id 6"')
    [sentence] = read(tmp_path, "# O\n王 B-PER\n")
    assert sentence.text == "#王", "a character that has a tag is a row"


@pytest.mark.parametrize("line", ["北京", "北京 LOC", "北京 B", "北京 B-", "\tO", "O"])
def test_a_line_that_is_no_row_drops_its_sentence(tmp_path, line):
    assert not is_column_line(line)
    content = f"王 B-PER\n{line}\n明 I-PER\n\n在 O\n"
    error, sentence = read(tmp_path, content)
    assert isinstance(error, DataError)
    assert str(error).endswith(f'train.txt:2: expected "character tag", got "{line}"')
    assert sentence.text == "在"


def test_bytes_that_are_no_text_drop_their_sentence(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes("王 B-PER\n\n".encode() + b"\xff O\n\n" + "明 O\n".encode())
    with Lines(path) as lines:
        first, bad, last = read_columns(lines)[1]
    assert (first.text, last.text) == ("王", "明")
    assert str(bad) == f"{path}:3: expected UTF-8, got byte 0xff at position 1"


def test_every_forbidden_tag_is_an_error_or_a_repair(tmp_path):
    content = "王 B-PER\n\n京 I-LOC\n城 I-ORG\n"
    _, first, second = read(tmp_path, content)
    assert str(first).endswith("train.txt:3: I-LOC without the B-LOC before it (BIO)")
    assert str(second).endswith("train.txt:4: I-ORG without the B-ORG before it (BIO)")
    _, *marks, repaired = read(tmp_path, content, repair=True)
    assert repaired.spans == ((0, 1, "LOC"), (1, 2, "ORG"))
    assert marks == [Mark("repaired")] * 2


def test_scheme_may_be_given(tmp_path):
    content = "王 I-PER\n明 I-PER\n"
    scheme, [detected] = opened(tmp_path, content)
    assert scheme == "IOB1"
    assert detected.spans == ((0, 2, "PER"),)  # IOB1, told from the missing B
    scheme, [error] = opened(tmp_path, content, scheme="BIO")
    assert scheme == "BIO"
    assert "train.txt:1: I-PER without" in str(error)


def test_the_scheme_is_told_by_the_first_sentences_alone(tmp_path, monkeypatch):
    """What is looked at is still read; what comes later is held to it."""
    monkeypatch.setattr("nlpcli.records.columns.LOOKED_AT", 2)
    content = "王 B-X\n\n明 I-X\n\n在 O\n\n京 E-X\n"
    scheme, (first, wrong, third, other) = opened(tmp_path, content)
    assert scheme == "BIO"
    assert (first.text, third.text) == ("王", "在")
    assert ":3: " in str(wrong) and ":7: " in str(other)


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


def test_a_long_line_of_nothing_is_read_quickly(tmp_path):
    """Neither pattern may go back and forth over white space."""
    for line in ("x" + " " * 50_000, " " * 50_000 + "x", "\t" * 50_000 + "x y z"):
        found = list(islice(read(tmp_path, f"{line}\n"), 2))
        assert len(found) == 1
