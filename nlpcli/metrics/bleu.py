"""Corpus BLEU of generated Chinese, by sacrebleu and its ``zh`` tokenisation.

Every Chinese character and full-width mark is a token; what stands between them is
cut as mteval-v13a cuts English. Signature: case:mixed, eff:no, tok:zh, smooth:exp.
sacrebleu is imported by the call: it costs a tenth of a second and brings lxml.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nlpcli.errors import DataError
from nlpcli.metrics.parallel import pairs


def bleu(answers: Sequence[str], references: Sequence[Sequence[str]]) -> float | None:
    """BLEU-4 of the whole corpus, 0 to 100; None without answers.

    references: for each answer the list of its references, one or more; the lists may
    differ in length. Raises DataError when an answer has no reference, or there are
    not as many lists as answers. Follows Papineni et al. 2002 and Post 2018
    (arXiv 1804.08771).

    A corpus in which no answer reaches four tokens scores 0, even a perfect one: it
    has no 4-gram to be right about. ROUGE or exact match suit such answers.
    """
    for number, (_, own) in enumerate(pairs(answers, references), start=1):
        if isinstance(own, str):  # its characters would each pass as a reference
            raise DataError(f"answer {number}: expected a list of references, got text")
        if not own:
            raise DataError(f"answer {number}: expected references, got none")
    if not answers:
        return None

    from sacrebleu.metrics.bleu import BLEU

    # force: it only silences a warning about text that looks tokenised.
    metric = BLEU(tokenize="zh", force=True)
    return float(metric.corpus_score(list(answers), _streams(references)).score)


def _streams(references: Sequence[Sequence[str]]) -> list[list[Any]]:
    """The references turned round: every first one, every second, None where none is.

    sacrebleu skips the None, though its annotations do not mention it.
    """
    most = max(len(own) for own in references)
    return [
        [own[place] if place < len(own) else None for own in references]
        for place in range(most)
    ]
