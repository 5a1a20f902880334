"""BLEU against the formula written out, and what must not surprise a caller."""

import math
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError
from nlpcli.metrics.bleu import bleu

pytest.importorskip("sacrebleu")


def plain_bleu(answers, references):
    """BLEU-4 on characters, smoothed as mteval does, formula by formula."""
    correct, total, ours, theirs = [0] * 4, [0] * 4, 0, 0
    for answer, own in zip(answers, references, strict=True):
        ours += len(answer)
        theirs += min((abs(len(one) - len(answer)), len(one)) for one in own)[1]
        for n in range(4):
            grams = Counter(answer[i : i + n + 1] for i in range(len(answer) - n))
            most = Counter()
            for one in own:
                most |= Counter(one[i : i + n + 1] for i in range(len(one) - n))
            correct[n] += sum((grams & most).values())
            total[n] += sum(grams.values())
    if not any(correct) or not total[3]:
        return 0.0
    logs, halvings = [], 0
    for right, count in zip(correct, total, strict=True):
        halvings += not right
        logs.append(math.log(right / count if right else 0.5**halvings / count))
    return 100 * min(1.0, math.exp(1 - theirs / ours)) * math.exp(sum(logs) / 4)


def test_small_case_by_hand():
    # 今天天气很好 / 今天天气真好: 5 of 6 characters, 3 of 5 pairs, 2 of 4, 1 of 3.
    by_hand = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert bleu(["今天天气很好"], [["今天天气真好"]]) == pytest.approx(by_hand)
    # One character short: the same counts in 5, and the brevity penalty.
    by_hand = 100 * math.exp(1 - 6 / 5)
    assert bleu(["今天天气很"], [["今天天气很好"]]) == pytest.approx(by_hand)


texts = st.text("天地人和你我他山水", max_size=12)


@given(st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1))
def test_agrees_with_the_formula(rows):
    answers, references = zip(*rows, strict=True)
    assert bleu(answers, references) == pytest.approx(plain_bleu(answers, references))


def test_latin_words_are_one_token():
    assert bleu(["用 Python 写诗"], [["用Python写诗"]]) == pytest.approx(100.0)
    # 用, Python, 写, 诗: only the first pair and triple are wrong behind a wrong word.
    assert bleu(["用Java写诗歌"], [["用Python写诗歌"]]) == pytest.approx(
        100 * (4 / 5 * 2 / 4 * 1 / 3 * 1 / 4) ** 0.25
    )


def test_all_equal_and_nothing_shared():
    assert bleu(["海内存知己"] * 3, [["海内存知己"]] * 3) == pytest.approx(100.0)
    assert bleu(["海内存知己"], [["床前明月光"]]) == 0.0


def test_short_and_empty_answers():
    assert bleu([], []) is None
    assert bleu([""], [["天下"]]) == 0.0
    assert bleu([""], [[""]]) == 0.0
    assert bleu(["好"], [["好"]]) == 0.0  # no 4-gram anywhere in the corpus
    assert bleu(["好", "海内存知己"], [["好"], ["海内存知己"]]) == pytest.approx(100.0)


def test_what_is_refused():
    with pytest.raises(DataError, match="got 1 for 2"):
        bleu(["一", "二"], [["一"]])
    with pytest.raises(DataError, match="answer 2: expected references, got none"):
        bleu(["一", "二"], [["一"], []])
    with pytest.raises(DataError, match="answer 1: expected a list"):
        bleu(["一"], ["一"])


def test_sacrebleu_waits_for_the_call():
    code = "import sys, nlpcli.metrics.bleu; sys.exit('sacrebleu' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
