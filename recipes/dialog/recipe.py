"""Dialogue: a causal language model over the turns, which writes the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.metrics.bleu import bleu
from nlpcli.metrics.distinct import distinct
from nlpcli.metrics.exact_match import accuracy
from nlpcli.records.row import Row, shown
from nlpcli.tasks.protocol import Answer, Decode, EncodedWindow, Setup, Talks
from nlpcli.tasks.writing import Writing, best_texts, likelihood
from nlpcli.text.batching import Features

from . import layout
from .form import DialogExample, heard, split_turns


class DialogRecipe(Writing[DialogExample], Talks):
    """The turns as one sequence; each is learnt after those before it."""

    attention = "causal"
    takes_both = False  # turns are one sequence
    defaults = GenerateOptions(
        num=1,
        top_k=8,
        top_p=0.9,
        temperature=1.0,
        repetition_penalty=1.1,
        no_repeat_ngram=4,
        min_length=2,
        max_length=64,
        expected_length=28,
        seed=0,
    )

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.longest = min(self.longest, setup.backbone.longest or self.longest)

    def ask(self, row: Row) -> DialogExample:
        if "text" in row:
            return DialogExample(split_turns(row.string("text")))
        if "turns" not in row:
            raise row.missing("text", "turns")
        turns = row.get("turns")
        if not isinstance(turns, list) or not all(isinstance(x, str) for x in turns):
            raise row.error(
                f'expected a list of strings for "turns", got {shown(turns)}'
            )
        return DialogExample(heard(turns))

    def turn(self, history: Sequence[str], line: str) -> Row:
        return Row({"turns": [*history, line]})

    def target(self, example: DialogExample) -> str:
        return example.reply or ""

    def sequences(self, example: DialogExample) -> list[Features]:
        turns = self._turns(example.turns)
        learn = [self.options.loss_on == "all" or i % 2 == 1 for i in range(len(turns))]
        windows = layout.windows_of(turns, learn, self.vocab, self.longest)
        if self.options.backward:
            # Backwards, what a reply answers is the target; the last turn is none.
            told, learn = turns[::-1], [False, *learn[:0:-1]]
            windows += layout.windows_of(
                told, learn, self.vocab, self.longest, layout.BACKWARD
            )
        return windows

    def prompts(
        self, examples: Sequence[DialogExample], options: GenerateOptions
    ) -> list[Features]:
        """With room for the reply inside the lengths that were learnt."""
        room = max(self.longest - (options.max_length or 0), self.longest // 2)
        return [
            layout.prompt_of(self._turns(x.context), self.vocab, room) for x in examples
        ]

    def searched(self, options: GenerateOptions) -> GenerateOptions:
        if not self.options.mmi:
            return options
        wanted = max(options.num or 1, self.options.candidates)
        beam = options.beam and max(options.beam, wanted)
        return replace(options, num=wanted, beam=beam)

    def outputs(
        self,
        decode: Decode,
        example: DialogExample,
        hypotheses: Sequence[Hypothesis],
        options: GenerateOptions,
    ) -> list[Answer]:
        """Under ``mmi`` by mutual information with the turn that they answer."""
        if not self.options.mmi:
            return super().outputs(decode, example, hypotheses, options)
        last = self.ids(example.context[-1])
        losses = decode.loss(
            [
                layout.pair_of(h.token_ids, last, self.vocab, self.longest)
                for h in hypotheses
            ]
        )
        return [
            self.output(hypothesis, backward=round(backward, 4))
            for hypothesis, backward in rank(hypotheses, losses, self.options.mmi)
        ]

    def scored(self, examples: Sequence[DialogExample]) -> list[list[EncodedWindow]]:
        """Perplexity is of the dialogues as they are, not of the backward windows."""
        return [
            [x for x in windows if x.features["segment_ids"][0] == layout.FORWARD]
            for windows in self.encode(examples, gold=True)
        ]

    def score(
        self, examples: Sequence[DialogExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        """``perplexity`` is by token of the turns that are learnt (task.loss_on).

        Ends count. The other scores are of the first reply to all turns but the last:
        ``unfinished``, the share that ran out of room, and ``mean_length`` in tokens.
        """
        best = [answer["outputs"][0] for answer in answers if answer["outputs"]]
        texts = best_texts(answers)
        length = sum(len(output["tokens"]) for output in best)
        return {
            **likelihood(answers),
            "distinct_1": distinct(texts, 1),
            "distinct_2": distinct(texts, 2),
            "unfinished": accuracy(x["finish_reason"] == "length" for x in best),
            "mean_length": length / len(best) if best else None,
            "bleu": bleu(texts, [[self.target(example)] for example in examples]),
        }

    def _turns(self, turns: Sequence[str]) -> list[np.ndarray]:
        return [self.ids(turn) for turn in turns]


build_recipe = DialogRecipe


def rank(
    hypotheses: Sequence[Hypothesis],
    losses: Sequence[tuple[float, int]],
    weight: float,
) -> list[tuple[Hypothesis, float]]:
    """Candidates by mutual information, so that dull replies do not win.

    log p(reply | turn) + weight * log p(turn | reply), both by token (Li et al. 2016,
    arXiv 1510.03055, their MMI-bidi): a reply that would suit anything tells little
    of the turn that it answers. losses: for each hypothesis (-log p of the turn given
    it, tokens). Best first, each with its log p of the turn; what was drawn twice
    comes after all others.
    """
    told = [-loss / max(tokens, 1) for loss, tokens in losses]

    def total(candidate: tuple[Hypothesis, float]) -> float:
        hypothesis, backward = candidate
        length = len(hypothesis.token_ids) + (hypothesis.finish_reason == "end")
        return hypothesis.score / max(length, 1) + weight * backward

    ranked = sorted(zip(hypotheses, told, strict=True), key=total, reverse=True)
    drawn = [hypothesis.token_ids.tobytes() for hypothesis, _ in ranked]
    again = [ids in drawn[:number] for number, ids in enumerate(drawn)]
    return [ranked[i] for i in sorted(range(len(ranked)), key=again.__getitem__)]
