"""Triple scores against brute force, and what DuIE's script calls equal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError
from nlpcli.metrics.triples import (
    normalise_argument,
    score_span_triples,
    score_triples,
)

NOVEL = ("邪少兵王", "作者", "冰火未央")
FILM = ("喜剧之王", "主演", "周星驰")
SONG = ("晴天", "歌手", "周杰伦")


def test_by_hand():
    scores = score_triples([[NOVEL, FILM], [SONG]], [[NOVEL, SONG], []])
    assert scores.as_dict() == {
        "f1": pytest.approx(0.4),
        "precision": 0.5,
        "recall": pytest.approx(1 / 3),
        "predicted": 2,
        "gold": 3,
        "correct": 1,
        "per_predicate": {
            "主演": {
                "f1": 0.0, "precision": None, "recall": 0.0,
                "predicted": 0, "gold": 1, "correct": 0,
            },
            "作者": {
                "f1": 1.0, "precision": 1.0, "recall": 1.0,
                "predicted": 1, "gold": 1, "correct": 1,
            },
            "歌手": {
                "f1": 0.0, "precision": 0.0, "recall": 0.0,
                "predicted": 1, "gold": 1, "correct": 0,
            },
        },
    }  # fmt: skip


def test_nothing_predicted_has_no_precision():
    scores = score_triples([[NOVEL, FILM]], [[]]).as_dict()
    assert scores["precision"] is None
    assert (scores["recall"], scores["f1"]) == (0.0, 0.0)
    assert (scores["predicted"], scores["gold"], scores["correct"]) == (0, 2, 0)
    assert '"precision": null' in json.dumps(scores)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("《喜剧之王》", "喜剧之王"),
        ("《喜剧之王", "《喜剧之王"),
        ("电影《喜剧之王》", "电影《喜剧之王》"),
        ("《红》与《黑》", "红》与《黑"),
        ("《《诗》》", "《诗》"),
        ("《》", ""),
        ("《", "《"),
        ("", ""),
        ("诗", "诗"),
        ("Twins", "twins"),
        ("《Hello World》", "hello world"),
        (" Twins ", " twins "),  # the script keeps spaces
        ("Ｔ", "ｔ"),  # and full width
    ],
)
def test_normal_form(text, normal):
    assert normalise_argument(text) == normal


def test_strings_are_compared_in_normal_form():
    scores = score_triples(
        [[("《Titanic》", "主演", "Leo")]],
        [[("titanic", "主演", "LEO"), ("Titanic", "主演", "《leo》")]],
    )
    micro = scores.micro
    assert (micro.predicted, micro.gold, micro.correct) == (1, 1, 1)


def test_predicate_and_direction_count():
    for other in [("邪少兵王", "作者 ", "冰火未央"), ("冰火未央", "作者", "邪少兵王")]:
        assert score_triples([[NOVEL]], [[other]]).micro.correct == 0


def test_spans_tell_repeated_mentions_apart():
    first, second = ((0, 4), "作者", (6, 10)), ((12, 16), "作者", (6, 10))
    micro = score_span_triples([[first, second]], [[second, ((0, 3), "作者", (6, 10))]])
    assert (micro.micro.predicted, micro.micro.gold, micro.micro.correct) == (2, 2, 1)
    assert score_span_triples([[first]], [[first, first]]).micro.f1 == 1.0


def test_edges():
    nothing = score_triples([], []).as_dict()
    assert nothing == score_span_triples([[]], [[]]).as_dict()
    assert nothing["f1"] is nothing["precision"] is nothing["recall"] is None
    assert nothing["per_predicate"] == {}
    assert score_triples([[SONG]] * 5, [[SONG]] * 5).micro.correct == 5
    assert score_triples([[("", "", "")]], [[("", "", "")]]).micro.f1 == 1.0
    for score in (score_triples, score_span_triples):
        with pytest.raises(DataError, match="got 2 for 1"):
            score([[], []], [[]])


argument = st.text("王《》aA ", max_size=3)
triple = st.tuples(argument, st.sampled_from(["作者", "歌手"]), argument)
text = st.lists(triple, max_size=5)


@given(st.lists(st.tuples(text, text), max_size=5))
def test_against_brute_force(rows):
    """List membership and duplicates dropped one by one, as an evaluator would."""

    def plain(one):
        one = one.lower()
        return one[1:-1] if one[:1] + one[-1:] == "《》" else one

    predicted = gold = correct = 0
    for truth, answer in rows:
        kept = {"gold": [], "predicted": []}
        for side, triples in (("gold", truth), ("predicted", answer)):
            for subject, predicate, object_ in triples:
                item = {"s": plain(subject), "p": predicate, "o": plain(object_)}
                if item not in kept[side]:
                    kept[side].append(item)
        gold += len(kept["gold"])
        predicted += len(kept["predicted"])
        correct += sum(item in kept["gold"] for item in kept["predicted"])
    scores = score_triples([truth for truth, _ in rows], [answer for _, answer in rows])
    micro = scores.micro
    assert (micro.predicted, micro.gold, micro.correct) == (predicted, gold, correct)
    assert micro.precision == (correct / predicted if predicted else None)
    assert sum(one.correct for one in scores.per_predicate.values()) == correct
