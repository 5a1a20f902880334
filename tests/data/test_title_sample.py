"""The sample of title is what its README and its script say."""

import importlib.util
import json
import re
import unicodedata
from collections import Counter

from nlpcli.recipes.title.form import TitleForm
from nlpcli.records.check import check
from nlpcli.samples import sample

FOLDER = sample("title", "train").parent
SPLITS = ("train", "dev")


def rows(split):
    return [json.loads(line) for line in sample("title", split).open("rb")]


def maker():
    spec = importlib.util.spec_from_file_location("title_make", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_script_writes(tmp_path, monkeypatch, capsys):
    made = maker()
    (tmp_path / "templates.txt").write_bytes((FOLDER / "templates.txt").read_bytes())
    monkeypatch.setattr(made, "FOLDER", tmp_path)
    made.main()
    for name in ("train.jsonl", "dev.jsonl"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_the_readme_counts_its_files():
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert "Apache-2.0" in readme
    for split in SPLITS:
        count = len(rows(split))
        assert re.search(rf"^\| `{split}\.jsonl` \| {count} \|", readme, re.M)


def test_no_text_stands_twice_and_all_are_clean():
    both = [row for split in SPLITS for row in rows(split)]
    assert max(Counter(row["text"] for row in both).values()) == 1
    for row in both:
        assert list(row) == ["text", "title"]
        assert 80 <= len(row["text"]) <= 120 and 8 <= len(row["title"]) <= 24
        for text in row.values():
            assert text == unicodedata.normalize("NFC", text).strip()
            assert text.isprintable() and not re.search("[{}]", text)


def test_no_text_of_dev_has_a_pattern_of_train():
    made = maker()
    content = (FOLDER / "templates.txt").read_text("utf-8")
    templates, fillings = made.read_templates(content)

    def fits(template, text):
        pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
        for name, ways in fillings.items():
            pattern = pattern.replace(f"{{{name}}}", f"(?:{'|'.join(ways)})")
        return re.fullmatch(pattern, text)

    found = {
        split: {
            i
            for i, (_, text) in enumerate(templates)
            if any(fits(text, row["text"]) for row in rows(split))
        }
        for split in SPLITS
    }
    assert len(found["train"]) == 32 and len(found["dev"]) == 8
    assert not found["train"] & found["dev"]


def test_the_form_reads_all():
    for split in SPLITS:
        report = check(TitleForm(), sample("title", split))
        assert not (report["bad_lines"] or report["conflicts"] or report["duplicates"])
        assert report["format"] == "jsonl"
