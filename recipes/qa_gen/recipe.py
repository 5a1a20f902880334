"""Question-answer pairs: passage to answer to question, with one UniLM model.

[CLS] passage [SEP] answer [SEP] question [SEP]: answer and question are one segment
that sees the passage and its own past, so the answer is written first and the question
knows it (Su, kexue.fm/archives/7630).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Any

import numpy as np

from nlpcli.decoders.copy import SOURCE_FIELDS, SpanOfSource
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError, DataError
from nlpcli.metrics.bleu import bleu
from nlpcli.metrics.distinct import distinct
from nlpcli.metrics.exact_match import accuracy
from nlpcli.metrics.rouge import rouge
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import Answer, Decode, Setup
from nlpcli.tasks.writing import Writing, best_texts, likelihood
from nlpcli.text.batching import Features
from nlpcli.text.layouts import ended
from nlpcli.text.passages import Passage, read_passage, window_around, windows

from .form import QaExample
from .pairs import (
    ASKED,
    answer_options,
    best,
    candidates,
    question_options,
)

Given = tuple[Passage, np.ndarray]  # a window, and the ids of an answer in it


class QaGenRecipe(Writing[QaExample]):
    """Answers are drawn first, then a question is written to each.

    Of the options of ``generate`` those of sampling and the seed are for answers,
    those of beams and lengths for questions; with beams the answers too come from
    beams.
    """

    spells = True  # answers are spans

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup, SOURCE_FIELDS)
        # The questions of a passage stand one after the other.
        self._passage = lru_cache(8)(partial(read_passage, self.tokenizer))
        self.spans = SpanOfSource(setup.backbone.vocab_size, self.vocab.end_id)
        lengths = self.options
        self.defaults = GenerateOptions(
            num=1,
            top_p=0.95,
            length_penalty=1.0,
            min_length=2,
            max_length=lengths.question_length + 1,
            expected_length=max(2, lengths.question_length * 2 // 3),
        )
        needed = lengths.passage_length + lengths.answer_length
        needed += lengths.question_length + 4
        if needed > self.longest:
            problem = (
                f"data.max_length: expected {needed} or more (passage_length + "
                "answer_length + question_length of task, and 4 special tokens), "
                f"got {self.longest}"
            )
            raise ConfigError([problem])

    def ask(self, row: Row) -> QaExample:
        return QaExample(row.string("text"))

    def sequences(self, example: QaExample) -> list[Features]:
        """What is longer than may be written is not learnt as such: a long answer is
        only given, a long question is cut and its end not learnt."""
        passage, answer = self._given(example)
        question, longest = self.ids(example.question), self.options.question_length
        ids, owners = ended(self.vocab, [answer, question[:longest]])
        if len(question) > longest:
            ids, owners = ids[:-1], owners[:-1]
        learn = (owners == 1) & (ids != self.vocab.unk_id)
        if len(answer) <= self.options.answer_length:
            learn |= owners == 0
        return [self.layout.learnt(passage.token_ids, ids, learn)]

    def write(
        self, decode: Decode, examples: Sequence[QaExample], options: GenerateOptions
    ) -> list[Answer | DataError]:
        """Pairs for prompts; for examples with gold the question to the gold answer.

        Those also have ``pairs``, written end to end from the window of that answer.
        """
        given = {i: self._given(x) for i, x in enumerate(examples) if x.question}
        parts = {i: [window] for i, (window, _) in given.items()}
        for i, example in enumerate(examples):
            if i not in given and example.text.strip():
                own = windows(self._passage(example.text), self.options.passage_length)
                parts[i] = [window for window in own if window.has_words]
        pairs = self._pairs(decode, parts, options)
        questions = self._questions(decode, list(given.values()), options)
        answers: list[Answer | DataError] = [
            _no_words(example) if parts.get(i) == [] else {"outputs": pairs.get(i, [])}
            for i, example in enumerate(examples)
        ]
        for i, question in zip(given, questions, strict=True):
            gold = examples[i].answer, examples[i].answer_start
            outputs = [] if question is None else [self._pair(*gold, question)]
            answers[i] = {"outputs": outputs, "pairs": pairs[i]}
        return answers

    def _pairs(
        self,
        decode: Decode,
        parts: Mapping[int, Sequence[Passage]],
        options: GenerateOptions,
    ) -> dict[int, list[Answer]]:
        """``options.num`` pairs for each list of windows, best first.

        Fewer come back where a passage has fewer answers or its questions repeat. The
        number of a list seeds its draws.
        """
        num = options.num or 1
        ids = [window.token_ids for own in parts.values() for window in own]
        prompts = [{**self.layout.asked(x), "source_ids": x} for x in ids]
        keys = [i for i, own in parts.items() for _ in own]
        how = answer_options(options, self.options.answer_length)
        drawn = iter(decode(prompts, how, (self.spans,), keys))
        waiting = {
            i: candidates([(window, next(drawn)) for window in own])
            for i, own in parts.items()
        }
        pairs: dict[int, list[Answer]] = {i: [] for i in parts}
        while chosen := [
            (i, candidate)
            for i, own in pairs.items()
            if len(own) < num
            for candidate in islice(waiting[i], ASKED * num)
        ]:
            given = [(c.window, c.hypothesis.token_ids) for _, c in chosen]
            questions = self._questions(decode, given, options)
            for (i, c), question in zip(chosen, questions, strict=True):
                if question is not None:
                    pairs[i].append(self._pair(c.text, c.start, question, c.hypothesis))
            pairs = {i: best(own) for i, own in pairs.items()}
        return {i: own[:num] for i, own in pairs.items()}

    def _questions(
        self, decode: Decode, given: Sequence[Given], options: GenerateOptions
    ) -> list[Hypothesis | None]:
        """The best question to each answer in its window; None where none came."""
        prompts = [
            self.layout.asked(window.token_ids, ended(self.vocab, [ids])[0])
            for window, ids in given
        ]
        found = decode(prompts, question_options(options), (self.words,))
        return [own[0] if own else None for own in found]

    def _pair(
        self, answer: str, start: int, question: Hypothesis, *drawn: Hypothesis
    ) -> Answer:
        """A question to an answer; its score is a mean over what was written."""
        written = (*drawn, question)
        score = sum(x.score for x in written) / max(sum(x.steps for x in written), 1)
        told: Answer = {"text": "", "answer": answer, "start": start}
        told |= self.output(question, satisfied=question.satisfied)
        return {**told, "score": round(score, 4)}

    def _given(self, example: QaExample) -> Given:
        """The window around the gold answer, and the answer's ids.

        What an answer is longer than may be written, its window is shorter; one that
        would take more than half of that room is cut.
        """
        passage, start = self._passage(example.text), example.answer_start
        first, last = passage.characters(start, start + len(example.answer))
        longest = self.options.passage_length
        room = longest + self.options.answer_length
        last = min(last, first + room // 2)
        longest = min(longest, room - (last - first))
        start, end = window_around(passage, first, last, longest)
        return passage.part(start, end), passage.token_ids[first:last]

    def gold(self, example: QaExample) -> dict[str, Any]:
        answer, start = example.answer, example.answer_start
        return {"question": example.question, "answer": answer, "start": start}

    def score(
        self, examples: Sequence[QaExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        """``rouge`` and ``bleu`` are of questions to the gold answers.

        ``perplexity`` is by token of answer and question. ``answers_inside``: the
        share of answers written end to end that stand in the passage where the pair
        says; ``distinct_2`` is of the questions to the gold answers.
        """
        gold = [example.question for example in examples]
        texts = best_texts(answers)
        inside = [
            example.text[pair["start"] :].startswith(pair["answer"])
            for example, answer in zip(examples, answers, strict=True)
            for pair in answer.get("pairs", ())
        ]
        return {
            **rouge(texts, gold),
            "bleu": bleu(texts, [[question] for question in gold]),
            **likelihood(answers),
            "answers_inside": accuracy(inside),
            "distinct_2": distinct(texts, 2),
        }


build_recipe = QaGenRecipe


def _no_words(example: QaExample) -> DataError:
    got = example.text.strip()[:40]
    return DataError(f"expected a passage with letters or digits, got {got!r}")
