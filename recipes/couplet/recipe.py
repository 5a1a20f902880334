"""Couplets: the second line for a first, by two models, under the rules of the form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from nlpcli.decoders.constraints import Constraint
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.decoders.places import decode_places
from nlpcli.decoders.verse import VerseConstraint
from nlpcli.errors import DataError
from nlpcli.heads.convolution import ConvolutionModel
from nlpcli.metrics.bleu import bleu
from nlpcli.metrics.distinct import distinct
from nlpcli.metrics.exact_match import accuracy, exact_match
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import Answer, Decode, Model, Setup
from nlpcli.tasks.writing import Writing, best_texts, likelihood
from nlpcli.text.batching import Features, Field
from nlpcli.text.layouts import ended
from nlpcli.text.tones import FREE, has_tones, token_tones

from .form import CoupletExample
from .tones import demanded_tones, tonal_agreement
from .verse import (
    VERSE_FIELDS,
    answer_tokens,
    broken_rules,
    verse_features,
)

_SPECIAL_TOKENS = 3  # [CLS] first [SEP] second [SEP]


class CoupletRecipe(Writing[CoupletExample]):
    """UniLM, character after character, or a scoring of all places at once (nar)."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup, VERSE_FIELDS)
        self.rows = setup.backbone.vocab_size
        self.at_once = self.options.model == "nar"
        self.candidates = answer_tokens(self.tokenizer, self.rows)
        if self.at_once:
            pad = self.vocab.pad_id
            self.fields["target_ids"] = Field(("tokens",), pad, tokens=True)
            self.fields["target_mask"] = Field(("tokens",), False)

    def ask(self, row: Row) -> CoupletExample:
        example = CoupletExample(row.string("text"))
        longest, length = self._longest(self._positions), len(example.first)
        if longest is not None and length > longest:
            raise DataError(
                f"first line: expected at most {longest} characters (what fits "
                f"into {self._positions} positions), got {length}"
            )
        return example

    def admit(self, example: CoupletExample, learning: bool) -> None:
        longest = self._longest(self.longest if learning else self._positions)
        if longest is not None and len(example.first) > longest:
            raise DataError(
                f"{example.origin}: expected at most {longest} characters a side, got "
                f"{len(example.first)} (data.max_length)"
            )

    def source(self, example: CoupletExample) -> str:
        return example.first

    def target(self, example: CoupletExample) -> str:
        return example.second or ""

    def sequences(self, example: CoupletExample) -> list[Features]:
        above = self.tokenizer.character_ids(self.source(example))
        below = self.tokenizer.character_ids(self.target(example))
        if self.at_once:
            learn = np.ones(len(below), bool)
            return [{**_alone(above), "target_ids": below, "target_mask": learn}]
        ids, _ = ended(self.vocab, [below])
        return [self.layout.learnt(above, ids, np.ones(len(ids), bool))]

    def build(self, backbone: Any) -> Model:
        if not self.at_once:
            return super().build(backbone)
        nar = self.options.nar
        smoothing = self.options.label_smoothing
        return ConvolutionModel(backbone, nar.width, nar.layers, nar.dropout, smoothing)

    def prompt(self, example: CoupletExample) -> Features:
        verse = self._verse(example)
        return {**self.layout.asked(verse["first_ids"]), **verse}

    def constraints(self) -> Sequence[Constraint]:
        return (self._form,)

    def write(
        self,
        decode: Decode,
        examples: Sequence[CoupletExample],
        options: GenerateOptions,
    ) -> list[Answer | DataError]:
        if not self.at_once:
            return super().write(decode, examples, options)
        wanted = [i for i, example in enumerate(examples) if example.first]
        verses = [self._verse(examples[i]) for i in wanted]
        logits = decode.run([_alone(v["first_ids"]) for v in verses], "targets")
        answers: list[Answer | DataError] = [{"outputs": []} for _ in examples]
        for i, verse, rows in zip(wanted, verses, logits, strict=True):
            line = examples[i].first
            found = decode_places(
                rows[: len(line)],
                verse,
                self.candidates,
                self._tones if self.options.tones else None,
                options,
                _key(line),
            )
            answers[i] = {"outputs": self.outputs(decode, examples[i], found, options)}
        return answers

    def outputs(
        self,
        decode: Decode,
        example: CoupletExample,
        hypotheses: Sequence[Hypothesis],
        options: GenerateOptions,
    ) -> list[Answer]:
        return [self._told(example.first, hypothesis) for hypothesis in hypotheses]

    def _told(self, line: str, hypothesis: Hypothesis) -> Answer:
        pieces = []
        for number, token_id in enumerate(hypothesis.token_ids.tolist()):
            if hypothesis.satisfied and not self.candidates[token_id]:
                # A mark may be unknown to the vocabulary; the first line has it.
                pieces.append(line[number])
            elif token_id not in self._textless:
                pieces.append(self.vocab.tokens[token_id].removeprefix("##"))
        text = "".join(pieces)
        return {
            "text": text,
            "score": round(hypothesis.score, 4),
            "finish_reason": hypothesis.finish_reason,
            "tokens": pieces,
            "satisfied": hypothesis.satisfied and not broken_rules(line, text),
        }

    def score(
        self, examples: Sequence[CoupletExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        """``perplexity`` is by character of the second line.

        UniLM's end counts in the sum but not as a character. ``tone_agreement``: the
        share of the places with a tone of their own that oppose the first line's;
        None without pypinyin.
        """
        seconds = [self.target(example) for example in examples]
        texts = best_texts(answers)
        pairs = [(x.first, text) for x, text in zip(examples, texts, strict=True)]
        return {
            **likelihood(answers, sum(len(second) for second in seconds)),
            "constraint_satisfaction": accuracy(not broken_rules(*p) for p in pairs),
            "bleu": bleu(texts, [[second] for second in seconds]),
            "exact_match": exact_match(texts, seconds),
            "distinct_2": distinct(texts, 2),
            "tone_agreement": _tone_agreement(pairs) if has_tones() else None,
        }

    @property
    def _positions(self) -> int | None:
        """Convolutions have no positions; the bound is on the memory of scores."""
        sizes = self.setup.backbone
        return sizes.max_position_embeddings if self.at_once else sizes.longest

    def _longest(self, positions: int | None) -> int | None:
        """Characters a side that so many positions have room for."""
        if self.at_once or positions is None:
            return positions
        return (positions - _SPECIAL_TOKENS) // 2

    def _verse(self, example: CoupletExample) -> Features:
        line = example.first
        tones = demanded_tones(line) if self.options.tones else [0] * len(line)
        return verse_features(line, self.tokenizer.character_ids(line), tones)

    @cached_property
    def _form(self) -> VerseConstraint:
        tones = self._tones if self.options.tones else None
        return VerseConstraint(self.candidates, self.vocab.end_id, tones)

    @cached_property
    def _tones(self) -> np.ndarray:
        tones = token_tones(self.vocab.tokens)
        return np.pad(tones, (0, self.rows - len(tones)), constant_values=FREE)

    @cached_property
    def _textless(self) -> set[int]:
        """Ids without a text: special tokens, and rows beyond the vocabulary."""
        return {*self.vocab.special_ids, *range(len(self.vocab.tokens), self.rows)}


build_recipe = CoupletRecipe


def _alone(first_ids: np.ndarray) -> Features:
    return {"token_ids": first_ids, "padding_mask": np.ones(len(first_ids), bool)}


def _key(line: str) -> int:
    """A number of the line alone, so that its samples are the same in any batch."""
    return int.from_bytes(line.encode("utf-8", "surrogatepass")[:64], "big")


def _tone_agreement(pairs: Sequence[tuple[str, str]]) -> float | None:
    counts = [tonal_agreement(first, text) for first, text in pairs]
    held = sum(held for _, held in counts)
    return sum(met for met, _ in counts) / held if held else None
