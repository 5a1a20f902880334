"""Named entities: a tag for each character (CRF) or a score for each span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.decoders.pointer import decode as decode_pointer
from nlpcli.decoders.tags import TagScheme
from nlpcli.decoders.viterbi import span_scores, viterbi
from nlpcli.errors import DataError
from nlpcli.heads.crf import CrfHead
from nlpcli.heads.pointer import GlobalPointerHead
from nlpcli.heads.task_model import TaskModel
from nlpcli.layers.characters import CharacterLift
from nlpcli.metrics.span_f1 import score_spans
from nlpcli.recipe import EncodedWindow
from nlpcli.text.batching import Features, Field
from nlpcli.text.characters import align_characters
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.windows import Window, cut_windows
from recipes.ner.examples import NerExample, read_examples

Span = tuple[int, int, str, float]


class NerRecipe:
    """See nlpcli.recipe.Recipe for what each method promises."""

    main_score = "f1"

    def __init__(self, config: RunConfig, tokenizer: Tokenizer) -> None:
        self.options = config.task
        self.data = config.data
        self.characters = config.tokenizer.pieces == "characters"
        self.tokenizer = tokenizer
        self.labels: list[str] = []
        self.head: Any = None
        pad = tokenizer.vocab.pad_id
        self.fields = {
            "token_ids": Field(("tokens",), pad),
            "padding_mask": Field(("tokens",), False),
            "char_ids": Field(("characters",), pad),
            "char_to_token": Field(("characters",)),
            "char_places": Field(("characters",)),
            "char_mask": Field(("characters",), False),
            "tags": Field(("characters",)),
            "spans": Field(("spans", None), -1),
        }

    @property
    def nested(self) -> bool:
        """Whether entities may lie inside one another."""
        return self.options.head == "global-pointer" and self.options.nested

    @property
    def scheme(self) -> TagScheme:
        """The tags of the learnt labels."""
        return TagScheme(self.labels)

    def read(self, path: str | Path) -> Iterator[NerExample | DataError]:
        return read_examples(path, nested=self.options.head == "global-pointer")

    def prompt(self, text: str) -> NerExample:
        return NerExample(text, (), "")

    def learn(self, example: NerExample) -> None:
        for entity in example.entities:
            if entity.label not in self.labels:
                self.labels = sorted([*self.labels, entity.label])

    def check(self, example: NerExample) -> None:
        for entity in example.entities:
            if entity.label not in self.labels:
                raise DataError(
                    f"{example.line}: expected a label of the training data "
                    f"({', '.join(self.labels)}), got {entity.label!r}"
                )

    def state(self) -> dict[str, Any]:
        return {"labels": self.labels}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.labels = list(state["labels"])

    def encode(
        self, examples: Sequence[NerExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        texts = [example.text for example in examples]
        if self.characters:
            encodings = [self.tokenizer.encode_characters(text) for text in texts]
        else:
            encodings = self.tokenizer.encode_batch(texts)
        return [
            self._windows(example, encoding, gold)
            for example, encoding in zip(examples, encodings, strict=True)
        ]

    def _windows(
        self, example: NerExample, encoding: Any, gold: bool
    ) -> list[EncodedWindow]:
        text = example.text
        if not text or text.isspace():
            return []
        pieces, places = align_characters(encoding.offsets, len(text))
        char_ids = self.tokenizer.character_ids(text)
        longest = self.data.max_length - 2
        out = []
        for window in cut_windows(
            pieces, longest, 2 * self.data.max_length, self.data.stride
        ):
            inside = slice(window.start, window.end)
            vocab = self.tokenizer.vocab
            token_ids = np.concatenate(
                [
                    [vocab.cls_id],
                    encoding.token_ids[window.first_token : window.last_token],
                    [vocab.sep_id],
                ]
            ).astype(np.int32)
            features: Features = {
                "token_ids": token_ids,
                "padding_mask": np.ones(len(token_ids), bool),
                "char_ids": char_ids[inside].astype(np.int32),
                "char_to_token": np.maximum(
                    pieces[inside] - window.first_token + 1, 0
                ).astype(np.int32),
                "char_places": places[inside].astype(np.int32),
                "char_mask": np.ones(window.end - window.start, bool),
            }
            if gold:
                features |= self._targets(example, window)
            out.append(EncodedWindow(features, window))
        return out

    def _targets(self, example: NerExample, window: Window) -> Features:
        spans = []
        for entity in example.entities:
            start = max(entity.start, window.start) - window.start
            end = min(entity.end, window.end) - window.start
            if start < end:
                spans.append((start, end, entity.label))
        if self.options.head == "crf":
            return {"tags": self.scheme.encode(spans, window.end - window.start)}
        rows = [(self.labels.index(label), s, e - 1) for s, e, label in spans]
        return {"spans": np.array(rows, np.int32).reshape(-1, 3)}

    def build(self, backbone: Any) -> TaskModel:
        size = backbone.config.hidden_size
        if self.options.head == "crf":
            self.head = CrfHead(len(self.scheme.tags), name="tags")
            labels = {"tags": "tags"}
        else:
            self.head = GlobalPointerHead(
                len(self.labels), head_size=self.options.pointer_dim, name="spans"
            )
            labels = {"spans": "spans"}
        self.head.build((None, None, size))
        return TaskModel(
            backbone,
            {self.head.name: self.head},
            labels,
            bridge=CharacterLift(
                size,
                self.options.char_layers,
                backbone.config.hidden_dropout_prob,
            ),
            mask_key="char_mask",
        )

    def predict(self, forward: Any, batch: Features) -> list[list[Span]]:
        logits = forward(batch)[self.head.name]
        mask = batch["char_mask"]
        if self.options.head != "crf":
            rows = decode_pointer(logits, mask, nested=self.nested)
            return [
                [
                    (start, end, self.labels[label], score)
                    for start, end, label, score in r
                ]
                for r in rows
            ]
        scheme = self.scheme
        moves, starts, ends = self.head.parameters()
        tags, _ = viterbi(logits, mask, moves, starts, ends, scheme)
        spans = [scheme.decode(row) for row in tags]
        scores = span_scores(logits, mask, moves, starts, ends, scheme, spans)
        return [
            [(*span, score) for span, score in zip(row, row_scores, strict=True)]
            for row, row_scores in zip(spans, scores, strict=True)
        ]

    def merge(
        self,
        example: NerExample,
        parts: Sequence[tuple[Window, list[Span]]],
    ) -> dict[str, Any]:
        entities = []
        for window, spans in parts:
            for start, end, label, score in spans:
                start, end = start + window.start, end + window.start
                if window.core_start <= start < window.core_end:
                    entities.append(
                        {
                            "start": start,
                            "end": end,
                            "label": label,
                            "text": example.text[start:end],
                            "score": round(score, 4),
                        }
                    )
        entities.sort(key=lambda e: (e["start"], e["end"]))
        return {"entities": entities if self.nested else _disjoint(entities)}

    def gold(self, example: NerExample) -> list[dict[str, Any]]:
        return [
            {"start": e.start, "end": e.end, "label": e.label} for e in example.entities
        ]

    def score(
        self, examples: Sequence[NerExample], answers: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        gold = [{(e.start, e.end, e.label) for e in x.entities} for x in examples]
        found = [
            {(e["start"], e["end"], e["label"]) for e in answer["entities"]}
            for answer in answers
        ]
        return score_spans(gold, found).as_dict()


def _disjoint(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop what overlaps an earlier entity: only neighbours' windows can do that."""
    kept: list[dict[str, Any]] = []
    for entity in entities:
        if not kept or entity["start"] >= kept[-1]["end"]:
            kept.append(entity)
    return kept


def build_recipe(config: RunConfig, tokenizer: Tokenizer) -> NerRecipe:
    """The recipe for a run."""
    return NerRecipe(config, tokenizer)
