"""Word problems: the expression that answers a question, and its exact value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.decoders.constraints import Constraint, Forbid
from nlpcli.decoders.grammar import GRAMMAR_FIELDS, GrammarConstraint, grammar_features
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError, DataError
from nlpcli.heads.sequence_model import SequenceModel, sequence_model
from nlpcli.metrics.exact_match import accuracy, exact_match
from nlpcli.metrics.perplexity import perplexity
from nlpcli.recipe import EncodedWindow
from nlpcli.text.batching import Features
from nlpcli.text.expression import ExpressionError, parse
from nlpcli.text.rational import equal_values, value_text
from nlpcli.text.sequences import prompt_features, sequence_fields, training_features
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.windows import Window
from recipes.math_qa.answers import outputs
from recipes.math_qa.cleaning import clean_question
from recipes.math_qa.examples import MathExample, read_examples
from recipes.math_qa.grammar import QuestionGrammar
from recipes.math_qa.numbers import question_numbers

SPECIAL_TOKENS = 3  # [CLS] question [SEP] expression [SEP]


class MathQaRecipe:
    """See nlpcli.recipe.Recipe for what each method promises."""

    main_score = "accuracy"

    def __init__(self, config: RunConfig, tokenizer: Tokenizer) -> None:
        self.options = config.task
        self.tokenizer = tokenizer
        self.max_length = config.data.max_length
        self.grammar = QuestionGrammar(tokenizer)
        self.fields = {**sequence_fields(tokenizer.vocab.pad_id), **GRAMMAR_FIELDS}
        self.generation = GenerateOptions(
            beam=5, num=1, max_length=self.options.expression_length + 1
        )
        self._constraints: dict[bool, Constraint] = {}
        needed = SPECIAL_TOKENS + self.options.expression_length + 1
        if needed > self.max_length:
            raise ConfigError(
                [
                    f"data.max_length: expected {needed} or more (a question, "
                    f"task.expression_length and {SPECIAL_TOKENS} special tokens), "
                    f"got {self.max_length}"
                ]
            )

    def read(self, path: str | Path) -> Iterator[MathExample | DataError]:
        for example in read_examples(path):
            if isinstance(example, DataError):
                yield example
                continue
            question, expression = self._ids(example)
            length = len(question) + len(expression) + SPECIAL_TOKENS
            if length > self.max_length:
                yield DataError(
                    f"{example.line}: expected a question and an expression of at most "
                    f"{self.max_length} tokens (data.max_length), special ones "
                    f"included, got {length}"
                )
                continue
            yield example

    def prompt(self, text: str) -> MathExample:
        example = MathExample(clean_question(text))
        if not example.question:
            return example
        longest = self.max_length - SPECIAL_TOKENS - self.options.expression_length
        if (length := len(self._ids(example)[0])) > longest:
            raise DataError(
                f"expected a question of at most {longest} characters (what fits into "
                f"{self.max_length} positions with an expression), got {length}"
            )
        return example

    def learn(self, example: MathExample) -> None:
        """Nothing: the labels are characters."""

    def check(self, example: MathExample) -> None:
        """Any problem can be scored."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing was kept."""

    def encode(
        self, examples: Sequence[MathExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        return [[self._encoded(example)] for example in examples]

    def _encoded(self, example: MathExample) -> EncodedWindow:
        vocab = self.tokenizer.vocab
        question, expression = self._ids(example)
        ids = np.array(
            [vocab.cls_id, *question, vocab.sep_id, *expression, vocab.sep_id]
        )
        segments = np.arange(len(ids)) >= len(question) + 2
        features = training_features(ids, segments, segments & (ids != vocab.unk_id))
        length = len(example.text)
        return EncodedWindow(features, Window(0, length, 0, length, 0, len(question)))

    def _ids(self, example: MathExample) -> tuple[np.ndarray, np.ndarray]:
        """A token a character, of the question and of the expression."""
        question = self.tokenizer.encode_characters(example.question).token_ids
        return question, self.tokenizer.character_ids(example.expression)

    def build(self, backbone: Any) -> SequenceModel:
        vocab, size = self.tokenizer.vocab, backbone.config.vocab_size
        never = {*vocab.special_ids, *range(len(vocab.tokens), size)} - {vocab.sep_id}
        self._constraints = {True: GrammarConstraint(size), False: Forbid(never, size)}
        return sequence_model(backbone, self.options, "unilm", vocab)

    def generate(
        self, decode: Any, examples: Sequence[MathExample], options: GenerateOptions
    ) -> list[dict[str, Any] | DataError]:
        """Of all beams those come first whose expression has a value."""
        grammar = bool(options.extra.get("grammar", self.options.grammar))
        answers: list[dict[str, Any] | DataError] = [
            DataError("expected a problem with at least one number, got none")
            if grammar and _lacks_numbers(example)
            else {"outputs": []}
            for example in examples
        ]
        asked = [
            i
            for i, (example, answer) in enumerate(zip(examples, answers, strict=True))
            if example.question and not isinstance(answer, DataError)
        ]
        prompts = [self._prompt(examples[i], grammar) for i in asked]
        # Every beam is wanted: one that divides by zero makes room for the next.
        all_beams = options if options.samples else replace(options, num=options.beam)
        found = decode(prompts, all_beams, (self._constraints[grammar],), asked)
        for i, hypotheses in zip(asked, found, strict=True):
            own = outputs(self.tokenizer.vocab, hypotheses, sampled=options.samples)
            answers[i] = {"outputs": own[: options.num]}
        return answers

    def _prompt(self, example: MathExample, grammar: bool) -> Features:
        vocab = self.tokenizer.vocab
        ids = [vocab.cls_id, *self._ids(example)[0], vocab.sep_id]
        features = prompt_features(ids, [0] * len(ids), next_segment=1)
        if not grammar:
            return features
        automaton = self.grammar.automaton(example.question)
        return {**features, **grammar_features(automaton)}

    def gold(self, example: MathExample) -> dict[str, Any]:
        value = None if example.value is None else value_text(example.value)
        return {"expression": example.expression, "value": value}

    def score(
        self, examples: Sequence[MathExample], answers: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """``accuracy``: the share of first answers with the gold value.

        ``wellformed`` is the share of first answers that are expressions,
        ``evaluates`` that of those with a value; ``perplexity`` is by character of
        the gold expression, its end included.
        """
        best = [a["outputs"][0] if a["outputs"] else _NOTHING for a in answers]
        texts = [output["text"] for output in best]
        nll = sum(answer["nll"] for answer in answers)
        count = sum(answer["target_tokens"] for answer in answers)
        right = [
            _is_value(output["value"], example.value)
            for output, example in zip(best, examples, strict=True)
        ]
        return {
            "accuracy": accuracy(right),
            "wellformed": accuracy(_is_expression(text) for text in texts),
            "evaluates": accuracy(output["value"] is not None for output in best),
            "exact_match": exact_match(texts, [x.expression for x in examples]),
            "perplexity": perplexity(nll, count),
            "log_likelihood": -nll / count if count else None,
        }


def build_recipe(config: RunConfig, tokenizer: Tokenizer) -> MathQaRecipe:
    """The recipe for a run."""
    return MathQaRecipe(config, tokenizer)


def _lacks_numbers(example: MathExample) -> bool:
    """Whether a user's problem has nothing to compute with; gold is as it is."""
    asked = bool(example.question) and not example.expression
    return asked and not question_numbers(example.question)


_NOTHING: dict[str, Any] = {"text": "", "value": None}


def _is_value(text: str | None, value: Fraction | None) -> bool:
    if text is None or value is None:
        return False
    return equal_values(Fraction(text), value)


def _is_expression(text: str) -> bool:
    try:
        parse(text)
    except ExpressionError:
        return False
    return True
