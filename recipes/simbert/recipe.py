"""SimBERT: one model that embeds sentences and writes others that mean the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.decoders.constraints import Forbid
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError, DataError, UsageError
from nlpcli.heads.similarity import EmbeddingModel, SimBertModel
from nlpcli.recipe import EncodedWindow
from nlpcli.text.batching import Features, collate, round_up, sizes_of
from nlpcli.text.sentences import SentenceReader
from nlpcli.text.sequences import prompt_features
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.tokenizers.load import text_of
from nlpcli.text.windows import Window
from recipes.simbert.corpus import Corpus
from recipes.simbert.examples import SimilarityExample, read_examples
from recipes.simbert.features import fields_of, training_rows
from recipes.simbert.scores import MAIN_SCORES, score_answers
from recipes.simbert.text_pairs import split_pair

_BATCH = 64


class SimBertRecipe:
    """See nlpcli.recipe.Recipe for what each method promises.

    ``reader`` is how its runs read a sentence to embed; ``fit`` is what the engine
    calls before it scores a model in training.
    """

    def __init__(self, config: RunConfig, tokenizer: Tokenizer) -> None:
        self.options = config.task
        self.tokenizer = tokenizer
        self.reader = SentenceReader(
            tokenizer,
            config.data.max_length,
            self.options.prefix,
            config.tokenizer.pieces == "characters",
        )
        self.fields = fields_of(self.reader)
        self.dev_kinds: set[str] = set()
        self.corpus = Corpus()
        self.model: Any = None
        self._constraints: tuple[Forbid, ...] = ()
        room = (config.data.max_length - 3) // 2
        self.generation = GenerateOptions(
            num=5,
            top_k=5,
            min_length=2,
            max_length=room + 1,
            expected_length=max(2, room * 2 // 3),
            seed=0,
        )

    @property
    def main_score(self) -> str:
        """The most telling score that the development data has."""
        names = [name for kind, name in MAIN_SCORES.items() if kind in self.dev_kinds]
        return names[0] if names else MAIN_SCORES["pair"]

    def read(self, path: str | Path) -> Iterator[SimilarityExample | DataError]:
        return read_examples(path)

    def prompt(self, text: str) -> SimilarityExample:
        texts = split_pair(text)
        if len(texts) > 2 or (len(texts) == 2 and not all(texts)):
            told = ", ".join(repr(part[:20]) for part in texts)
            raise DataError(f"expected one text, or two with a tab between, got {told}")
        return SimilarityExample(texts, "group" if len(texts) == 1 else "pair")

    def learn(self, example: SimilarityExample) -> None:
        """Only a check: a grade says nothing about which side a pair is on."""
        graded = example.kind == "pair" and example.label not in (0, 1)
        if graded and self.options.objective != "simcse":
            raise DataError(
                f"{example.line}: expected label 0 or 1 to train, got {example.label:g}"
            )

    def check(self, example: SimilarityExample) -> None:
        """Any example can be scored; what there is decides the main score."""
        self.dev_kinds.add(example.kind)

    def state(self) -> dict[str, Any]:
        return {"dev_kinds": sorted(self.dev_kinds)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.dev_kinds = set(state["dev_kinds"])

    def encode(
        self, examples: Sequence[SimilarityExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        if gold:
            if self.options.whitening is not None:
                self.corpus.add(text for x in examples for text in x.texts)
            rows = training_rows(examples, self.reader, self.options.objective)
        else:
            texts = [[t for t in x.texts if t.strip()] for x in examples]
            read = iter(self.reader.features([t for own in texts for t in own]))
            rows = [[next(read) for _ in own] for own in texts]
        return [
            [EncodedWindow(row, _whole(example)) for row in own]
            for example, own in zip(examples, rows, strict=True)
        ]

    def build(self, backbone: Any) -> Any:
        options, config = self.options, backbone.config
        dimension = options.whitening
        if dimension is not None and dimension > config.hidden_size:
            raise ConfigError(
                [
                    f"task.whitening: expected at most {config.hidden_size} (the width "
                    f"of the encoder), got {dimension}"
                ]
            )
        vocab = self.tokenizer.vocab
        never = set(vocab.special_ids) - {vocab.sep_id}
        never |= set(range(len(vocab.tokens), config.vocab_size))
        self._constraints = (Forbid(never, config.vocab_size),)
        if options.objective == "simbert":
            self.model = SimBertModel(
                backbone, options.pooling, dimension, options.scale, vocab.special_ids
            )
        else:
            self.model = EmbeddingModel(
                backbone,
                options.pooling,
                dimension,
                options.scale,
                supervised=options.objective == "simcse-supervised",
            )
        return self.model

    def fit(self, answer: Callable[[list[SimilarityExample]], list[Any]]) -> None:
        """Whitening from the training texts, under the weights as they are."""
        texts = self.corpus.texts()
        if texts:
            raw = [SimilarityExample((text,), raw=True) for text in texts]
            vectors = np.stack([found["pooled"] for found in answer(raw)])
            self.model.whitening.fit(vectors)

    def predict(self, forward: Any, batch: Features) -> list[Any]:
        """(pooled, vector) of each row."""
        logits = forward(batch)
        return list(zip(logits["pooled"], logits["vectors"], strict=True))

    def merge(
        self, example: SimilarityExample, parts: Sequence[tuple[Window, Any]]
    ) -> dict[str, Any]:
        """vector of a text, similarity of a pair; of gold examples, of all texts."""
        if example.raw:
            return {"pooled": parts[0][1][0]}
        vectors = [vector for _, (_, vector) in parts]
        if example.kind == "group":
            lists = [_listed(vector) for vector in vectors] or [[]]
            others = {"synonym_vectors": lists[1:]} if len(lists) > 1 else {}
            return {"vector": lists[0], **others}
        alike = [round(float(vectors[0] @ other), 6) for other in vectors[1:]]
        if example.kind == "pair":
            return {"similarity": alike[0]}
        return {"similarities": alike}

    def generate(
        self,
        decode: Any,
        examples: Sequence[SimilarityExample],
        options: GenerateOptions,
    ) -> list[dict[str, Any] | DataError]:
        """Candidates by their similarity to the text, without copies of it."""
        if self.options.objective != "simbert":
            raise UsageError(
                f"a run with task.objective {self.options.objective} only embeds: "
                "expected one with simbert to generate"
            )
        asked = [
            i for i, x in enumerate(examples) if x.kind == "group" and x.text.strip()
        ]
        texts = [examples[i].text for i in asked]
        wanted = options.num or 1
        if options.samples:
            count = max(self.options.candidates, wanted)
            options = replace(options, num=count)
        else:
            options = replace(options, num=options.beam or 1)
        room = (self.reader.longest - 3) // 2
        prompts = [self._prompt(ids) for ids in self.reader.pieces(texts, room)]
        found = decode(prompts, options, self._constraints, asked)
        answers: list[dict[str, Any] | DataError] = [
            DataError("expected one text, got two with a tab between them")
            if example.kind == "pair"
            else {"outputs": []}
            for example in examples
        ]
        for i, text, hypotheses in zip(asked, texts, found, strict=True):
            outputs = self._ranked(text, self._distinct(text, hypotheses))
            answers[i] = {"outputs": outputs[:wanted]}
        return answers

    def _prompt(self, ids: np.ndarray) -> Features:
        vocab = self.tokenizer.vocab
        row = [vocab.cls_id, *ids, vocab.sep_id]
        return prompt_features(row, [0] * len(row), next_segment=1)

    def _distinct(
        self, text: str, hypotheses: Sequence[Hypothesis]
    ) -> dict[str, Hypothesis]:
        """Candidates by text; of those that differ in marks and spaces the first."""
        seen = {"", _letters(text)}
        kept: dict[str, Hypothesis] = {}
        for hypothesis in hypotheses:
            found = text_of(self.tokenizer.vocab, hypothesis.token_ids)
            if _letters(found) not in seen:
                seen.add(_letters(found))
                kept[found] = hypothesis
        return kept

    def _ranked(
        self, text: str, candidates: Mapping[str, Hypothesis]
    ) -> list[dict[str, Any]]:
        if not candidates:
            return []
        vectors = self._embed([text, *candidates])
        alike = np.round((vectors[1:] @ vectors[0]).astype(np.float64), 4)
        tokens = self.tokenizer.vocab.tokens
        outputs = [
            {
                "text": found,
                "score": float(score),
                "finish_reason": hypothesis.finish_reason,
                "tokens": [tokens[i] for i in hypothesis.token_ids],
            }
            for (found, hypothesis), score in zip(
                candidates.items(), alike, strict=True
            )
        ]
        return sorted(outputs, key=lambda row: (-row["score"], row["text"]))

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = self.reader.features(texts)
        parts = []
        for start in range(0, len(rows), _BATCH):
            some = rows[start : start + _BATCH]
            sizes = round_up([sizes_of(row, self.fields) for row in some], 8)
            batch = collate(some, self.fields, sizes)
            parts.append(np.asarray(self.model(batch, training=False)["vectors"]))
        return np.concatenate(parts)

    def gold(self, example: SimilarityExample) -> Any:
        if example.kind == "pair":
            return example.label
        return list(example.texts[1:])

    def score(
        self, examples: Sequence[SimilarityExample], answers: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        return {self.main_score: None, **score_answers(examples, answers)}


def build_recipe(config: RunConfig, tokenizer: Tokenizer) -> SimBertRecipe:
    """The recipe for a run."""
    return SimBertRecipe(config, tokenizer)


def _whole(example: SimilarityExample) -> Window:
    length = len(example.text)
    return Window(0, length, 0, length, 0, length)


def _listed(vector: np.ndarray) -> list[float]:
    return [round(value, 6) for value in vector.tolist()]


def _letters(text: str) -> str:
    """Letters and digits alone: candidates that share them are the same to a reader."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum())
