"""Answers to ask for, drawn from the windows of a passage, and the pairs they make."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.tasks.protocol import Answer
from nlpcli.text.passages import Passage

DRAWN = 3  # answers drawn from a window for each pair that is wanted
ASKED = 2  # questions written at a time for each pair that is wanted
BEAM = 3

_OPEN, _CLOSED = ("Ps", "Pi"), ("Pe", "Pf")  # categories of 《 and 》
_UNITS = frozenset("%‰％")  # marks that end an answer as well as a letter does


def answer_options(options: GenerateOptions, longest: int) -> GenerateOptions:
    """How answers are drawn: sampled, or by beams where beams were asked for."""
    count = DRAWN * (options.num or 1)
    return GenerateOptions(
        beam=None if options.samples else max(options.beam or 1, count),
        num=count,
        top_k=options.top_k,
        top_p=options.top_p,
        temperature=options.temperature,
        max_length=longest + 1,
        seed=options.seed,
    )


def question_options(options: GenerateOptions) -> GenerateOptions:
    """How a question is searched for: always by beams."""
    beam = BEAM if options.samples else options.beam
    return replace(
        options, beam=beam, num=1, top_k=None, top_p=None, temperature=None, seed=None
    )


class Candidate(NamedTuple):
    """An answer, and where it stands."""

    window: Passage
    text: str
    start: int
    hypothesis: Hypothesis


def candidates(
    drawn: Iterable[tuple[Passage, Iterable[Hypothesis]]],
) -> Iterator[Candidate]:
    """Answers of the windows of a passage, each once, in the order to ask for them:
    the best of each window, then the second best, and so on.

    Answers that were cut short, or begin or end with punctuation, are left out where
    there are others.
    """
    kept = [c for window, hypotheses in drawn for c in _standing(window, hypotheses)]
    kept = [c for c in kept if c.hypothesis.finish_reason == "end"] or kept
    kept = [c for c in kept if _is_trimmed(c)] or kept
    better: Counter[int] = Counter()  # in each window, of those that came
    ranked = []
    for candidate in kept:
        window = int(candidate.window.offsets[0, 0])
        ranked.append((better[window], -candidate.hypothesis.mean, candidate))
        better[window] += 1
    once: dict[str, Candidate] = {}
    for _, _, candidate in sorted(ranked, key=lambda row: row[:2]):
        once.setdefault(candidate.text, candidate)
    return iter(once.values())


def best(pairs: Iterable[Answer]) -> list[Answer]:
    """Each question once, best first; beams that broke a rule come behind all that
    kept them."""
    once: dict[str, Answer] = {}
    for pair in sorted(pairs, key=lambda pair: -pair["score"]):
        if pair["text"]:
            once.setdefault(pair["text"], pair)
    return sorted(once.values(), key=lambda pair: not pair["satisfied"])


def _standing(window: Passage, hypotheses: Iterable[Hypothesis]) -> list[Candidate]:
    """The answers that stand in the window, each once, likeliest first."""
    found: dict[str, Candidate] = {}
    for hypothesis in sorted(hypotheses, key=lambda hypothesis: -hypothesis.mean):
        first = window.find(hypothesis.token_ids)
        if first >= 0:
            start, end = window.place(first, first + len(hypothesis.token_ids))
            text = window.text[start:end]
            found.setdefault(text, Candidate(window, text, start, hypothesis))
    return list(found.values())


def _is_trimmed(candidate: Candidate) -> bool:
    """Whether both ends are words, or marks that belong to them as 《 and 》 do."""
    text = candidate.text
    kinds = [unicodedata.category(character) for character in text]
    paired = sum(k in _OPEN for k in kinds) == sum(k in _CLOSED for k in kinds)
    first = not kinds[0].startswith("P") or (paired and kinds[0] in _OPEN)
    last = not kinds[-1].startswith("P") or (paired and kinds[-1] in _CLOSED)
    return first and (last or text[-1] in _UNITS)
