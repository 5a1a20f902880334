"""ROUGE-1, ROUGE-2 and ROUGE-L of Chinese text, on characters.

A token is one character, lower-cased, white space dropped; ``GDP`` is three tokens.
That is what Chinese papers report: they join the characters by spaces and call the
``rouge`` package. N-grams are counted, as in Lin 2004 and in rouge-score, a repeated
one as often as both sides have it. The ``rouge`` package counts each distinct n-gram
once unless told ``exclusive=False``, so its default figures differ a little.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nlpcli.metrics.parallel import pairs


def rouge(answers: Sequence[str], references: Sequence[str]) -> dict[str, float | None]:
    """Mean F1 over the pairs as ``rouge1``, ``rouge2`` and ``rougeL``, 0 to 1.

    An empty answer or reference scores 0, and so does ROUGE-2 of a single character:
    it has no bigram. Without pairs each mean is None. Raises DataError when there are
    not as many references as answers. Follows Lin 2004 (ROUGE: a package for automatic
    evaluation of summaries), sentence level, beta 1.
    """
    one = two = longest = 0.0
    for answer, reference in pairs(answers, references):
        ours, theirs = characters(answer), characters(reference)
        one += _f1(shared_ngrams(ours, theirs, 1), len(ours) + len(theirs))
        bigrams = max(len(ours) - 1, 0) + max(len(theirs) - 1, 0)
        two += _f1(shared_ngrams(ours, theirs, 2), bigrams)
        longest += _f1(common_subsequence(ours, theirs), len(ours) + len(theirs))
    count = len(answers)
    if not count:
        return {"rouge1": None, "rouge2": None, "rougeL": None}
    return {"rouge1": one / count, "rouge2": two / count, "rougeL": longest / count}


def characters(text: str) -> str:
    """The tokens of a text: its characters in lower case, without white space."""
    return "".join(text.lower().split())


def shared_ngrams(left: str, right: str, size: int) -> int:
    """N-grams that both have, each as often as the side that has it less often."""
    seen = Counter(left[at : at + size] for at in range(len(left) - size + 1))
    shared = 0
    for at in range(len(right) - size + 1):
        ngram = right[at : at + size]
        if seen.get(ngram, 0) > 0:
            seen[ngram] -= 1
            shared += 1
    return shared


def common_subsequence(left: str, right: str) -> int:
    """Length of the longest common subsequence.

    Bit-parallel: one integer holds a row of the usual table, a bit a place of
    ``left``, 0 where the row steps up. Hyyro 2004 (Bit-parallel LCS-length
    computation revisited).
    """
    places: dict[str, int] = {}
    for at, character in enumerate(left):
        places[character] = places.get(character, 0) | 1 << at
    everywhere = (1 << len(left)) - 1
    row = everywhere
    for character in right:
        matches = row & places.get(character, 0)
        # The sum carries past the row's end, where nothing stands.
        row = ((row + matches) | (row - matches)) & everywhere
    return len(left) - row.bit_count()


def _f1(shared: int, both: int) -> float:
    """F1 of ``shared`` tokens of ``both`` sides together; 0 when both are empty."""
    return 2 * shared / both if both else 0.0
