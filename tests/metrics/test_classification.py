"""Scores of labels against plain counting; thresholds against all that there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.metrics.classification import best_thresholds, score_labels

NAMES = ["天气", "音乐", "闹钟"]


def plain_f1(gold, found):
    """F1 of booleans, 0 where neither has any: as scikit-learn counts."""
    both, all_ = int((gold & found).sum()), int(gold.sum() + found.sum())
    return 2 * both / all_ if all_ else 0.0


def hot(sets):
    return np.array([[name in own for name in NAMES] for own in sets])


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_scores_against_plain_counting(seed, most):
    random = np.random.default_rng(seed)
    sizes = (lambda: 1) if most == 1 else (lambda: random.integers(0, most + 1))
    gold, found = (
        [set(random.choice(NAMES, sizes(), replace=False).tolist()) for _ in range(60)]
        for _ in range(2)
    )
    scores = score_labels(gold, found)
    one, other = hot(gold), hot(found)
    assert scores["accuracy"] == pytest.approx((one == other).all(axis=1).mean())
    each = [plain_f1(one[:, n], other[:, n]) for n in range(len(NAMES))]
    assert scores["macro_f1"] == pytest.approx(np.mean(each))
    assert scores["f1"] == pytest.approx(plain_f1(one, other))
    if most == 1:
        assert scores["f1"] == pytest.approx(scores["accuracy"])
    for number, name in enumerate(NAMES):
        row = scores["per_label"][name]
        assert row["f1"] == pytest.approx(each[number])
        assert row["gold"] == one[:, number].sum()
        assert row["predicted"] == other[:, number].sum()
    assert ("confusion" in scores) == (most == 1)
    for a in NAMES if most == 1 else ():
        for b in NAMES:
            pairs = zip(gold, found, strict=True)
            count = sum(x == {a} and y == {b} for x, y in pairs)
            assert scores["confusion"][a][b] == count


def test_macro_f1_counts_each_label_alike():
    """Nine of ten right on a label that nearly all have, none on the rare one."""
    gold = [{"a"}] * 9 + [{"b"}]
    scores = score_labels(gold, [{"a"}] * 10)
    assert (scores["accuracy"], scores["per_label"]["b"]["f1"]) == (0.9, 0.0)
    assert scores["macro_f1"] == pytest.approx((18 / 19 + 0) / 2)


def test_a_label_that_gold_lacks_is_a_column_of_the_matrix():
    scores = score_labels([{"a"}, {"b"}], [{"a"}, {"c"}])
    wide = {"a": {"a": 1, "b": 0, "c": 0}, "b": {"a": 0, "b": 0, "c": 1}}
    assert scores["confusion"] == wide
    assert scores["macro_f1"] == pytest.approx(1 / 3), "c counts, as in scikit-learn"


def test_a_text_without_an_answer_has_no_place_in_a_matrix():
    scores = score_labels([{"a"}, {"b"}], [{"a"}, set()])
    assert "confusion" not in scores
    assert (scores["accuracy"], scores["recall"], scores["precision"]) == (0.5, 0.5, 1)


def best_of_all(gold, chances):
    """The highest F1 of one label over every cut that parts what was found."""
    cuts = [*np.unique(chances), 2.0]
    return max(plain_f1(gold, chances >= cut) for cut in cuts)


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.7, 0.9, 1.0])),
        min_size=1,
        max_size=12,
    )
)
def test_a_threshold_is_the_best_of_all(rows):
    """With ties, certain ones and labels that no text has."""
    gold = np.array([right for right, _ in rows])
    chances = np.array([chance for _, chance in rows])
    own = [["x"] if right else [] for right in gold]
    threshold = best_thresholds(["x"], own, chances[:, None])["x"]
    if not gold.any():
        assert threshold == 0.5
        return
    assert plain_f1(gold, chances >= threshold) == best_of_all(gold, chances)
    assert 0 <= threshold <= 1
    assert chances.min() == 0 or threshold not in chances, "it stands between"


def test_thresholds_of_each_label_by_itself():
    random = np.random.default_rng(5)
    chances = random.random((80, len(NAMES)))
    gold = [
        {
            name
            for name, p in zip(NAMES, row, strict=True)
            if p + random.normal(0, 0.3) > 0.8
        }
        for row in chances
    ]
    found = best_thresholds(NAMES, gold, list(chances))
    assert list(found) == NAMES
    for number, name in enumerate(NAMES):
        right = np.array([name in own for own in gold])
        reached = plain_f1(right, chances[:, number] >= found[name])
        assert reached == best_of_all(right, chances[:, number])


def test_of_equal_thresholds_the_nearest_to_a_half():
    chances = np.array([[0.9], [0.8], [0.2], [0.1]])
    gold = [["x"], [], [], []]
    assert best_thresholds(["x"], gold, chances)["x"] == pytest.approx(0.85)
    every = best_thresholds(["x"], [["x"]] * 4, chances)["x"]
    assert every == pytest.approx(0.05), "all are right: below the lowest"
    # after the first and after the third: F1 is 2/3 and 4/5
    second = best_thresholds(["x"], [["x"], [], ["x"], []], chances)["x"]
    assert second == pytest.approx(0.15)


def test_neighbours_without_a_number_between_are_parted():
    low = 1.0 - 2.0**-53
    high = np.nextafter(low, 2.0)
    for one, other in ((low, high), (np.nextafter(low, 0.0), low)):
        gold, chances = [["x"], []], np.array([[other], [one]])
        threshold = best_thresholds(["x"], gold, chances)["x"]
        assert one < threshold <= other


def test_no_texts_leave_the_half():
    assert best_thresholds(NAMES, [], []) == dict.fromkeys(NAMES, 0.5)
