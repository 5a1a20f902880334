"""The sample of simbert is what its README and its script say."""

import importlib.util
import json
import re
import unicodedata
from collections import Counter

from nlpcli.recipes.simbert.form import SimilarityForm
from nlpcli.records.check import check
from nlpcli.samples import sample

FOLDER = sample("simbert", "train").parent


def rows(split):
    return [json.loads(line) for line in sample("simbert", split).open("rb")]


def test_the_files_are_what_the_script_writes(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("maker", FOLDER / "make.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    (tmp_path / "templates.txt").write_bytes((FOLDER / "templates.txt").read_bytes())
    monkeypatch.setattr(maker, "HERE", tmp_path)
    maker.main()
    for name in ("train.jsonl", "dev.jsonl"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_the_readme_counts_its_files():
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert "Apache-2.0" in readme
    for split in ("train", "dev"):
        assert re.search(
            rf"^\| `{split}\.jsonl` \| {len(rows(split))} \|", readme, re.M
        )
    texts = sum(1 + len(row["synonyms"]) for row in rows("train"))
    assert f"{texts} in all" in readme


def test_no_text_stands_twice_and_none_of_dev_in_train():
    train = Counter(t for row in rows("train") for t in [row["text"], *row["synonyms"]])
    dev = {row[key] for row in rows("dev") for key in ("text_a", "text_b")}
    assert max(train.values()) == 1 and not dev & set(train)
    for text in [*train, *dev]:
        assert text == unicodedata.normalize("NFC", text).strip() and text.isprintable()
    assert {2, 3} == {len(row["synonyms"]) for row in rows("train")}


def test_half_of_dev_means_the_same():
    labels = Counter(row["label"] for row in rows("dev"))
    assert labels[0] == labels[1]
    report = check(SimilarityForm(), sample("simbert", "dev"))
    assert not (report["bad_lines"] or report["conflicts"] or report["duplicates"])
