"""Named entities: a tag for each character (CRF) or a score for each span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpcli.decoders.pointer import decode as decode_pointer
from nlpcli.decoders.tags import TagScheme, spread
from nlpcli.decoders.viterbi import span_scores, viterbi
from nlpcli.metrics.span_f1 import score_spans
from nlpcli.records.row import Row
from nlpcli.tasks.characters import Characters, Lift
from nlpcli.tasks.labels import Labels
from nlpcli.tasks.protocol import (
    Answer,
    EncodedWindow,
    Exports,
    Forward,
    Setup,
)
from nlpcli.text.batching import Features, Field
from nlpcli.text.characters import leading
from nlpcli.text.windows import Window, merge_spans

from .form import NerExample

if TYPE_CHECKING:
    from nlpcli.heads.published_parts import PublishedHead, UnpublishedHead
    from nlpcli.heads.task_model import TaskModel

TOKENS = "ForTokenClassification"  # the end of transformers' name
Span = tuple[int, int, str, float]


class NerRecipe(Characters[NerExample], Exports):
    """A CRF over the characters, GlobalPointer's score of each span, or a softmax."""

    main_score = "f1"

    def __init__(self, setup: Setup) -> None:
        tags, spans = Field(("characters",)), Field(("spans", None), -1)
        super().__init__(setup, {"tags": tags, "spans": spans})
        self.labels = Labels()
        self.pointer = self.options.head == "global-pointer"
        self.softmax = self.options.head == "softmax"
        self.mark = self.softmax  # transformers, which answers from an export, has it
        self.nested = self.options.nested and self.pointer

    def ask(self, row: Row) -> NerExample:
        return NerExample(row.string("text"), ())

    def learn(self, example: NerExample) -> None:
        self.labels.learn(entity.label for entity in example.entities)

    def meet(self, example: NerExample) -> None:
        names = (entity.label for entity in example.entities)
        self.labels.require(names, example.origin)

    def state(self) -> dict[str, Any]:
        return {"labels": self.labels.names}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.labels.restore(state["labels"])

    def encode(
        self, examples: Sequence[NerExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        windows = super().encode(examples, gold)
        if self.softmax:  # a piece has one tag, that of its first character
            for features, _ in (window for own in windows for window in own):
                features["char_mask"] = leading(features["char_to_token"])
        return windows

    def targets(self, example: NerExample, window: Window) -> Features:
        spans = []
        for entity in example.near(window.start, window.end):
            start = max(entity.start, window.start) - window.start
            end = min(entity.end, window.end) - window.start
            if start < end:
                spans.append((start, end, entity.label))
        if not self.pointer:
            scheme = TagScheme(self.labels.names)
            return {"tags": scheme.encode(spans, window.end - window.start)}
        rows = [(self.labels.number(label), s, e - 1) for s, e, label in spans]
        return {"spans": np.array(rows, np.int32).reshape(-1, 3)}

    def heads(self, backbone: Any, lift: Lift) -> TaskModel:
        from nlpcli.heads.crf import CrfHead
        from nlpcli.heads.pointer import GlobalPointerHead
        from nlpcli.heads.softmax import SoftmaxHead
        from nlpcli.heads.task_model import TaskModel
        from nlpcli.layers.characters import PieceStates

        head: Any
        sizes, tags = backbone.config, TagScheme(self.labels.names).tags
        if self.softmax:
            dropout = sizes.hidden_dropout_prob
            head = SoftmaxHead(sizes.hidden_size, len(tags), dropout)
        elif self.pointer:
            size = self.options.pointer_dim
            head = GlobalPointerHead(len(self.labels), head_size=size, name="spans")
        else:
            head = CrfHead(len(tags), name="tags")
        if not self.softmax:
            head.build((None, None, sizes.hidden_size))
        return TaskModel(
            backbone,
            {head.name: head},
            {head.name: head.name},
            bridge=PieceStates() if self.softmax else lift(),
            mask_key="char_mask",
        )

    def predict(self, forward: Forward, batch: Features) -> list[list[Span]]:
        mask = batch["char_mask"]
        if self.pointer:
            logits = forward(batch)["spans"]
            names = self.labels.names
            rows = decode_pointer(logits, mask, nested=self.nested)
            return [[(s, e, names[k], score) for s, e, k, score in row] for row in rows]
        logits, scheme = forward(batch)["tags"], TagScheme(self.labels.names)
        if self.softmax:
            return self._likeliest(logits, batch, scheme)
        chain = forward.decoding()
        moves = chain["transitions"]
        starts, ends = chain["start_scores"], chain["end_scores"]
        tags, _ = viterbi(logits, mask, moves, starts, ends, scheme)
        spans = [scheme.decode(row) for row in tags]
        scores = span_scores(logits, mask, moves, starts, ends, scheme, spans)
        return [
            [(*span, score) for span, score in zip(row, row_scores, strict=True)]
            for row, row_scores in zip(spans, scores, strict=True)
        ]

    def _likeliest(
        self, logits: np.ndarray, batch: Features, scheme: TagScheme
    ) -> list[list[Span]]:
        """The likeliest tag of each piece; the score of a span is its pieces' mean."""
        logits = logits - logits.max(axis=-1, keepdims=True)
        chances = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        rows = []
        for i, leads in enumerate(batch["char_mask"]):
            tags = np.where(leads, chances[i].argmax(axis=-1), 0)
            own, best = spread(tags, leads, batch["char_places"][i]), chances[i].max(-1)
            rows.append(
                [
                    (s, e, label, float(best[s:e][leads[s:e]].mean()))
                    for s, e, label in scheme.decode(own)
                ]
            )
        return rows

    def published_head(self, model: Any) -> PublishedHead | UnpublishedHead:
        from nlpcli.heads.published_parts import PublishedHead, UnpublishedHead

        if not self.softmax:
            return UnpublishedHead(
                f"the {self.options.head} head and the characters under it, which "
                "transformers has not",
                "task.head: softmax makes one that it has",
                TOKENS,
            )
        return PublishedHead(
            TOKENS,
            {"classifier": model.heads["tags"].scores},
            TagScheme(self.labels.names).tags,
            lost=self._marks(),
        )

    def _marks(self) -> tuple[str, ...]:
        """What is to be known of a piece that covers no character."""
        if self.setup.config.tokenizer.pieces == "characters":
            return ()
        found = self.tokenizer.encode_batch([chr(0x4E00 + i) for i in range(100)])
        marks = [x.token_ids[0] for x in found if not np.ptp(x.offsets[0])]
        if not marks:
            return ()
        mark = self.tokenizer.vocab.tokens[marks[0]]
        return (
            f"that {mark!r} before a text covers nothing: transformers gives it a tag, "
            "which was not learnt, and the place of the first character",
        )

    def merge(
        self, example: NerExample, parts: Sequence[tuple[Window, list[Span]]]
    ) -> Answer:
        return {
            "entities": [
                {
                    "start": start,
                    "end": end,
                    "label": label,
                    "text": example.text[start:end],
                    "score": round(score, 4),
                }
                for start, end, label, score in merge_spans(parts, self.nested)
            ]
        }

    def gold(self, example: NerExample) -> list[dict[str, Any]]:
        return [
            {"start": e.start, "end": e.end, "label": e.label} for e in example.entities
        ]

    def score(
        self, examples: Sequence[NerExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        gold = [{(e.start, e.end, e.label) for e in x.entities} for x in examples]
        found = [
            {(e["start"], e["end"], e["label"]) for e in answer["entities"]}
            for answer in answers
        ]
        return score_spans(gold, found).as_dict()


build_recipe = NerRecipe
