"""Classification: a label, or several, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpcli.decoders.labels import chosen_labels, probabilities, ranked_labels
from nlpcli.errors import DataError
from nlpcli.metrics.classification import best_thresholds, score_labels
from nlpcli.records.marks import names_of
from nlpcli.records.pairs import texts_of
from nlpcli.records.row import Row
from nlpcli.tasks.labels import Labels
from nlpcli.tasks.protocol import Answer, Exports, Forward, Setup, Tunes
from nlpcli.tasks.sentences import Sentences
from nlpcli.text.batching import Features, Field
from nlpcli.text.windows import Window

from .form import ClassifyExample

if TYPE_CHECKING:
    from nlpcli.heads.published_parts import PublishedHead, UnpublishedHead
    from nlpcli.heads.task_model import TaskModel


class ClassifyRecipe(Sentences[ClassifyExample], Tunes[ClassifyExample], Exports):
    """One label by a softmax; several, each by a sigmoid and a threshold of its own."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup, {"labels": Field(("labels",), -1)})
        self.labels = Labels()
        self.several = False
        self.thresholds: dict[str, float] = {}

    @property
    def main_score(self) -> str:
        return "f1" if self.several else "accuracy"

    def ask(self, row: Row) -> ClassifyExample:
        return ClassifyExample(texts_of(row))

    def texts(self, example: ClassifyExample) -> tuple[str, ...]:
        return example.texts

    def learn(self, example: ClassifyExample) -> None:
        self.labels.learn(example.labels)
        self.several |= example.several

    def meet(self, example: ClassifyExample) -> None:
        self.labels.require(example.labels, example.origin)
        if example.several and not self.several:
            raise DataError(
                f'{example.origin}: expected "label", as the training data has, got '
                '"labels"'
            )

    def state(self) -> dict[str, Any]:
        own = {"several": self.several, "thresholds": self.thresholds}
        return {"labels": self.labels.names, **own}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.labels.restore(state["labels"])
        self.several, self.thresholds = state["several"], dict(state["thresholds"])

    def targets(self, example: ClassifyExample, window: Window) -> Features:
        numbers = [self.labels.number(label) for label in example.labels]
        return {"labels": np.array(numbers, np.int32)}

    def build(self, backbone: Any) -> TaskModel:
        from nlpcli.heads.classification import ClassificationHead
        from nlpcli.heads.task_model import TaskModel
        from nlpcli.layers.pooling import pooling_of

        if not self.labels.names:
            raise DataError("training data: expected labels, got texts without any")
        sizes, balanced = backbone.config, self.options.class_weights == "balanced"
        head = ClassificationHead(
            sizes.hidden_size,
            len(self.labels),
            pooling_of(self.options.pooling, sizes.causal, "task.pooling"),
            sizes.hidden_dropout_prob,
            self.several,
            self.labels.balanced(self.several) if balanced else None,
        )
        own, parts = {"labels": head}, head.published_parts()
        return TaskModel(backbone, own, {"labels": "labels"}, published=parts)

    def published_head(self, model: Any) -> PublishedHead | UnpublishedHead:
        return model.heads["labels"].published(self.labels.names)

    def predict(self, forward: Forward, batch: Features) -> Sequence[np.ndarray]:
        return list(probabilities(forward(batch)["labels"], self.several))

    def tune(
        self, examples: Sequence[ClassifyExample], parts: Sequence[np.ndarray]
    ) -> None:
        if self.several:
            gold = [example.labels for example in examples]
            self.thresholds = best_thresholds(self.labels.names, gold, parts)

    def merge(
        self, example: ClassifyExample, parts: Sequence[tuple[Window, np.ndarray]]
    ) -> Answer:
        """The label, or labels, with probabilities; none for a blank text."""
        if not parts:
            return {"labels": []} if self.several else {"label": None}
        names, chances = self.labels.names, parts[0][1]
        told, top = ranked_labels(names, chances), self.options.top
        answer: Answer = dict(told[0])
        if self.several:
            answer = {"labels": chosen_labels(names, chances, self.thresholds)}
        return answer if top is None else {**answer, "top": told[:top]}

    def gold(self, example: ClassifyExample) -> Any:
        several = self.several or example.several
        return list(example.labels) if several else example.labels[0]

    def score(
        self, examples: Sequence[ClassifyExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        found = [set(names_of(answer)) for answer in answers]
        return score_labels([set(x.labels) for x in examples], found)


build_recipe = ClassifyRecipe
