"""The recipe: targets, windows, scores, both models from a file to an answer."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from nlpcli.config.loader import resolve
from nlpcli.engine.evaluate import evaluate_run
from nlpcli.engine.predict import Predictor
from nlpcli.engine.train import train
from nlpcli.errors import DataError
from nlpcli.recipes.triple_extract.form import Triple, TripleExample
from nlpcli.recipes.triple_extract.recipe import build_recipe
from nlpcli.records.read import read
from nlpcli.samples import sample
from nlpcli.tasks.protocol import Setup
from nlpcli.text.tokenizers.load import tiny_tokenizer
from nlpcli.text.windows import Window

TEXT = "王明写了春和秋，王明是北京人。"
TRIPLES = (
    Triple((0, 2), "作品", (4, 5)),
    Triple((0, 2), "作品", (6, 7)),
    Triple((8, 10), "出生地", (11, 13)),
)


def make(model="gplinker", **flags):
    keys = {"task.model": model, **flags}
    config = resolve("triple-extract", flags=keys)
    recipe = build_recipe(Setup(config, tiny_tokenizer(), None))
    recipe.learn(TripleExample(TEXT, TRIPLES))
    return recipe


def targets(recipe, text=TEXT, triples=TRIPLES):
    example = TripleExample(text, triples)
    [windows] = recipe.encode([example], gold=True)
    return [
        {name: a.tolist() for name, a in recipe.targets(example, window).items()}
        for _, window in windows
    ]


def test_targets_of_both_models():
    assert targets(make("casrel")) == [
        {
            "subjects": [[0, 1], [8, 9]],
            "triples": [[0, 1, 0, 4, 4], [0, 1, 0, 6, 6], [8, 9, 1, 11, 12]],
        }
    ]
    assert targets(make()) == [
        {
            "entities": [[0, 0, 1], [0, 8, 9], [1, 4, 4], [1, 6, 6], [1, 11, 12]],
            "starts": [[0, 0, 4], [0, 0, 6], [1, 8, 11]],
            "lasts": [[0, 1, 4], [0, 1, 6], [1, 9, 12]],
        }
    ]


@pytest.mark.parametrize("model", ["casrel", "gplinker"])
def test_a_window_learns_the_triples_that_it_holds_whole(model):
    recipe = make(model, **{"data.max_length": 64, "data.stride": 16})
    filler = "天" * 90
    shifted = tuple(
        Triple(
            tuple(i + 90 for i in t.subject),
            t.predicate,
            tuple(i + 90 for i in t.object),
        )
        for t in TRIPLES
    )
    across = Triple((0, 2), "作品", shifted[0].object)
    key = "triples" if model == "casrel" else "starts"
    found = targets(recipe, TEXT[:2] + filler[2:] + TEXT, (*shifted, across))
    assert len(found) > 1
    sizes = [len(one[key]) for one in found]
    assert sizes[0] == 0 and max(sizes) == 3, "the triple across windows is in none"


def test_windows_answer_together():
    recipe = make()
    text = "甲" * 20
    example = TripleExample(text, ())
    first = Window(0, 12, 0, 10, 0, 12)
    second = Window(8, 20, 10, 20, 8, 20)
    whole = ((9, 10), 0, (10, 11), 0.9)
    answer = recipe.merge(
        example,
        [
            (first, [whole, ((1, 2), 1, (9, 12), 0.8)]),
            (second, [((1, 2), 0, (2, 3), 0.95), ((0, 2), 0, (5, 6), 0.8)]),
        ],
    )["spo_list"]
    assert [(a["subject_span"], a["object_span"], a["score"]) for a in answer] == [
        ([9, 10], [10, 11], 0.95)
    ], "the same triple once; what touches a cut edge is left to the other window"


def test_scores_by_strings_and_by_spans():
    recipe = make()
    example = TripleExample(TEXT, TRIPLES)
    answer = recipe.gold(example)
    moved = [
        {**spo, "subject_span": [8, 10]} if spo["object"] == "春" else spo
        for spo in answer
    ]
    scores = recipe.score([example], [{"spo_list": moved[:2]}])
    assert scores["predicted"] == 2 and scores["gold"] == 3 and scores["correct"] == 2
    assert scores["f1"] == pytest.approx(0.8)
    assert scores["span_f1"] == pytest.approx(0.4)
    assert scores["per_label"]["出生地"]["recall"] == 0
    nothing = recipe.score([example], [{"spo_list": []}])
    assert (nothing["precision"], nothing["f1"]) == (None, 0)


def test_casrel_asks_for_the_objects_of_each_subject():
    """A stand-in for the model: the second stage gets as many subjects as rows."""
    recipe = make("casrel")
    length, calls = 6, []

    def forward(batch):
        calls.append(batch)
        if "candidates" not in batch:
            subjects = np.full((2, length, 2), -9.0)
            for start, last in ((0, 1), (3, 3), (4, 5)):
                subjects[0, start, 0] = subjects[0, last, 1] = 9.0
            states = np.arange(2 * length).reshape(2, length, 1)
            return {"subjects": subjects, "hidden_states": states}
        objects = np.full((2, length, 2, 2), -9.0)
        for row, (_, last) in enumerate(batch["candidates"]):
            objects[row, last, 1] = 9.0  # each subject's object is its last character
        return {"objects": objects}

    mask = np.ones((2, length), bool)
    batch = {"token_ids": np.zeros((2, 8), np.int32), "char_mask": mask}
    found = recipe.predict(forward, batch)
    spans = [(triple[0], triple[1], triple[2]) for triple in found[0]]
    assert spans == [
        ((0, 2), 1, (1, 2)), ((3, 4), 1, (3, 4)), ((4, 6), 1, (5, 6)),
    ]  # fmt: skip
    assert found[1] == []
    assert [len(call.get("candidates", ())) for call in calls] == [0, 2, 2]


@pytest.mark.slow
def test_a_run_answers_with_types_and_resumes_its_draws(tmp_path):
    """Stopped in the middle or not: the same weights, so the same draws."""
    schema = sample("triple-extract", "train").with_name("schema.jsonl")
    flags = {
        "task.model": "casrel",
        "task.schema": str(schema),
        "train.max_steps": 4,
        "data.limit": 40,
        "data.dev_limit": 4,
        "runtime.tensorboard": False,
    }
    config = resolve("triple-extract", flags=flags)
    whole = train(config, out=tmp_path / "whole")
    halted(config, tmp_path / "half", 2)
    train(config, resume=tmp_path / "half")
    weights = [
        (run / "last" / "model.safetensors").read_bytes()
        for run in (whole.run, tmp_path / "half")
    ]
    assert weights[0] == weights[1]
    state = json.loads((whole.run / "best" / "task.json").read_text("utf-8"))["task"]
    assert state["predicates"] == list(state["schema"])
    scores = evaluate_run(whole.run, "triple-extract")
    assert scores["gold"] > 0
    predictor = Predictor(whole.run, "triple-extract")
    answers = predictor.predict(["", "  ", "《三体》的作者刘慈欣出生于北京" * 40])
    assert answers[:2] == [{"spo_list": []}] * 2
    assert predictor.recipe._types("作者") == {
        "subject_type": "图书作品",
        "object_type": "人物",
    }


def halted(config, out, step):
    """Train until a step and stop as Ctrl-C does."""
    from nlpcli.engine.loop import Loop

    original = Loop.train_on

    def train_on(self, features):
        result = original(self, features)
        if self.state.step == step:
            self.stop.set()
        return result

    Loop.train_on = train_on
    try:
        assert train(config, out=out).status == "interrupted"
    finally:
        Loop.train_on = original


def test_texts_without_triples_cannot_be_trained_on():
    config = resolve("triple-extract")
    recipe = build_recipe(Setup(config, tiny_tokenizer(), None))
    recipe.learn(TripleExample("天气很好", ()))
    backbone = SimpleNamespace(
        config=SimpleNamespace(hidden_size=8, hidden_dropout_prob=0.0)
    )
    with pytest.raises(DataError, match="expected triples"):
        recipe.build(backbone)
    with pytest.raises(DataError, match="expected a predicate of the training data"):
        recipe.meet(TripleExample(TEXT, TRIPLES, "dev.jsonl:1"))


def test_a_run_keeps_its_schema_and_asks_for_no_file(tmp_path):
    """The schema's file may be gone when a run is used; what was in it still counts."""
    schema = tmp_path / "schema.jsonl"
    names = ("作品", "出生地", "配偶")
    rows = [
        {"subject_type": "人物", "predicate": name, "object_type": "值"}
        for name in names
    ]
    schema.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    recipe = make(**{"task.schema": str(schema)})
    state = json.loads(json.dumps(recipe.state()))
    assert state["predicates"] == list(names), "the file's order, unseen ones too"
    schema.unlink()
    config = resolve("triple-extract", flags={"task.schema": str(schema)})
    again = build_recipe(Setup(config, tiny_tokenizer(), None))
    again.restore(state)
    assert again.state() == state
    data = tmp_path / "a.jsonl"
    spo = [{"subject": "王明", "predicate": "死", "object": "春"}]
    data.write_text(json.dumps({"text": TEXT, "spo_list": spo}), "utf-8")
    told, example = read(again.form, data)
    assert "expected a predicate of the schema" in str(told)
    assert example.triples == ()
