"""What every recipe must do, found by itself: train, evaluate, answer, batch = single.

A recipe adds nothing here; what is special in it has a test file of its own.
"""

import random

import numpy as np
import pytest

from nlpcli.config.loader import resolve
from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.evaluate import evaluate_run
from nlpcli.engine.generate import Generator
from nlpcli.engine.loaded import open_run
from nlpcli.engine.predict import Predictor
from nlpcli.engine.scoring import Gold
from nlpcli.engine.train import train
from nlpcli.errors import UsageError
from nlpcli.heads.sequence_model import SequenceModel
from nlpcli.recipe import list_recipes
from nlpcli.records.read import read_rows
from nlpcli.samples import sample
from tests.slow import first_is_quick

TRAINED = [entry for entry in list_recipes() if "train" in entry.verbs]
RECIPES = [entry.name for entry in TRAINED]
WRITERS = {entry.name for entry in TRAINED if "generate" in entry.verbs}
# The variants of a recipe's task that answer through different code.
VARIANTS = {
    "ner": [{"task.head": "crf"}, {"task.head": "global-pointer"}],
    "couplet": [{"task.model": "unilm"}, {"task.model": "nar"}],
    "triple-extract": [
        {"task.model": model, "train.head_lr": 5e-3, "train.ema": None}
        for model in ("gplinker", "casrel")
    ],
}
STEPS = {"ner": 60, "triple-extract": 100}  # these must find something
# What others write or score is compared, however little they have learnt.
LITTLE = {"backbone.hidden_size": 32, "backbone.num_hidden_layers": 1}
DEV = 24


def variants(name):
    """The cases of a recipe, a quick one first: it does not wait for XLA."""
    known = VARIANTS.get(name, [{}])
    return [{**known[0], "runtime.xla": "off"}, *known] if name in WRITERS else known


CASES = [
    case
    for name in RECIPES
    for case in first_is_quick([(name, flags) for flags in variants(name)])
]
REAL = {"ner": "datasets/ner/cluener.dev.jsonl"}
TOLERANCE = {"float32": 2e-3, "bfloat16": 0.2}


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def trained(request, tmp_path_factory):
    """A run of a few seconds: enough to answer something."""
    name, flags = request.param
    steps = {"train.max_steps": STEPS.get(name, 10), "train.lr": 1e-3}
    size = {} if name in STEPS else LITTLE
    config = resolve(name, flags={**flags, **steps, **size, "data.dev_limit": DEV})
    result = train(config, out=tmp_path_factory.mktemp(name) / "run")
    assert result.status == "finished"
    return name, result.run


def test_two_steps_evaluate_predict(trained, tmp_path):
    name, run = trained
    lines = sample(name, "dev").read_text("utf-8").splitlines(keepends=True)[:DEV]
    data = tmp_path / "dev.jsonl"
    data.write_text("".join(lines), "utf-8")
    scores = evaluate_run(run, name, Gold(data, tmp_path / "out.jsonl"))
    assert scores["examples"] == len(lines)
    rows = list(read_rows(tmp_path / "out.jsonl"))
    assert len(rows) == scores["examples"]
    answers = open_answerer(name, run)([rows[0]["text"], ""])
    assert len(answers) == 2


def open_answerer(name, run, precision=None):
    """A run as a function from texts to answers."""
    if name not in WRITERS:
        return Predictor(run, name, precision=precision).predict
    generator = Generator(run, name, precision=precision)
    searched = GenerateOptions(beam=2, num=1, max_length=12)
    return lambda texts: generator.generate(texts, searched)


def test_int8_is_for_what_writes_token_after_token(trained):
    name, run = trained
    if isinstance(open_run(run, name).model, SequenceModel):
        generator = Generator(run, name, quantize="int8")
        asked = GenerateOptions(beam=2, num=1, max_length=6)
        row = next(iter(read_rows(sample(name, "dev"))))
        (answer,) = generator.generate([text_of(row)], asked)
        assert np.isfinite(scores_in(answer)).all()
    else:
        with pytest.raises(UsageError, match="--quantize int8"):
            open_run(run, name, quantize="int8")


def answers_of(answer, texts, size):
    out = []
    for start in range(0, len(texts), size):
        out += answer(texts[start : start + size])
    return out


def assert_same(one, other, tolerance):
    """Equal answers; scores, and what hangs on a score near a threshold, within it."""
    assert len(one) == len(other)
    different = sum(
        without_scores(a) != without_scores(b) for a, b in zip(one, other, strict=True)
    )
    # after sixty steps a tag in twenty sentences or so is a near tie in half precision
    allowed = 0 if tolerance < 0.01 else len(one) * 0.04
    assert different <= allowed, f"{different} of {len(one)} answers differ"
    for a, b in zip(one, other, strict=True):
        if without_scores(a) == without_scores(b):
            for x, y in zip(scores_in(a), scores_in(b), strict=True):
                assert x == pytest.approx(y, abs=tolerance)


def without_scores(value):
    if isinstance(value, dict):
        own = scores_of(value)
        return {k: without_scores(v) for k, v in value.items() if k not in own}
    if isinstance(value, list):
        return [without_scores(v) for v in value]
    return value


def scores_in(value):
    if isinstance(value, dict):
        own = list(scores_of(value).values())
        return own + [s for v in value.values() for s in scores_in(v)]
    return [s for v in value for s in scores_in(v)] if isinstance(value, list) else []


def scores_of(answer):
    """A label's is its probability."""
    names = ("score", "probability") if "label" in answer else ("score",)
    return {name: answer[name] for name in names if name in answer}


@pytest.mark.parametrize("precision", first_is_quick(["float32", "bfloat16"]))
@pytest.mark.parametrize("source", first_is_quick(["sample", "real"]))
def test_batch_equals_single(trained, shared, precision, source):
    name, run = trained
    if source == "real" and (precision != "float32" or name not in REAL):
        pytest.skip("real sentences are compared in float32 and for ner, for time")
    if name in WRITERS and precision != "float32":
        pytest.skip("half precision ties break anywhere: what is written may differ")
    path = sample(name, "dev") if source == "sample" else shared(REAL[name])
    texts = [text_of(row) for row in read_rows(path)][: 500 if name == "ner" else DEV]
    answer = open_answerer(name, run, precision)
    together = answers_of(answer, texts, 32)
    order = list(range(len(texts)))
    random.Random(0).shuffle(order)
    shuffled = answers_of(answer, [texts[i] for i in order], 32)
    back = [shuffled[order.index(i)] for i in range(len(texts))]
    single = answers_of(answer, texts, 1)
    assert any(scores_in(found) for found in together), "nothing was answered"
    assert_same(single, together, TOLERANCE[precision])
    assert_same(back, together, TOLERANCE[precision])


def text_of(row):
    """What a user would type for a row of data."""
    if "turns" in row:
        return "|".join(row["turns"][:-1])
    names = ("text", "first", "question", "passage", "text_a")
    return next(row[name] for name in names if name in row)
