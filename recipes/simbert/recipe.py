"""SimBERT: one model that embeds sentences and writes others that mean the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError, DataError, UsageError
from nlpcli.heads.endings import ENDINGS
from nlpcli.metrics.retrieval import retrieval_scores
from nlpcli.metrics.spearman import pair_scores
from nlpcli.records.pairs import PAIRS, TAB, joined
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import (
    Answer,
    Answers,
    Decode,
    Embeds,
    EncodedWindow,
    Fits,
    Forward,
    Model,
    Setup,
)
from nlpcli.tasks.writing import Writing
from nlpcli.text.batching import Features, Field
from nlpcli.text.corpus import Corpus
from nlpcli.text.sentences import SentenceReader
from nlpcli.text.sequences import asked
from nlpcli.text.windows import Window, whole_window

from .features import NO_NEGATIVE, has_negative, training_rows
from .form import SimilarityExample

# by kind of example, the most telling first
_MAIN_SCORES = {"pair": "spearman", "group": "mrr", "triplet": "triplet_accuracy"}


class SimBertRecipe(
    Writing[SimilarityExample], Answers[SimilarityExample], Embeds, Fits
):
    """Vectors by contrast inside a batch; with the objective simbert it also writes."""

    main_score = _MAIN_SCORES["pair"]
    takes_both = False  # a vector is of one stack

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        width, dimension = setup.backbone.hidden_size, self.options.whitening
        if dimension is not None and dimension > width:
            raise ConfigError(
                [
                    f"task.whitening: expected at most {width} (the width of the "
                    f"encoder), got {dimension}"
                ]
            )
        own = self.fields
        self.fields = {name + end: own[name] for end in ENDINGS for name in own}
        for name in NO_NEGATIVE:
            self.fields[name] = replace(self.fields[name], sparse=True)
        self.fields["group"] = Field(())
        self.reader = SentenceReader(
            self.tokenizer, self.longest, self.options.prefix, self.by_character
        )
        self.room = (self.longest - 3) // 2  # [CLS] one text [SEP] the other [SEP]
        self.defaults = GenerateOptions(
            num=5,
            top_k=5,
            min_length=2,
            max_length=self.room + 1,
            expected_length=max(2, self.room * 2 // 3),
            seed=0,
        )
        self.dev_kinds: set[str] = set()
        self.corpus = Corpus()
        self.negatives = False

    def ask(self, row: Row) -> SimilarityExample:
        pair = tuple(row.string(name) for name in PAIRS[0] if name in row)
        line = joined(pair) if len(pair) == 2 else row.string("text")
        texts = tuple(part.strip() for part in line.split(TAB))
        if not any(texts):
            texts = ("",)
        if len(texts) > 2 or (len(texts) == 2 and not all(texts)):
            told = ", ".join(repr(part[:20]) for part in texts)
            raise DataError(f"expected one text, or two with a tab between, got {told}")
        return SimilarityExample(texts, "group" if len(texts) == 1 else "pair")

    def admit(self, example: SimilarityExample, learning: bool) -> None:
        """A grade says nothing about which side a pair is on."""
        graded = example.kind == "pair" and example.label not in (0, 1)
        if learning and graded and self.options.objective != "simcse":
            raise DataError(
                f"{example.origin}: expected label 0 or 1 to train, "
                f"got {example.label:g}"
            )

    def learn(self, example: SimilarityExample) -> None:
        self.negatives |= has_negative(example)
        if self.options.whitening is not None:
            self.corpus.add(example.texts)

    def meet(self, example: SimilarityExample) -> None:
        """Any example can be scored; what there is decides the main score."""
        self.restore({"dev_kinds": {*self.dev_kinds, example.kind}})

    def state(self) -> dict[str, Any]:
        return {"dev_kinds": sorted(self.dev_kinds)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.dev_kinds = set(state["dev_kinds"])
        names = [name for kind, name in _MAIN_SCORES.items() if kind in self.dev_kinds]
        self.main_score = names[0] if names else _MAIN_SCORES["pair"]

    def encode(
        self, examples: Sequence[SimilarityExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        if gold:
            rows = training_rows(examples, self.reader, self.options.objective)
        else:
            texts = [[t for t in x.texts if t.strip()] for x in examples]
            read = iter(self.reader.features([t for own in texts for t in own]))
            rows = [[next(read) for _ in own] for own in texts]
        return [
            [EncodedWindow(row, whole_window(len(example.text))) for row in own]
            for example, own in zip(examples, rows, strict=True)
        ]

    def targets(self, example: SimilarityExample, window: Window) -> Features:
        """An empty negative, where other examples have one."""
        supervised = self.options.objective == "simcse-supervised"
        if not (supervised and self.negatives) or has_negative(example):
            return {}
        return NO_NEGATIVE

    def build(self, backbone: Any) -> Model:
        from nlpcli.heads.similarity import EmbeddingModel, SimBertModel
        from nlpcli.layers.pooling import pooling_of

        options = self.options
        causal = backbone.config.causal
        pooling = pooling_of(options.pooling, causal, "task.pooling")
        reading = pooling, options.whitening, options.scale
        if options.objective == "simbert":
            return SimBertModel(backbone, *reading, self.vocab.special_ids)
        supervised = options.objective == "simcse-supervised"
        return EmbeddingModel(backbone, *reading, supervised)

    def fit(self, model: Any, run: Callable[[Sequence[Features], str], Any]) -> None:
        """Whitening from the training texts, under the weights as they are."""
        if texts := self.corpus.texts():
            vectors = run(self.reader.features(texts), "pooled")
            model.whitening.fit(np.stack(vectors))

    def predict(self, forward: Forward, batch: Features) -> list[np.ndarray]:
        return list(forward(batch)["vectors"])

    def merge(
        self, example: SimilarityExample, parts: Sequence[tuple[Window, np.ndarray]]
    ) -> Answer:
        """vector of a text, similarity of a pair; of gold examples, of all texts."""
        vectors = [vector for _, vector in parts]
        if example.kind == "group":
            lists = [_listed(vector) for vector in vectors] or [[]]
            others = {"synonym_vectors": lists[1:]} if len(lists) > 1 else {}
            return {"vector": lists[0], **others}
        alike = [round(float(vectors[0] @ other), 6) for other in vectors[1:]]
        if example.kind == "pair":
            return {"similarity": alike[0]}
        return {"similarities": alike}

    def refusal(self, example: SimilarityExample) -> DataError | None:
        if self.options.objective != "simbert":
            raise UsageError(
                f"a run with task.objective {self.options.objective} only embeds: "
                "expected one with simbert to generate"
            )
        if example.kind == "group":
            return None
        return DataError("expected one text, got two with a tab between them")

    def prompt(self, example: SimilarityExample) -> Features:
        return asked(self.vocab, self.reader.pieces([example.text], self.room)[0])

    def searched(self, options: GenerateOptions) -> GenerateOptions:
        sampled = max(self.options.candidates, options.num or 1)
        return replace(options, num=sampled if options.samples else options.beam or 1)

    def outputs(
        self,
        decode: Decode,
        example: SimilarityExample,
        hypotheses: Sequence[Hypothesis],
        options: GenerateOptions,
    ) -> list[Answer]:
        """Candidates by their similarity to the text, without copies of it; of those
        that differ in marks and spaces the first."""
        kept: dict[str, Answer] = {}
        for hypothesis in hypotheses:
            output = self.output(hypothesis)
            kept.setdefault(_letters(output["text"]), output)
        for nothing_new in ("", _letters(example.text)):
            kept.pop(nothing_new, None)
        if not kept:
            return []
        texts = [example.text, *(output["text"] for output in kept.values())]
        vectors = np.stack(decode.run(self.reader.features(texts), "vectors"))
        alike = np.round((vectors[1:] @ vectors[0]).astype(np.float64), 4)
        outputs = [
            {**output, "score": score}
            for output, score in zip(kept.values(), alike.tolist(), strict=True)
        ]
        return sorted(outputs, key=lambda row: (-row["score"], row["text"]))

    def gold(self, example: SimilarityExample) -> Any:
        return example.label if example.kind == "pair" else list(example.texts[1:])

    def score(
        self, examples: Sequence[SimilarityExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        """``accuracy`` is that at the best ``threshold`` of these pairs, for classes;
        recall and ``mrr`` of finding a text's synonyms among those of all groups;
        ``triplet_accuracy`` the share that prefers the positive."""
        scores: dict[str, Any] = {self.main_score: None}
        rows = list(zip(examples, answers, strict=True))
        if pairs := [row for row in rows if row[0].kind == "pair"]:
            labels = [example.label or 0.0 for example, _ in pairs]
            scores |= pair_scores([a["similarity"] for _, a in pairs], labels)
            scores["pairs"] = len(pairs)
        if groups := [answer for _, answer in rows if "synonym_vectors" in answer]:
            queries = np.array([answer["vector"] for answer in groups], np.float32)
            synonyms = [np.array(a["synonym_vectors"], np.float32) for a in groups]
            scores |= {**retrieval_scores(queries, synonyms), "groups": len(groups)}
        if triplets := [a["similarities"] for _, a in rows if "similarities" in a]:
            right = sum(positive > negative for positive, negative in triplets)
            scores["triplet_accuracy"] = right / len(triplets)
            scores["triplets"] = len(triplets)
        return scores


build_recipe = SimBertRecipe


def _listed(vector: np.ndarray) -> list[float]:
    return [round(value, 6) for value in vector.tolist()]


def _letters(text: str) -> str:
    """Letters and digits alone: candidates that share them are the same to a reader."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum())
