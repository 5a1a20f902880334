"""Exports where runs may be: in `evaluate`, and in `index`, without TensorFlow."""

import json

import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.engine.embed import Embedder
from nlpcli.engine.export_engine import export_engine
from nlpcli.engine.exported import ExportDir, ExportedRun
from nlpcli.samples import sample
from tests.untrained_run import untrained
from tests.without_tensorflow import answered

pytest.importorskip("openvino")
TEXTS = ["花呗如何还款", "怎么还花呗", "今天天气怎么样"]


def nlpcli(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def scores(*words):
    found = nlpcli("evaluate", "ner", *words, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def ner(tmp_path_factory):
    """A run, its export, and a file of gold."""
    folder = tmp_path_factory.mktemp("ner")
    run = untrained(folder / "run", "ner")
    export_engine(run, folder / "out", "openvino")
    lines = sample("ner", "dev").read_text(encoding="utf-8").splitlines()[:20]
    (folder / "gold.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_an_export_scores_as_its_run_does(ner, tmp_path):
    gold = ("--data", ner / "gold.jsonl")
    expected = scores("--run", ner / "run", *gold)
    answers = tmp_path / "answers.jsonl"
    found = scores("--run", ner / "out", *gold, "--predictions", answers)
    assert found["run"] == str(ner / "out")
    assert expected["predicted"] > 0
    apart = {"run", "seconds"}
    assert {k: v for k, v in found.items() if k not in apart} == {
        k: v for k, v in expected.items() if k not in apart
    }
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len(rows) == 20 and {"text", "gold", "entities"} <= rows[0].keys()


def test_a_run_is_scored_in_the_precision_that_is_asked(ner):
    gold = ("--data", ner / "gold.jsonl")
    whole = scores("--run", ner / "run", *gold)
    half = scores("--run", ner / "run", *gold, "--precision", "bfloat16")
    assert half["examples"] == whole["examples"] == 20


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["out", "--quantize", "int8"], "--quantize: does not go together"),
        (["out", "--engine", "onnx"], "holds programs of OpenVINO"),
        (["out", "--precision", "float16"], "float32 or bfloat16"),
        (["run", "--engine", "openvino"], "expected an export"),
    ],
)
def test_what_does_not_go_together_is_one_line(ner, words, told):
    run, *more = words
    found = nlpcli("evaluate", "ner", "--run", ner / run, *more)
    assert found.exit_code == 2, found.output
    assert told in " ".join(found.stderr.split())


@pytest.fixture(scope="module")
def simbert(tmp_path_factory):
    """A run that makes vectors, its export, and a file of texts."""
    folder = tmp_path_factory.mktemp("simbert")
    run = untrained(folder / "run", "simbert", {"task.objective": "simcse"}.items())
    export_engine(run, folder / "out", "openvino")
    (folder / "faq.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return folder


def test_a_fingerprint_is_of_programs_and_reading(simbert, tmp_path):
    first = ExportedRun(ExportDir.open(simbert / "out")).vectors().fingerprint
    assert first == ExportedRun(ExportDir.open(simbert / "out")).vectors().fingerprint
    assert first != Embedder.open(simbert / "run").fingerprint
    small = tmp_path / "small"
    export_engine(simbert / "run", small, "openvino", quantize="int8")
    assert first != ExportedRun(ExportDir.open(small)).vectors().fingerprint


def test_an_index_is_built_and_searched_by_an_export(simbert, tmp_path):
    pytest.importorskip("lancedb")
    index, faq = tmp_path / "faq.idx", simbert / "faq.txt"
    words = ("index", "build", index, "--input", faq, "--run", simbert / "out")
    built = nlpcli(*words)
    assert built.exit_code == 0, built.output
    assert "3 added" in built.stdout
    found = answered("index", "search", index, TEXTS[0], "--format", "json")
    hit = json.loads(found)["hits"][0]
    assert hit["text"] == TEXTS[0] and hit["score"] == pytest.approx(1, abs=1e-4)
    other = nlpcli("index", "search", index, TEXTS[0], "--run", simbert / "run")
    assert other.exit_code == 5, other.output
    shaped = nlpcli(*words, "--force", "--pooling", "cls")
    assert shaped.exit_code == 2
    assert "is an export" in shaped.stderr
