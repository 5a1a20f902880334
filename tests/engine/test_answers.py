"""Lines to answers, in order: bad lines in their place, windows merged, gold scored."""

from types import SimpleNamespace

import numpy as np
import pytest

from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.answers import answer_all, answering, ask_all
from nlpcli.errors import DataError, UsageError
from nlpcli.records.row import Row
from nlpcli.runtime.batches import Plan
from nlpcli.tasks.protocol import Answers, EncodedWindow, Fits, Recipe, Tunes, Writes
from nlpcli.text.batching import Bound, Field
from nlpcli.text.windows import whole_window

FIELDS = {
    "token_ids": Field(("tokens",), 0, tokens=True),
    "padding_mask": Field(("tokens",), False),
}


class Base(Recipe):
    """Texts of letters; a window for each two of them. A text "bad" is refused."""

    main_score = "share"
    fields = FIELDS

    def __init__(self):
        self.did = []

    def ask(self, row):
        if "pair" in row:
            return SimpleNamespace(text="+".join(row.items("pair")), origin="")
        if row.string("text") == "bad":
            raise DataError("expected a good text")
        return SimpleNamespace(text=row.string("text"), origin="")

    def encode(self, examples, gold):
        self.did.append(("encode", len(examples), gold))
        return [[self.window(part) for part in parts_of(x.text)] for x in examples]

    def window(self, part):
        ids = np.array([ord(c) for c in part], np.int32)
        features = {"token_ids": ids, "padding_mask": np.ones(len(ids), bool)}
        return EncodedWindow(features, whole_window(len(part)))

    def build(self, backbone):
        raise NotImplementedError

    def gold(self, example):
        return None

    def score(self, examples, answers):
        return {"share": 1.0}


def parts_of(text):
    return [text[i : i + 2] for i in range(0, len(text), 2)]


class Predicts(Base, Answers):
    """Predicts each window's letters turned round."""

    def predict(self, forward, batch):
        self.did.append(("predict", len(batch["token_ids"])))
        forward(batch)
        rows = [[chr(i) for i in row if i] for row in batch["token_ids"]]
        return ["".join(reversed(row)) for row in rows]

    def merge(self, example, parts):
        return {"found": [part for _, part in parts]}


class Forward:
    def __init__(self):
        self.model = "model"

    def plan(self, fields, batch_size):
        return Plan(fields, Bound(batch_size))

    def __call__(self, batch):
        return {"vectors": batch["token_ids"] * 2}


def test_bad_lines_keep_their_place():
    lines = ["ab", "bad", Row({"pair": ["x", "y"]}), Row({"text": 3}), ""]
    asked = ask_all(Base(), lines)
    assert [example.text for example in asked.examples] == ["ab", "x+y", ""]
    assert asked.numbers == [0, 2, 4]
    late = DataError("too late")
    first, bad, pair, typed, last = asked.answers([{"n": 1}, {"n": 2}, late])
    assert (first, str(bad)) == ({"n": 1}, "expected a good text")
    assert pair == {"text": "x+y", "n": 2}, "a row without a text is told one"
    assert str(typed) == 'expected a string for "text", got 3'
    assert last is late


def test_windows_go_through_together_and_come_back_to_their_texts():
    recipe = Predicts()
    examples = ask_all(recipe, ["abcde", "", "xy", "pq"]).examples
    found = answer_all(recipe, Forward(), examples, 2)
    assert found == [
        {"found": ["ba", "dc", "e"]},
        {"found": []},
        {"found": ["yx"]},
        {"found": ["qp"]},
    ]
    assert recipe.did == [("encode", 4, False), *[("predict", n) for n in (2, 2, 1)]]
    assert answer_all(recipe, Forward(), [], 2) == []


def test_a_recipe_that_cannot_says_so():
    with pytest.raises(UsageError, match="expected a recipe that predicts"):
        answer_all(Base(), Forward(), [], 2)


def test_what_is_fitted_and_tuned_comes_before_the_answers():
    class Both(Predicts, Fits, Tunes):
        def fit(self, model, run):
            features = [self.window("ab").features, self.window("c").features]
            self.did.append(
                ("fit", model, [r.tolist() for r in run(features, "vectors")])
            )

        def tune(self, examples, parts):
            self.did.append(("tune", [x.text for x in examples], list(parts)))

    for tuning in (True, False):
        recipe = Both()
        answer = answering(recipe, Forward(), None, 2, tuning)
        examples = ask_all(recipe, ["ab", "", "cd"]).examples
        assert len(answer(examples)) == 3
        fitted = ("fit", "model", [[194, 196], [198, 0]])
        told = [("tune", ["ab", "cd"], ["ba", "dc"])] * tuning
        assert recipe.did == [fitted, ("encode", 3, False), ("predict", 2), *told]


class Writer(Base, Writes):
    """Writes its text again; an empty one cannot be answered."""

    defaults = GenerateOptions(beam=2, num=1)

    def write(self, decode, examples, options):
        assert options is self.defaults
        return [
            {"outputs": [{"text": x.text}]} if x.text else DataError("nothing to say")
            for x in examples
        ]


class Decode:
    """-log p is 1 a letter."""

    def loss(self, features):
        return [(float(len(f["token_ids"])), len(f["token_ids"])) for f in features]


def test_generated_answers_carry_the_loss_of_all_windows_of_their_gold():
    recipe = Writer()
    answer = answering(recipe, Forward(), Decode(), 2)
    found = answer(ask_all(recipe, ["abc", "", "xy"]).examples)
    assert found == [
        {"outputs": [{"text": "abc"}], "nll": 3.0, "target_tokens": 3},
        {"outputs": [], "nll": 0, "target_tokens": 0},
        {"outputs": [{"text": "xy"}], "nll": 2.0, "target_tokens": 2},
    ]
    assert recipe.did == [("encode", 3, True)]


def test_what_predicts_and_writes_is_scored_by_its_predictions():
    class Both(Predicts, Writes):
        defaults = GenerateOptions()

        def write(self, decode, examples, options):
            raise AssertionError("not asked")

    recipe = Both()
    answer = answering(recipe, Forward(), Decode(), 2)
    assert answer(ask_all(recipe, ["ab"]).examples) == [{"found": ["ba"]}]
