"""Couplets: the second line for a first, by two models, under the rules of the form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import DataError
from nlpcli.heads.convolution import ConvolutionModel
from nlpcli.heads.sequence_model import sequence_model
from nlpcli.metrics.bleu import bleu
from nlpcli.metrics.distinct import distinct
from nlpcli.metrics.exact_match import accuracy, exact_match
from nlpcli.metrics.perplexity import perplexity
from nlpcli.recipe import EncodedWindow
from nlpcli.text.batching import Features, Field, collate
from nlpcli.text.sequences import prompt_features, sequence_fields, training_features
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.windows import Window
from recipes.couplet.constraint import CoupletForm
from recipes.couplet.examples import CoupletExample, read_examples
from recipes.couplet.form import (
    FORM_FIELDS,
    answer_tokens,
    broken_rules,
    form_features,
)
from recipes.couplet.places import decode_places
from recipes.couplet.tones import (
    demanded_tones,
    has_tones,
    token_tones,
    tonal_agreement,
)

_SPECIAL_TOKENS = 3  # [CLS] first [SEP] second [SEP]
_BATCH = 64


class CoupletRecipe:
    """See nlpcli.recipe.Recipe for what each method promises."""

    main_score = "log_likelihood"
    generation = GenerateOptions(beam=4, num=1)

    def __init__(self, config: RunConfig, tokenizer: Tokenizer) -> None:
        self.options = config.task
        self.tokenizer = tokenizer
        self.positions: int | None = config.data.max_length
        self.model: Any = None
        self.candidates = answer_tokens(tokenizer)
        self._tones: np.ndarray | None = None
        self._constraints: dict[bool, CoupletForm] = {}
        self.fields = {**sequence_fields(tokenizer.vocab.pad_id), **FORM_FIELDS}
        if self.at_once:
            self.fields["target_ids"] = Field(("tokens",), tokenizer.vocab.pad_id)
            self.fields["target_mask"] = Field(("tokens",), False)

    @property
    def at_once(self) -> bool:
        """Whether the model is the non-autoregressive one."""
        return bool(self.options.model == "nar")

    @property
    def longest(self) -> int | None:
        """Characters a side that the model has room for; None is any number."""
        if self.at_once or self.positions is None:
            return self.positions
        return (self.positions - _SPECIAL_TOKENS) // 2

    def read(self, path: str | Path) -> Iterator[CoupletExample | DataError]:
        return read_examples(path, self.longest)

    def prompt(self, text: str) -> CoupletExample:
        example = CoupletExample(text)
        longest, length = self.longest, len(example.first)
        if longest is not None and length > longest:
            raise DataError(
                f"first line: expected at most {longest} characters (what fits "
                f"into {self.positions} positions), got {length}"
            )
        return example

    def learn(self, example: CoupletExample) -> None:
        """Nothing: the labels are characters."""

    def check(self, example: CoupletExample) -> None:
        """Any couplet can be scored."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing was kept."""

    def encode(
        self, examples: Sequence[CoupletExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        return [[self._encoded(example)] for example in examples]

    def _encoded(self, example: CoupletExample) -> EncodedWindow:
        first, second = example.first, example.second or ""
        above = self.tokenizer.character_ids(first)
        below = self.tokenizer.character_ids(second)
        if self.at_once:
            features = {
                **_source(above),
                "target_ids": below,
                "target_mask": np.ones(len(below), bool),
            }
        else:
            vocab = self.tokenizer.vocab
            ids = [vocab.cls_id, *above, vocab.sep_id, *below, vocab.sep_id]
            segments = np.arange(len(ids)) >= len(first) + 2
            features = training_features(ids, segments, segments)
        length = len(example.text)
        return EncodedWindow(features, Window(0, length, 0, length, 0, len(first)))

    def build(self, backbone: Any) -> Any:
        options = self.options
        if self.at_once:
            # Convolutions have no positions; the bound is on the memory of scores.
            self.positions = backbone.config.max_position_embeddings
            self.model = ConvolutionModel(
                backbone,
                options.nar.width,
                options.nar.layers,
                options.nar.dropout,
                options.label_smoothing,
            )
        else:
            self.positions = backbone.config.longest
            self.model = sequence_model(
                backbone, options, "unilm", self.tokenizer.vocab
            )
        return self.model

    def generate(
        self,
        decode: Any,
        examples: Sequence[CoupletExample],
        options: GenerateOptions,
    ) -> list[dict[str, Any]]:
        tonal = bool(options.extra.get("tones", self.options.tones))
        asked = [i for i, example in enumerate(examples) if example.first]
        lines = [examples[i].first for i in asked]
        forms = [self._form(line, tonal) for line in lines]
        if self.at_once:
            found = self._places(lines, forms, options, tonal)
        else:
            prompts = [self._prompt(form) for form in forms]
            found = decode(prompts, options, (self._constraint(tonal),), asked)
        answers: list[dict[str, Any]] = [{"outputs": []} for _ in examples]
        for i, line, hypotheses in zip(asked, lines, found, strict=True):
            answers[i]["outputs"] = [self._output(line, h) for h in hypotheses]
        return answers

    def _form(self, line: str, tonal: bool) -> Features:
        tones = demanded_tones(line) if tonal else [0] * len(line)
        return form_features(line, self.tokenizer.character_ids(line), tones)

    def _prompt(self, form: Features) -> Features:
        vocab = self.tokenizer.vocab
        ids = [vocab.cls_id, *form["first_ids"], vocab.sep_id]
        return {**prompt_features(ids, [0] * len(ids), next_segment=1), **form}

    def _constraint(self, tonal: bool) -> CoupletForm:
        """One object for each kind: programs are compiled for the object."""
        if tonal not in self._constraints:
            self._constraints[tonal] = CoupletForm(
                self.candidates,
                self.tokenizer.vocab.sep_id,
                self._token_tones() if tonal else None,
            )
        return self._constraints[tonal]

    def _token_tones(self) -> np.ndarray:
        if self._tones is None:
            self._tones = token_tones(self.tokenizer.vocab.tokens)
        return self._tones

    def _places(
        self,
        lines: Sequence[str],
        forms: Sequence[Features],
        options: GenerateOptions,
        tonal: bool,
    ) -> list[list[Hypothesis]]:
        """Answers of the model that scores all places at once."""
        order = sorted(range(len(lines)), key=lambda i: -len(lines[i]))
        tones = self._token_tones() if tonal else None
        found: list[list[Hypothesis]] = [[] for _ in lines]
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            sizes = {"tokens": len(lines[chosen[0]])}
            sources = [_source(forms[i]["first_ids"]) for i in chosen]
            batch = collate(sources, self.fields, sizes)
            logits = np.asarray(self.model(batch, training=False)["targets"])
            for i, row in zip(chosen, logits, strict=True):
                row = row[: len(lines[i])]
                found[i] = decode_places(
                    row, forms[i], self.candidates, tones, options, _key(lines[i])
                )
        return found

    def _output(self, line: str, hypothesis: Hypothesis) -> dict[str, Any]:
        vocab = self.tokenizer.vocab
        pieces = []
        for place, token_id in enumerate(hypothesis.token_ids.tolist()):
            if hypothesis.satisfied and not self.candidates[token_id]:
                # A mark may be unknown to the vocabulary; the first line has it.
                pieces.append(line[place])
            elif token_id not in vocab.special_ids:
                pieces.append(vocab.tokens[token_id].removeprefix("##"))
        text = "".join(pieces)
        return {
            "text": text,
            "score": round(hypothesis.score, 4),
            "finish_reason": hypothesis.finish_reason,
            "tokens": pieces,
            "satisfied": hypothesis.satisfied and not broken_rules(line, text),
        }

    def gold(self, example: CoupletExample) -> str | None:
        return example.second

    def score(
        self, examples: Sequence[CoupletExample], answers: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """``perplexity`` is by character of the second line.

        UniLM's end counts in the sum but not as a character. ``tone_agreement``: the
        share of the places with a tone of their own that oppose the first line's;
        None without pypinyin.
        """
        firsts = [example.first for example in examples]
        seconds = [example.second or "" for example in examples]
        texts = [a["outputs"][0]["text"] if a["outputs"] else "" for a in answers]
        pairs = list(zip(firsts, texts, strict=True))
        nll = sum(answer["nll"] for answer in answers)
        characters = sum(len(second) for second in seconds)
        kept = [not broken_rules(first, text) for first, text in pairs]
        return {
            "perplexity": perplexity(nll, characters),
            "log_likelihood": -nll / characters if characters else None,
            "constraint_satisfaction": accuracy(kept),
            "bleu": bleu(texts, [[second] for second in seconds]),
            "exact_match": exact_match(texts, seconds),
            "distinct_2": distinct(texts, 2),
            "tone_agreement": _tone_agreement(pairs) if has_tones() else None,
        }


def build_recipe(config: RunConfig, tokenizer: Tokenizer) -> CoupletRecipe:
    """The recipe for a run."""
    return CoupletRecipe(config, tokenizer)


def _source(first_ids: np.ndarray) -> Features:
    return {"token_ids": first_ids, "padding_mask": np.ones(len(first_ids), bool)}


def _key(line: str) -> int:
    """A number of the line alone, so that its samples are the same in any batch."""
    return int.from_bytes(line.encode("utf-8", "surrogatepass")[:64], "big")


def _tone_agreement(pairs: Sequence[tuple[str, str]]) -> float | None:
    counts = [tonal_agreement(first, text) for first, text in pairs]
    held = sum(held for _, held in counts)
    return sum(met for met, _ in counts) / held if held else None
