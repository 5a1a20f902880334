"""The shipped sample: readable, of one mind, and dev apart from train."""

import re
from pathlib import Path

import pytest

from nlpcli.recipes.ner.form import NerForm
from nlpcli.records.check import check
from nlpcli.records.read import read

DATA = Path(__file__).resolve().parents[3] / "data" / "ner"
LABELS = {"PER", "LOC", "ORG", "TIME", "WORK"}


@pytest.fixture(scope="module")
def splits():
    return {
        name: list(read(NerForm(), DATA / f"{name}.jsonl")) for name in ("train", "dev")
    }


@pytest.mark.parametrize(("name", "least"), [("train", 420), ("dev", 80)])
def test_sample_has_no_bad_line_and_no_copy(name, least):
    report = check(NerForm(), DATA / f"{name}.jsonl")
    assert report["bad_lines"] == []
    assert report["examples"] >= least
    assert {row["label"] for row in report["labels"]} == LABELS
    assert report["duplicates"] == report["conflicts"] == []
    assert 0.1 < report["without_entities"] / report["examples"] < 0.15
    assert report["windows"]["longer"] == 0


def test_dev_is_apart_from_train_and_the_demo_sentence_from_both(splits):
    texts = {name: {one.text for one in split} for name, split in splits.items()}
    assert not texts["train"] & texts["dev"]
    for split in texts.values():
        assert not any(text.startswith("王小明在北京大学读书") for text in split)


def test_some_dev_entities_are_known_and_some_are_new(splits):
    strings = {
        name: {
            (one.text[entity.start : entity.end], entity.label)
            for one in split
            for entity in one.entities
        }
        for name, split in splits.items()
    }
    known = len(strings["dev"] & strings["train"]) / len(strings["dev"])
    assert 0.2 < known < 0.8


def test_spans_hold_whole_strings(splits):
    """Every title in 《》 is one WORK, marks included; nothing else is a WORK."""
    for split in splits.values():
        for one in split:
            titles = [match.span() for match in re.finditer("《[^》]*》", one.text)]
            works = [(e.start, e.end) for e in one.entities if e.label == "WORK"]
            assert works == titles, one
            for entity in one.entities:
                string = one.text[entity.start : entity.end]
                assert string == string.strip(" ，。？！：；、“”（）"), one
