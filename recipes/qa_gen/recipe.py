"""Question-answer pairs: passage to answer to question, with one UniLM model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.decoders.constraints import Forbid
from nlpcli.decoders.copy import SOURCE_FIELDS, SpanOfSource
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError, DataError
from nlpcli.heads.sequence_model import SequenceModel, sequence_model
from nlpcli.metrics.bleu import bleu
from nlpcli.metrics.distinct import distinct
from nlpcli.metrics.exact_match import accuracy
from nlpcli.metrics.perplexity import perplexity
from nlpcli.metrics.rouge import rouge
from nlpcli.recipe import EncodedWindow
from nlpcli.text.passages import Passage, window_around, windows
from nlpcli.text.sequences import sequence_fields
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.windows import Window
from recipes.qa_gen.examples import QaExample, read_examples
from recipes.qa_gen.layout import SPECIAL_TOKENS, training_sequence
from recipes.qa_gen.pairs import PairWriter


class QaGenRecipe:
    """See nlpcli.recipe.Recipe for what each method promises.

    Of the options of ``generate`` those of sampling and the seed are for answers,
    those of beams and lengths for questions; with beams the answers too come from
    beams.
    """

    main_score = "log_likelihood"

    def __init__(self, config: RunConfig, tokenizer: Tokenizer) -> None:
        self.options = config.task
        self.tokenizer = tokenizer
        self.fields = {**sequence_fields(tokenizer.vocab.pad_id), **SOURCE_FIELDS}
        self.writer: PairWriter | None = None
        # The questions of a passage stand one after the other.
        self._passage = lru_cache(maxsize=8)(self._read_passage)
        lengths = self.options
        self.generation = GenerateOptions(
            num=1,
            top_p=0.95,
            length_penalty=1.0,
            min_length=2,
            max_length=lengths.question_length + 1,
            expected_length=max(2, lengths.question_length * 2 // 3),
        )
        needed = SPECIAL_TOKENS + sum(
            (lengths.passage_length, lengths.answer_length, lengths.question_length)
        )
        if needed > config.data.max_length:
            raise ConfigError(
                [
                    f"data.max_length: expected {needed} or more (passage_length + "
                    f"answer_length + question_length of task, and {SPECIAL_TOKENS} "
                    f"special tokens), got {config.data.max_length}"
                ]
            )

    def read(self, path: str | Path) -> Iterator[QaExample | DataError]:
        return read_examples(path)

    def prompt(self, text: str) -> QaExample:
        return QaExample(text)

    def learn(self, example: QaExample) -> None:
        """Nothing: the labels are characters."""

    def check(self, example: QaExample) -> None:
        """Any example can be scored."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing was kept."""

    def encode(
        self, examples: Sequence[QaExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        return [[self._encoded(example)] for example in examples]

    def _encoded(self, example: QaExample) -> EncodedWindow:
        passage, answer = self._given(example)
        features = training_sequence(
            self.tokenizer.vocab,
            passage.token_ids,
            answer,
            self.tokenizer.encode_characters(example.question).token_ids,
            answer_length=self.options.answer_length,
            question_length=self.options.question_length,
        )
        start, end = passage.place(0, len(passage))
        return EncodedWindow(features, Window(start, end, start, end, 0, len(passage)))

    def _given(self, example: QaExample) -> tuple[Passage, np.ndarray]:
        """The window around the gold answer, and the answer's ids.

        What an answer is longer than may be written, its window is shorter; one that
        would take more than half of that room is cut.
        """
        passage = self._passage(example.passage)
        first, last = passage.characters(example.answer_start, example.answer_end)
        longest = self.options.passage_length
        room = longest + self.options.answer_length
        last = min(last, first + room // 2)
        longest = min(longest, room - (last - first))
        start, end = window_around(passage, first, last, longest)
        return passage.part(start, end), passage.token_ids[first:last]

    def _read_passage(self, text: str) -> Passage:
        encoding = self.tokenizer.encode_characters(text)
        return Passage(text, encoding.token_ids, encoding.offsets)

    def build(self, backbone: Any) -> SequenceModel:
        vocab, size = self.tokenizer.vocab, backbone.config.vocab_size
        ordinary = len(vocab.tokens)
        never = {*vocab.special_ids, *range(ordinary, size)} - {vocab.sep_id}
        self.writer = PairWriter(
            vocab,
            self.options.answer_length,
            SpanOfSource(size, vocab.sep_id),
            Forbid(never, size),
        )
        return sequence_model(backbone, self.options, "unilm", vocab)

    def generate(
        self, decode: Any, examples: Sequence[QaExample], options: GenerateOptions
    ) -> list[dict[str, Any] | DataError]:
        """Pairs for prompts; for examples with gold the question to the gold answer.

        Those also have ``pairs``, written end to end from the window of that answer.
        """
        writer = self.writer
        if writer is None:
            raise ValueError("expected build before generate")
        asked = {i: self._given(x) for i, x in enumerate(examples) if x.question}
        parts = {i: [window] for i, (window, _) in asked.items()}
        bad: dict[int, DataError] = {}
        for i, example in enumerate(examples):
            if i not in asked and example.passage.strip():
                parts[i] = self._windows(example.passage)
                if not parts[i]:
                    bad[i] = _no_words(example)
        keys = list(parts)
        pairs = writer.pairs(decode, [parts[i] for i in keys], keys, options)
        questions = writer.questions(decode, list(asked.values()), options)
        answers: list[Any] = [bad.get(i, {"outputs": []}) for i in range(len(examples))]
        for i, own in zip(keys, pairs, strict=True):
            if i not in bad:
                answers[i] = {"outputs": own}
        for i, question in zip(asked, questions, strict=True):
            outputs = self._asked(examples[i], writer, question)
            answers[i] = {"outputs": outputs, "pairs": answers[i]["outputs"]}
        return answers

    def _windows(self, text: str) -> list[Passage]:
        """The windows of a passage that have something to ask for."""
        own = windows(self._passage(text), self.options.passage_length)
        return [window for window in own if _has_words(window)]

    def _asked(
        self, example: QaExample, writer: PairWriter, question: Hypothesis | None
    ) -> list[dict[str, Any]]:
        if question is None:
            return []
        output = writer.output(question)
        text = output.pop("text")
        gold = {"answer": example.answer, "start": example.answer_start}
        return [{"text": text, **gold, **output}]

    def gold(self, example: QaExample) -> dict[str, Any]:
        return {
            "question": example.question,
            "answer": example.answer,
            "start": example.answer_start,
        }

    def score(
        self, examples: Sequence[QaExample], answers: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """``rouge`` and ``bleu`` are of questions to the gold answers.

        ``perplexity`` is by token of answer and question. ``answers_inside``: the
        share of answers written end to end that stand in the passage where the pair
        says; ``distinct_2`` is of the questions to the gold answers.
        """
        gold = [example.question for example in examples]
        asked = [a["outputs"][0]["text"] if a["outputs"] else "" for a in answers]
        nll = sum(answer["nll"] for answer in answers)
        tokens = sum(answer["target_tokens"] for answer in answers)
        inside = [
            example.passage[pair["start"] :].startswith(pair["answer"])
            for example, answer in zip(examples, answers, strict=True)
            for pair in answer.get("pairs", ())
        ]
        return {
            **rouge(asked, gold),
            "bleu": bleu(asked, [[question] for question in gold]),
            "perplexity": perplexity(nll, tokens),
            "log_likelihood": -nll / tokens if tokens else None,
            "answers_inside": accuracy(inside),
            "distinct_2": distinct(asked, 2),
        }


def build_recipe(config: RunConfig, tokenizer: Tokenizer) -> QaGenRecipe:
    """The recipe for a run."""
    return QaGenRecipe(config, tokenizer)


def _no_words(example: QaExample) -> DataError:
    shown = example.passage.strip()[:40]
    return DataError(f"expected a passage with letters or digits, got {shown!r}")


def _has_words(passage: Passage) -> bool:
    return any(passage.text[start].isalnum() for start in passage.offsets[:, 0])
