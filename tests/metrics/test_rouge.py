"""ROUGE against brute force, and against two packages fed with characters."""

import time
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError
from nlpcli.metrics.rouge import common_subsequence, rouge, shared_ngrams

# Few characters, so that much repeats; one beyond the basic plane.
texts = st.text("春花秋月𠮷a1", max_size=14)
short = st.text("春花秋", max_size=8)
full = st.text("春花秋月何时了", min_size=1, max_size=30)


def table_lcs(left, right):
    """The usual table of the longest common subsequence."""
    row = [0] * (len(right) + 1)
    for one in left:
        before = row[:]
        for at, other in enumerate(right, start=1):
            row[at] = (
                before[at - 1] + 1 if one == other else max(before[at], row[at - 1])
            )
    return row[-1]


@given(short, short)
def test_subsequence_against_all_subsequences(left, right):
    def every(text):
        return {p for n in range(len(text) + 1) for p in combinations(text, n)}

    longest = max(len(one) for one in every(left) & every(right))
    assert common_subsequence(left, right) == longest == table_lcs(left, right)


@given(st.text("春花秋月", max_size=90), st.text("春花秋月", max_size=90))
def test_subsequence_against_the_table(left, right):
    assert common_subsequence(left, right) == table_lcs(left, right)


@given(texts, texts, st.integers(1, 3))
def test_ngrams_against_counters(left, right, size):
    def grams(text):
        return Counter(tuple(text[i:][:size]) for i in range(len(text) - size + 1))

    expected = sum((grams(left) & grams(right)).values())
    assert shared_ngrams(left, right, size) == expected


@given(st.lists(st.tuples(full, full), min_size=1, max_size=5))
def test_agrees_with_the_rouge_package(rows):
    package = pytest.importorskip("rouge")
    answers, references = zip(*rows, strict=True)
    theirs = package.Rouge(exclusive=False).get_scores(
        [" ".join(one) for one in answers],
        [" ".join(one) for one in references],
        avg=True,
    )
    ours = rouge(answers, references)
    for name in ("1", "2", "L"):  # theirs adds 1e-8 to each denominator
        assert ours[f"rouge{name}"] == pytest.approx(
            theirs[f"rouge-{name.lower()}"]["f"], abs=1e-7
        )


@given(texts, texts)
def test_agrees_with_rouge_score(answer, reference):
    scorer = pytest.importorskip("rouge_score.rouge_scorer")

    class Characters:
        def tokenize(self, text):
            return list(text)

    names = ["rouge1", "rouge2", "rougeL"]
    theirs = scorer.RougeScorer(names, tokenizer=Characters()).score(reference, answer)
    ours = rouge([answer], [reference])
    assert ours == pytest.approx({name: theirs[name].fmeasure for name in names})


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
def test_mean_of_pairs_and_symmetry(rows):
    answers, references = zip(*rows, strict=True)
    scores = rouge(answers, references)
    each = [rouge([one], [other]) for one, other in rows]
    for name, value in scores.items():
        assert value == pytest.approx(sum(row[name] for row in each) / len(each))
        assert 0 <= value <= 1
    assert rouge(references, answers) == pytest.approx(scores)


def test_by_hand():
    # 床前明月光 / 疑是明月霜: 2 of 5 and 5, one pair 明月 of 4 and 4.
    assert rouge(["床前明月光"], ["疑是明月霜"]) == pytest.approx(
        {"rouge1": 0.4, "rouge2": 0.25, "rougeL": 0.4}
    )
    # A repeated character counts as often as both have it: 1 of 3 and 1.
    assert rouge(["好好好"], ["好"])["rouge1"] == pytest.approx(0.5)


def test_case_and_spaces_do_not_count():
    assert rouge(["我 用\u3000GPT\n"], ["我用gpt"]) == {
        "rouge1": 1.0,
        "rouge2": 1.0,
        "rougeL": 1.0,
    }


def test_edges():
    zero = {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
    assert rouge([], []) == {"rouge1": None, "rouge2": None, "rougeL": None}
    assert rouge([""], [""]) == rouge(["", " "], ["春", "花"]) == zero
    assert rouge(["春"], [""]) == rouge(["春"], ["秋"]) == zero
    assert rouge(["春"], ["春"]) == {"rouge1": 1.0, "rouge2": 0.0, "rougeL": 1.0}
    assert set(rouge(["春春春"] * 4, ["春春春"] * 4).values()) == {1.0}
    with pytest.raises(DataError, match="got 0 for 1"):
        rouge(["春"], [])


def test_ten_thousand_pairs_are_quick():
    pair = ("春花秋月何时了往事知多少小楼昨夜又东风" * 4)[:60]
    started = time.process_time()
    rouge([pair] * 10_000, [pair[7:] + pair[:7]] * 10_000)
    assert time.process_time() - started < 5  # about one second on a laptop
