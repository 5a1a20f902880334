"""Question-answer pairs of passages: answers drawn first, a question to each."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from nlpcli.decoders.constraints import Constraint
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.text.passages import Passage
from nlpcli.text.tokenizers.load import text_of
from nlpcli.text.tokenizers.vocab import Vocab
from recipes.qa_gen.layout import answer_prompt, question_prompt

DRAWN = 3  # answers drawn from a window for each pair that is wanted
ASKED = 2  # questions written at a time for each pair that is wanted
BEAM = 3

_UNITS = frozenset("%‰％")  # marks that end an answer as well as a letter does


@dataclass(frozen=True)
class PairWriter:
    """What writes: constraints are made once, programs are compiled for them."""

    vocab: Vocab
    answer_length: int
    spans: Constraint
    words: Constraint

    def pairs(
        self,
        decode: Any,
        passages: Sequence[Sequence[Passage]],
        keys: Sequence[int],
        options: GenerateOptions,
    ) -> list[list[dict[str, Any]]]:
        """``options.num`` pairs for each list of windows, best first.

        Fewer come back where a passage has fewer answers or its questions repeat.
        keys: a number for each list, which seeds its draws.
        """
        num = options.num or 1
        works = [
            _Work(own, num) for own in self._candidates(decode, passages, keys, options)
        ]
        while chosen := [(work, c) for work in works for c in work.next_candidates()]:
            prompts = [(c.window, c.token_ids) for _, c in chosen]
            asked = self.questions(decode, prompts, options)
            for (work, candidate), question in zip(chosen, asked, strict=True):
                if question is not None:
                    work.add(self._pair(candidate, question))
        return [work.best() for work in works]

    def questions(
        self,
        decode: Any,
        prompts: Sequence[tuple[Passage, np.ndarray]],
        options: GenerateOptions,
    ) -> list[Hypothesis | None]:
        """The best question to each answer in its window; None where none came."""
        features = [question_prompt(self.vocab, w.token_ids, a) for w, a in prompts]
        found = decode(features, question_options(options), (self.words,))
        return [own[0] if own else None for own in found]

    def output(self, question: Hypothesis) -> dict[str, Any]:
        """A question as it is told, its score a mean over its tokens."""
        return {
            "text": text_of(self.vocab, question.token_ids),
            "score": round(question.score / max(_tokens(question), 1), 4),
            "finish_reason": question.finish_reason,
            "tokens": [self.vocab.tokens[i] for i in question.token_ids],
            "satisfied": question.satisfied,
        }

    def _candidates(
        self,
        decode: Any,
        passages: Sequence[Sequence[Passage]],
        keys: Sequence[int],
        options: GenerateOptions,
    ) -> list[list[_Candidate]]:
        """Different answers of each passage, in the order to ask for them."""
        flat = [(i, window) for i, own in enumerate(passages) for window in own]
        drawn = decode(
            [answer_prompt(self.vocab, window.token_ids) for _, window in flat],
            answer_options(options, self.answer_length),
            (self.spans,),
            [keys[i] for i, _ in flat],
        )
        candidates: list[list[_Candidate]] = [[] for _ in passages]
        for (i, window), hypotheses in zip(flat, drawn, strict=True):
            candidates[i] += _spans(window, hypotheses)
        return [_in_order(own) for own in candidates]

    def _pair(self, candidate: _Candidate, question: Hypothesis) -> dict[str, Any]:
        total = candidate.hypothesis.score + question.score
        count = _tokens(candidate.hypothesis) + _tokens(question)
        output = self.output(question)
        return {
            "text": output.pop("text"),
            "answer": candidate.text,
            "start": candidate.start,
            **output,
            "score": round(total / count, 4),
        }


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


class _Candidate(NamedTuple):
    """An answer, where it stands, and its rank among those of its window."""

    window: Passage
    text: str
    start: int
    hypothesis: Hypothesis
    rank: int = 0

    @property
    def token_ids(self) -> np.ndarray:
        return self.hypothesis.token_ids

    @property
    def score(self) -> float:
        return self.hypothesis.score / _tokens(self.hypothesis)


@dataclass
class _Work:
    """A passage with the answers to ask for and the pairs found, by question."""

    candidates: list[_Candidate]
    num: int
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def next_candidates(self) -> list[_Candidate]:
        """The next to ask for; none when there are pairs enough."""
        count = ASKED * self.num if len(self.found) < self.num else 0
        taken, self.candidates = self.candidates[:count], self.candidates[count:]
        return taken

    def add(self, pair: dict[str, Any]) -> None:
        other = self.found.get(pair["text"])
        if pair["text"] and (other is None or pair["score"] > other["score"]):
            self.found[pair["text"]] = pair

    def best(self) -> list[dict[str, Any]]:
        # Beams that broke a rule come behind all that kept them.
        ranked = sorted(
            self.found.values(),
            key=lambda pair: (not pair["satisfied"], -pair["score"]),
        )
        return ranked[: self.num]


def _spans(window: Passage, hypotheses: Iterable[Hypothesis]) -> list[_Candidate]:
    """The answers that stand in the window, each once, likeliest first."""
    found: dict[str, _Candidate] = {}
    for hypothesis in hypotheses:
        first = window.find(hypothesis.token_ids)
        if first < 0:
            continue
        start, end = window.place(first, first + len(hypothesis.token_ids))
        text = window.text[start:end]
        candidate = _Candidate(window, text, start, hypothesis)
        if text not in found or candidate.score > found[text].score:
            found[text] = candidate
    return sorted(found.values(), key=lambda candidate: -candidate.score)


def _in_order(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Each text once; the best of each window, then the second best, and so on.

    Answers that were cut short, or begin or end with punctuation, are left out where
    there are others.
    """
    kept = list(candidates)
    for good in (_is_whole, _is_trimmed):
        kept = [c for c in kept if good(c)] or kept
    ranks: dict[int, int] = {}
    ranked = []
    for candidate in kept:
        window = int(candidate.window.offsets[0, 0])
        ranks[window] = ranks.get(window, -1) + 1
        ranked.append(candidate._replace(rank=ranks[window]))
    ranked.sort(key=lambda c: (c.rank, -c.score))
    once: dict[str, _Candidate] = {}
    for candidate in ranked:
        once.setdefault(candidate.text, candidate)
    return list(once.values())


def _is_whole(candidate: _Candidate) -> bool:
    return candidate.hypothesis.finish_reason == "end"


def _is_trimmed(candidate: _Candidate) -> bool:
    """Whether both ends are words, or marks that belong to them as 《 and 》 do."""
    text = candidate.text
    kinds = [unicodedata.category(character) for character in text]
    opened = sum(kind in ("Ps", "Pi") for kind in kinds)
    closed = sum(kind in ("Pe", "Pf") for kind in kinds)
    paired = opened == closed
    first = not kinds[0].startswith("P") or (paired and kinds[0] in ("Ps", "Pi"))
    last = (
        not kinds[-1].startswith("P")
        or text[-1] in _UNITS
        or (paired and kinds[-1] in ("Pe", "Pf"))
    )
    return first and last


def _tokens(hypothesis: Hypothesis) -> int:
    """Tokens that its score sums up."""
    return len(hypothesis.token_ids) + (hypothesis.finish_reason == "end")
