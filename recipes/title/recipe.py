"""Titles: a headline or a summary for a text.

[CLS] text [SEP] title [SEP] (Su, kexue.fm/archives/6933).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError
from nlpcli.metrics.bleu import bleu
from nlpcli.metrics.exact_match import accuracy
from nlpcli.metrics.rouge import rouge
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import Answer, Setup
from nlpcli.tasks.writing import Writing, best_texts, likelihood

from .form import TitleExample, name_in
from .formats import TEXTS

_SPECIAL_TOKENS = 3  # [CLS] text [SEP] title [SEP]


class TitleRecipe(Writing[TitleExample]):
    """Any writing shape: what it learns and is scored by is the same.

    The best weights are those that write the best titles, as in Su's post, who takes
    BLEU, and not those that find the one gold title likeliest. Here it is ROUGE-L,
    which titles of less than four characters do not make 0.
    """

    main_score = "rougeL"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.attention = "causal" if self.options.model == "causal" else "unilm"
        self.room = self.options.title_length
        if (needed := _SPECIAL_TOKENS + self.room + 1) > self.longest:
            raise ConfigError(
                [
                    f"data.max_length: expected {needed} or more (a text, "
                    f"task.title_length and {_SPECIAL_TOKENS} special tokens), "
                    f"got {self.longest}"
                ]
            )
        # Of gold titles one in ninety (news) has three characters twice; without this a
        # model that has learnt little repeats one phrase to the end.
        self.defaults = GenerateOptions(
            beam=4, num=1, no_repeat_ngram=3, min_length=2, max_length=self.room + 1
        )

    def ask(self, row: Row) -> TitleExample:
        return TitleExample(row.string(name_in(row, TEXTS)))

    def target(self, example: TitleExample) -> str:
        return example.title

    def score(
        self, examples: Sequence[TitleExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        """ROUGE and BLEU of the first output; ``perplexity`` is by token of the gold
        title, its end included; ``unfinished``: the share that ran out of room."""
        titles, texts = [self.target(x) for x in examples], best_texts(answers)
        best = [answer["outputs"][0] for answer in answers if answer["outputs"]]
        return {
            **rouge(texts, titles),
            "bleu": bleu(texts, [[title] for title in titles]),
            **likelihood(answers),
            "unfinished": accuracy(x["finish_reason"] == "length" for x in best),
        }


build_recipe = TitleRecipe
