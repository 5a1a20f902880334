"""Word problems: the expression that answers a question, and its exact value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from nlpcli.decoders.constraints import Constraint
from nlpcli.decoders.grammar import GRAMMAR_FIELDS, GrammarConstraint, grammar_features
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError, DataError
from nlpcli.metrics.exact_match import accuracy, exact_match
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import Answer, Decode, Setup
from nlpcli.tasks.writing import Writing, best_texts, likelihood
from nlpcli.text.batching import Features
from nlpcli.text.expression import ExpressionError, parse
from nlpcli.text.numerals import written_numbers
from nlpcli.text.rational import equal_values, value_text

from .answers import outputs
from .cleaning import clean_question
from .form import MathExample
from .grammar import QuestionGrammar

_SPECIAL_TOKENS = 3  # [CLS] question [SEP] expression [SEP]


class MathQaRecipe(Writing[MathExample]):
    """UniLM, character after character, under the grammar of each question."""

    main_score = "accuracy"
    spells = True  # as the grammar does

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup, GRAMMAR_FIELDS)
        self.grammar = QuestionGrammar(self.tokenizer)
        longest = self.options.expression_length
        self.defaults = GenerateOptions(beam=5, num=1, max_length=longest + 1)
        if (needed := _SPECIAL_TOKENS + longest + 1) > self.longest:
            raise ConfigError(
                [
                    f"data.max_length: expected {needed} or more (a question, "
                    f"task.expression_length and {_SPECIAL_TOKENS} special tokens), "
                    f"got {self.longest}"
                ]
            )

    def ask(self, row: Row) -> MathExample:
        example = MathExample(clean_question(row.string("text")))
        longest = self.longest - _SPECIAL_TOKENS - self.options.expression_length
        if (length := _characters(example.text)) > longest:
            raise DataError(
                f"expected a question of at most {longest} characters (what fits into "
                f"{self.longest} positions with an expression), got {length}"
            )
        return example

    def admit(self, example: MathExample, learning: bool) -> None:
        length = _characters(example.text + self.target(example)) + _SPECIAL_TOKENS
        if length > self.longest:
            raise DataError(
                f"{example.origin}: expected a question and an expression of at most "
                f"{self.longest} tokens (data.max_length), special ones included, "
                f"got {length}"
            )

    def target(self, example: MathExample) -> str:
        return example.expression or ""

    def prompt(self, example: MathExample) -> Features:
        features = super().prompt(example)
        if self.options.grammar:
            features |= grammar_features(self.grammar.automaton(example.text))
        return features

    def refusal(self, example: MathExample) -> DataError | None:
        """A user's problem has something to compute with; gold is as it is."""
        asked = example.expression is None and example.text
        if asked and self.options.grammar and not written_numbers(example.text):
            return DataError("expected a problem with at least one number, got none")
        return None

    def constraints(self) -> Sequence[Constraint]:
        return (self._rules if self.options.grammar else self.words,)

    @cached_property
    def _rules(self) -> GrammarConstraint:
        return GrammarConstraint(self.setup.backbone.vocab_size)

    def searched(self, options: GenerateOptions) -> GenerateOptions:
        """Every beam is wanted: one that divides by zero makes room for the next."""
        return options if options.samples else replace(options, num=options.beam)

    def outputs(
        self,
        decode: Decode,
        example: MathExample,
        hypotheses: Sequence[Hypothesis],
        options: GenerateOptions,
    ) -> list[Answer]:
        return outputs(self.vocab, hypotheses, sampled=options.samples)

    def gold(self, example: MathExample) -> dict[str, Any]:
        value = None if example.value is None else value_text(example.value)
        return {"expression": self.target(example), "value": value}

    def score(
        self, examples: Sequence[MathExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        """``accuracy``: the share of first answers with the gold value.

        ``wellformed`` is the share of first answers that are expressions,
        ``evaluates`` that of those with a value; ``perplexity`` is by character of
        the gold expression, its end included.
        """
        texts = best_texts(answers)
        values = [a["outputs"][0]["value"] if a["outputs"] else None for a in answers]
        pairs = zip(values, examples, strict=True)
        return {
            "accuracy": accuracy(_is_value(value, x.value) for value, x in pairs),
            "wellformed": accuracy(_is_expression(text) for text in texts),
            "evaluates": accuracy(value is not None for value in values),
            "exact_match": exact_match(texts, [self.target(x) for x in examples]),
            **likelihood(answers),
        }


build_recipe = MathQaRecipe


def _characters(text: str) -> int:
    """Those that are no space: each is a token."""
    return len("".join(text.split()))


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
