"""Span F1 against seqeval's strict mode, and the cases seqeval papers over."""

import json
import random
import warnings

import pytest

from nlpcli.errors import DataError
from nlpcli.metrics.span_f1 import Counts, score_spans

LABELS = ("PER", "LOC", "ORG")
TAGS = ["O", *(f"{prefix}-{label}" for label in LABELS for prefix in "BI")]


def strict_spans(tags):
    """Spans of an IOB2 sequence, an I without its B being nothing: ten plain lines."""
    spans, start = set(), None
    for place, tag in enumerate([*tags, "O"]):
        if start is not None and tag != f"I-{tags[start][2:]}":
            spans.add((start, place, tags[start][2:]))
            start = None
        if tag.startswith("B-"):
            start = place
    return spans


def random_pairs(seed, sentences):
    """Gold and predicted tags; predictions are gold with noise, or pure noise."""
    random_state = random.Random(seed)
    gold, predicted = [], []
    for _ in range(sentences):
        tags = random_state.choices(TAGS, k=random_state.randrange(1, 25))
        noise = random_state.random()
        gold.append(tags)
        predicted.append(
            [random_state.choice(TAGS) if random_state.random() < noise else tag
             for tag in tags]
        )  # fmt: skip
    return gold, predicted


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_seqeval_strict(seed):
    metrics = pytest.importorskip("seqeval.metrics")
    scheme = pytest.importorskip("seqeval.scheme")
    gold, predicted = random_pairs(seed, sentences=1000)
    scores = score_spans(map(strict_spans, gold), map(strict_spans, predicted))
    strict = {"mode": "strict", "scheme": scheme.IOB2}
    assert scores.micro.precision == pytest.approx(
        metrics.precision_score(gold, predicted, **strict)
    )
    assert scores.micro.recall == pytest.approx(
        metrics.recall_score(gold, predicted, **strict)
    )
    assert scores.micro.f1 == pytest.approx(metrics.f1_score(gold, predicted, **strict))
    assert scores.macro_f1 == pytest.approx(
        metrics.f1_score(gold, predicted, average="macro", **strict)
    )
    report = metrics.classification_report(
        gold, predicted, output_dict=True, digits=12, **strict
    )
    for label in LABELS:
        counts = scores.per_label[label]
        assert counts.f1 == pytest.approx(report[label]["f1-score"])
        assert counts.precision == pytest.approx(report[label]["precision"])
        assert counts.recall == pytest.approx(report[label]["recall"])
        assert counts.gold == report[label]["support"]


def test_each_short_sequence_agrees_with_seqeval():
    metrics = pytest.importorskip("seqeval.metrics")
    scheme = pytest.importorskip("seqeval.scheme")
    gold, predicted = random_pairs(9, sentences=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns of every empty denominator
        for truth, answer in zip(gold, predicted, strict=True):
            micro = score_spans([strict_spans(truth)], [strict_spans(answer)]).micro
            theirs = metrics.f1_score(
                [truth], [answer], mode="strict", scheme=scheme.IOB2
            )
            assert (micro.f1 or 0.0) == pytest.approx(theirs)


def test_ratios_without_denominator_are_none():
    assert Counts(0, 3, 0).precision is None
    assert Counts(0, 3, 0).recall == 0.0
    assert Counts(0, 3, 0).f1 == 0.0
    assert Counts(2, 0, 0).recall is None
    assert Counts(2, 0, 0).f1 == 0.0
    nothing = score_spans([set(), set()], [set(), set()])
    assert nothing.micro == Counts(0, 0, 0)
    assert nothing.micro.f1 is None
    assert nothing.macro_f1 is None


def test_nested_spans_and_the_same_span_under_two_labels():
    gold = [{(0, 4, "ORG"), (0, 2, "LOC")}]
    predicted = [{(0, 4, "ORG"), (0, 2, "ORG"), (0, 2, "LOC")}]
    scores = score_spans(gold, predicted)
    assert scores.micro == Counts(predicted=3, gold=2, correct=2)
    assert scores.per_label["ORG"] == Counts(predicted=2, gold=1, correct=1)
    assert scores.per_label["LOC"] == Counts(predicted=1, gold=1, correct=1)


def test_as_dict_is_json_with_counts_beside_ratios():
    scores = score_spans([{(0, 1, "PER")}, {(2, 3, "LOC")}], [{(0, 1, "PER")}, set()])
    answer = json.loads(json.dumps(scores.as_dict()))
    assert answer["f1"] == pytest.approx(2 / 3)
    assert answer["precision"] == 1.0
    assert (answer["predicted"], answer["gold"], answer["correct"]) == (1, 2, 1)
    assert answer["macro_f1"] == 0.5
    assert list(answer["per_label"]) == ["LOC", "PER"]
    assert answer["per_label"]["LOC"]["precision"] is None


@pytest.mark.parametrize(("gold", "predicted"), [(2, 1), (1, 2)])
def test_streams_of_two_lengths_are_refused(gold, predicted):
    with pytest.raises(DataError, match="text 2: expected as many predictions"):
        score_spans([set()] * gold, [set()] * predicted)
