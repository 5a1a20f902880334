"""What every recipe must do, found by itself: train, evaluate, predict, batch = single.

A recipe adds nothing here; what is special in it has a test file of its own.
"""

import random

import pytest

from nlpcli.config_loader import resolve
from nlpcli.engine.evaluate import evaluate_run
from nlpcli.engine.predict import Predictor
from nlpcli.engine.train import train
from nlpcli.recipe import list_recipes
from nlpcli.samples import sample
from nlpcli.text.lines import read_json_lines

RECIPES = [entry.name for entry in list_recipes()]
# The variants of a recipe's task that answer through different code.
VARIANTS = {"ner": [{"task.head": "crf"}, {"task.head": "global-pointer"}]}
CASES = [(name, flags) for name in RECIPES for flags in VARIANTS.get(name, [{}])]
REAL = {"ner": "datasets/ner/cluener.dev.jsonl"}
TOLERANCE = {"float32": 2e-3, "bfloat16": 0.2}


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def trained(request, tmp_path_factory):
    """A run of a few seconds: enough to answer something."""
    name, flags = request.param
    config = resolve(name, flags={**flags, "train.max_steps": 60, "train.lr": 1e-3})
    result = train(config, out=tmp_path_factory.mktemp(name) / "run")
    assert result.status == "finished"
    return name, result.run


def test_two_steps_evaluate_predict(trained, tmp_path):
    name, run = trained
    scores = evaluate_run(run, name, predictions=tmp_path / "out.jsonl")
    assert scores["examples"] == sum(1 for _ in read_json_lines(sample(name, "dev")))
    rows = [row for _, row in read_json_lines(tmp_path / "out.jsonl")]
    assert len(rows) == scores["examples"]
    answers = Predictor(run, name).predict([rows[0]["text"], ""])
    assert len(answers) == 2


def answers_of(predictor, texts, size):
    out = []
    for start in range(0, len(texts), size):
        out += predictor.predict(texts[start : start + size])
    return out


def assert_same(one, other, tolerance):
    """Equal answers; scores, and what hangs on a score near a threshold, within it."""
    assert len(one) == len(other)
    different = sum(
        without_scores(a) != without_scores(b) for a, b in zip(one, other, strict=True)
    )
    allowed = 0 if tolerance < 0.01 else len(one) * 0.02
    assert different <= allowed, f"{different} of {len(one)} answers differ"
    for a, b in zip(one, other, strict=True):
        if without_scores(a) == without_scores(b):
            for x, y in zip(scores_in(a), scores_in(b), strict=True):
                assert x == pytest.approx(y, abs=tolerance)


def without_scores(value):
    if isinstance(value, dict):
        return {k: without_scores(v) for k, v in value.items() if k != "score"}
    if isinstance(value, list):
        return [without_scores(v) for v in value]
    return value


def scores_in(value):
    if isinstance(value, dict):
        own = [value["score"]] if "score" in value else []
        return own + [s for v in value.values() for s in scores_in(v)]
    return [s for v in value for s in scores_in(v)] if isinstance(value, list) else []


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("source", ["sample", "real"])
def test_batch_equals_single(trained, shared, precision, source):
    name, run = trained
    if source == "real" and precision != "float32":
        pytest.skip("real sentences are compared in float32 only, for time")
    path = sample(name, "dev") if source == "sample" else shared(REAL[name])
    texts = [row["text"] for _, row in read_json_lines(path)][:500]
    predictor = Predictor(run, name, precision=precision)
    together = answers_of(predictor, texts, 32)
    order = list(range(len(texts)))
    random.Random(0).shuffle(order)
    shuffled = answers_of(predictor, [texts[i] for i in order], 32)
    back = [shuffled[order.index(i)] for i in range(len(texts))]
    single = answers_of(predictor, texts, 1)
    assert any(scores_in(answer) for answer in together), "nothing was answered"
    assert_same(single, together, TOLERANCE[precision])
    assert_same(back, together, TOLERANCE[precision])
