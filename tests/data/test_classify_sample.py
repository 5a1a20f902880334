"""The sample of classify is what its README and its script say."""

import importlib.util
import json
import re
import unicodedata
from collections import Counter

from nlpcli.recipes.classify.form import ClassifyForm
from nlpcli.records.check import check
from nlpcli.samples import sample

FOLDER = sample("classify", "train").parent


def rows(split):
    return [json.loads(line) for line in sample("classify", split).open("rb")]


def test_the_files_are_what_the_script_writes(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("maker", FOLDER / "make.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    (tmp_path / "templates.txt").write_bytes((FOLDER / "templates.txt").read_bytes())
    monkeypatch.setattr(maker, "FOLDER", tmp_path)
    maker.main()
    for name in ("train.jsonl", "dev.jsonl"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_the_readme_counts_its_files_and_names_the_labels():
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert "Apache-2.0" in readme
    for split in ("train", "dev"):
        assert re.search(
            rf"^\| `{split}\.jsonl` \| {len(rows(split))} \|", readme, re.M
        )
    labels = {row["label"] for row in rows("train")}
    assert all(label in readme for label in labels)


def test_no_text_stands_twice_and_none_of_dev_in_train():
    train, dev = ([row["text"] for row in rows(x)] for x in ("train", "dev"))
    assert max(Counter([*train, *dev]).values()) == 1
    for text in [*train, *dev]:
        assert text == unicodedata.normalize("NFC", text).strip() and text.isprintable()


def test_no_sentence_of_dev_has_a_pattern_of_train():
    """Not even where only a filling, a polite word or the end differs."""
    lines = (FOLDER / "templates.txt").read_text("utf-8").splitlines()
    parts = [line.split("\t") for line in lines if line[:1] not in "#"]
    fillings = {name[2:]: text.split() for name, text in parts if name[:1] == "="}
    templates = [text for name, text in parts if name[:1] != "="]

    def matches(template, text):
        pattern = re.escape(template.rstrip("吗吧")).replace(r"\{", "{")
        for name, ways in fillings.items():
            either = "|".join(map(re.escape, ways))
            pattern = pattern.replace(f"{{{name}\\}}", f"(?:{either})")
        return re.fullmatch(f"(请|麻烦|那个，)?{pattern}[吗？。呢吧]*", text)

    found = {"train": set(), "dev": set()}
    for split, own in found.items():
        for row in rows(split):
            known = [t for t in templates if matches(t, row["text"])]
            assert known, row
            own.update(known)
    assert not found["train"] & found["dev"]


def test_every_label_is_as_frequent_and_the_form_reads_all():
    for split in ("train", "dev"):
        report = check(ClassifyForm(), sample("classify", split))
        assert not (report["bad_lines"] or report["conflicts"] or report["duplicates"])
        counts = [row["count"] for row in report["labels"]]
        assert len(counts) == 6 and len(set(counts)) == 1
        assert (report["format"], report["examples"]) == ("jsonl", sum(counts))
