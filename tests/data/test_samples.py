"""The shape of the samples that ship: what their READMEs promise."""

import json
import re
import unicodedata
from itertools import pairwise

import pytest

from nlpcli.samples import sample

TASKS = {  # task: least rows of train and dev, keys
    "ner": (500, 80, {"text", "entities"}),
    "couplet": (200, 30, {"first", "second"}),
    "math-qa": (1000, 120, {"question", "equation", "answer"}),
    "qa-gen": (180, 24, {"id", "passage", "question", "answer", "answer_start"}),
    "dialog": (160, 24, {"turns"}),
}
LABELS = {"PER", "LOC", "ORG", "TIME", "WORK"}


def rows_of(task, split="both"):
    splits = ("train", "dev") if split == "both" else (split,)
    return [
        json.loads(line)
        for name in splits
        for line in sample(task, name).read_text("utf-8").splitlines()
    ]


@pytest.mark.parametrize("task", TASKS)
def test_json_lines_with_the_keys_of_the_task(task):
    least_train, least_dev, keys = TASKS[task]
    for split, least in (("train", least_train), ("dev", least_dev)):
        content = sample(task, split).read_bytes()
        assert content.endswith(b"\n") and b"\r" not in content
        assert b"\\u" not in content, "Chinese stands as itself"
        rows = rows_of(task, split)
        assert len(rows) >= least
        assert all(set(row) == keys for row in rows)


@pytest.mark.parametrize("task", TASKS)
def test_text_is_normal_and_clean(task):
    for split in ("train", "dev"):
        text = sample(task, split).read_text("utf-8")
        assert unicodedata.normalize("NFC", text) == text
        for value in strings(rows_of(task, split)):
            assert value == value.strip() != ""
            assert value.isprintable()


@pytest.mark.parametrize("task", TASKS)
def test_no_row_twice_and_none_of_dev_in_train(task):
    rows = [json.dumps(row, sort_keys=True) for row in rows_of(task)]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("task", TASKS)
def test_the_readme_counts_its_files(task):
    readme = sample(task, "train").with_name("README.md").read_text("utf-8")
    assert "Apache-2.0" in readme
    for split in ("train", "dev"):
        count = len(rows_of(task, split))
        assert re.search(rf"^\| `{split}\.jsonl` \| {count} \|", readme, re.M)


def test_ner_entities_lie_in_their_text():
    for row in rows_of("ner"):
        spans = sorted((e["start"], e["end"]) for e in row["entities"])
        assert all(0 <= start < end <= len(row["text"]) for start, end in spans)
        assert all(a[1] <= b[0] for a, b in pairwise(spans)), row
        assert {e["label"] for e in row["entities"]} <= LABELS


def test_couplets_have_the_form():
    for row in rows_of("couplet"):
        first, second = row["first"], row["second"]
        assert len(first) == len(second), row
        assert commas(first) == commas(second), row
        sides = [side.replace("，", "") for side in (first, second)]
        assert 5 <= len(sides[0]) <= 11 or len(sides[0]) == 14, row
        assert re.fullmatch(r"[一-鿿]+", "".join(sides)), row
        assert not set(sides[0]) & set(sides[1]), row
        assert [first.index(c) for c in first] == [second.index(c) for c in second], row


def test_no_line_of_a_couplet_stands_in_another():
    lines = [line for row in rows_of("couplet") for line in row.values()]
    assert len(set(lines)) == len(lines)


def test_couplets_end_oblique_then_level():
    pypinyin = pytest.importorskip("pypinyin")

    def tones(character):
        """The tones of a character's readings."""
        style = pypinyin.Style.TONE3
        (readings,) = pypinyin.pinyin(character, style=style, heteronym=True)
        return {reading[-1] for reading in readings}

    for row in rows_of("couplet"):
        assert tones(row["first"][-1]) & set("34"), row
        assert tones(row["second"][-1]) & set("12"), row


def test_answers_stand_in_their_passages():
    for row in rows_of("qa-gen"):
        passage, answer, start = row["passage"], row["answer"], row["answer_start"]
        assert passage[start:].startswith(answer) and start >= 0, row
        assert 60 <= len(passage) <= 250, row
        assert len(answer) <= 24 and len(row["question"]) <= 48, row
        assert row["question"].endswith("？"), row


def test_passages_are_shared_by_questions_and_not_by_files():
    train, dev = (
        {r["passage"] for r in rows_of("qa-gen", s)} for s in ("train", "dev")
    )
    assert not train & dev
    assert len(train | dev) >= 60
    rows = rows_of("qa-gen")
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({(row["passage"], row["question"]) for row in rows}) == len(rows)


def test_dialogues_have_two_to_eight_turns():
    lengths = [len(row["turns"]) for row in rows_of("dialog")]
    assert set(lengths) <= set(range(2, 9))
    assert {2, 8} <= set(lengths)
    openings = [row["turns"][0] for row in rows_of("dialog")]
    assert len(openings) - len(set(openings)) <= 5


def commas(line):
    return [place for place, character in enumerate(line) if character == "，"]


def strings(value):
    """Every string in plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)
