"""Bad files of triples and of pairs through the real command: one line, exit code 4."""

import json

import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app

TRIPLE = {"subject": "三体", "predicate": "作者", "object": "刘慈欣"}
GOOD = {"text": "《三体》的作者是刘慈欣。", "spo_list": [TRIPLE]}
NO_OBJECT = {**GOOD, "spo_list": [{**TRIPLE, "object": "莫言"}]}
SCHEMA = {
    "subject_type": "影视作品",
    "predicate": "导演",
    "object_type": {"@value": "人物"},
}


@pytest.fixture
def write(tmp_path):
    def written(name, *rows):
        path = tmp_path / name
        lines = [
            row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)
            for row in rows
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return written


@pytest.fixture
def train(tmp_path):
    def trained(recipe, path, *words):
        words = ["--data", path, "--dev", path, "--out", tmp_path / "run", *words]
        told = ["train", recipe, "--max-steps", "1", *map(str, words)]
        return CliRunner().invoke(app, told)

    return trained


def fails(done, tmp_path, *needles):
    assert done.exit_code == 4, done.output
    (error,) = [x for x in done.stderr.splitlines() if x.startswith("nlpcli: error")]
    for needle in needles:
        assert needle in error
    assert not (tmp_path / "run").exists()


def test_an_object_that_is_not_in_the_text(write, train, tmp_path):
    path = write("a.jsonl", GOOD, NO_OBJECT)
    told = "a.jsonl:2: triple 1: object: '莫言' is not in the text"
    fails(train("triple-extract", path), tmp_path, told)
    done = train("triple-extract", path, "--skip-bad")
    assert done.exit_code == 0, done.output
    assert "1 bad line skipped" in done.stderr
    assert done.stderr.count("skipped") == 2, "once for each file, not for each pass"


def test_such_objects_are_counted_and_reported(write):
    path = write("a.jsonl", GOOD, NO_OBJECT)
    words = ["data", "check", str(path), "--task", "triple-extract", "--json"]
    done = CliRunner().invoke(app, words)
    assert json.loads(done.stdout)["not_inside"] == 1


def test_a_predicate_that_the_schema_lacks(write, train, tmp_path):
    path, schema = write("a.jsonl", GOOD), write("schema.jsonl", SCHEMA)
    done = train("triple-extract", path, "--set", f"task.schema={schema}")
    told = "a.jsonl:1: triple 1: expected a predicate of the schema, got '作者'"
    fails(done, tmp_path, told)


def test_a_pair_with_another_column_count(write, train, tmp_path):
    path = write("pairs.txt", "甲乙\t丙丁\t1", "甲\t乙")
    told = "pairs.txt:2: expected 3 columns between tabs, as the first line has, got 2"
    fails(train("simbert", path), tmp_path, told)
    fails(train("simbert", write("one.txt", "只有一句")), tmp_path, "one.txt:1")
