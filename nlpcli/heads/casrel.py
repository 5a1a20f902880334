"""CasRel: subjects first, then the objects of each subject, a pointer a predicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from nlpcli.decoders.cascade import OBJECT_POWER, SUBJECT_POWER, second_stage
from nlpcli.heads.task_model import Batch, TaskModel
from nlpcli.layers.conditional_norm import ConditionalLayerNorm
from nlpcli.layers.dense import Dense
from nlpcli.text.batching import Features


class CasRelHead(keras.layers.Layer):
    """Start and last character of subjects, and of a subject's objects.

    (Wei et al. 2020, arXiv 1909.03227, as in Su, kexue.fm/archives/7161.) The states
    of a subject's two ends condition the layer norm under the object scores. A logit
    x stands for the probability sigmoid(x) ** power, 2 for subjects and 4 for objects:
    a prior, since nearly all positions are negative. All of it is float32.
    """

    def __init__(self, size: int, predicates: int, name: str = "casrel") -> None:
        super().__init__(name=name, dtype="float32")
        self.size = size
        self.predicates = predicates

    def build(self, input_shape: Any = None) -> None:
        self.subject_scores = Dense(self.size, 2, name="subjects", dtype="float32")
        self.norm = ConditionalLayerNorm(self.size, 2 * self.size, name="norm")
        self.object_scores = Dense(
            self.size, 2 * self.predicates, name="objects", dtype="float32"
        )
        for part in (self.subject_scores, self.norm, self.object_scores):
            part.build()
        self.built = True

    def subjects(self, hidden_states: Any) -> Any:
        """(batch, length, hidden) -> (batch, length, 2): start, last."""
        return self.subject_scores(ops.cast(hidden_states, "float32"))

    def objects(self, hidden_states: Any, spans: Any) -> Any:
        """The objects of one subject a row.

        hidden_states: (batch, length, hidden); spans: (batch, 2) int32, first and last
        character; returns (batch, length, predicates, 2).
        """
        states = ops.cast(hidden_states, "float32")
        length = ops.shape(states)[1]
        # A product with one-hot rows, whose gradient is a product too: the same bits
        # on every run.
        ends = ops.matmul(ops.one_hot(spans, length, dtype="float32"), states)
        subject = ops.reshape(ends, (-1, 2 * self.size))
        scores = self.object_scores(self.norm(states, subject))
        return ops.reshape(scores, (-1, length, self.predicates, 2))


class CasRelModel(TaskModel):
    """Backbone, bridge and a CasRelHead, called in three ways.

    With gold (``subjects`` (batch, subjects, 2) and ``triples`` (batch, triples, 5):
    subject start, subject last, predicate, object start, object last; filled with -1)
    it draws one subject for each row and gives the logits ``subjects`` and ``objects``
    and the drawn ``subject``. Without, it gives ``subjects`` and ``hidden_states``,
    which come back for the second stage beside ``candidates`` (count, 2), subjects, and
    ``candidate_rows`` (count,), the row of each: then it gives their ``objects``.
    """

    def __init__(
        self, backbone: Any, head: CasRelHead, bridge: Any, mask_key: str, **kwargs: Any
    ) -> None:
        super().__init__(backbone, {}, {}, bridge, mask_key, **kwargs)
        self.head = head
        self.draws = keras.random.SeedGenerator()

    def call(self, inputs: Batch, training: bool = False) -> dict[str, Any]:
        if "candidates" in inputs:
            rows = ops.take(inputs["hidden_states"], inputs["candidate_rows"], axis=0)
            return {"objects": self.head.objects(rows, inputs["candidates"])}
        states = self.states(inputs, training)
        logits = {"subjects": self.head.subjects(states)}
        if "subjects" not in inputs:
            return {**logits, "hidden_states": ops.cast(states, "float32")}
        subjects = inputs["subjects"]
        chances = keras.random.uniform((ops.shape(subjects)[0], 2), seed=self.draws)
        subject = draw_subject(subjects, chances)
        objects = self.head.objects(states, ops.maximum(subject, 0))
        return {**logits, "subject": subject, "objects": objects}

    def stages(
        self, batch: Features, forward: Callable[[Features], Mapping[str, np.ndarray]]
    ) -> list[Features]:
        """The text, then its states with a subject for each row."""
        states = forward(batch)["hidden_states"]
        rows = np.arange(len(states), dtype=np.int32)
        spans = np.zeros((len(states), 2), np.int32)
        return [batch, second_stage(states, rows, spans)]

    def task_loss(self, inputs: Batch, logits: Mapping[str, Any]) -> tuple[Any, Any]:
        """Cross-entropies summed over real characters, and how many there are.

        A row's is the mean over start and last of its subjects' and, summed over the
        predicates, of the drawn subject's objects; a row without a subject has none of
        the latter.
        """
        mask = ops.cast(inputs[self.mask_key], "float32")
        subject = logits["subject"]
        subjects = _marks(inputs["subjects"], ops.shape(logits["subjects"]))
        objects = object_marks(inputs["triples"], subject, ops.shape(logits["objects"]))
        first = power_losses(subjects, logits["subjects"], SUBJECT_POWER)
        second = power_losses(objects, logits["objects"], OBJECT_POWER)
        drawn = ops.cast(subject[:, :1] >= 0, "float32")
        losses = ops.mean(first, axis=-1) + drawn * ops.sum(
            ops.mean(second, axis=-1), axis=-1
        )
        return ops.sum(losses * mask), ops.sum(mask)


def draw_subject(subjects: Any, chances: Any) -> Any:
    """A start among the gold starts, then a last among the gold lasts not before it.

    The two may be of different subjects: such a draw has no objects, which teaches
    the model to find none (kexue.fm/archives/7161). subjects: (batch, subjects, 2)
    int32, filler -1 at the end; chances: (batch, 2) in [0, 1); returns (batch, 2),
    -1 in a row without subjects.
    """
    subjects = ops.cast(subjects, "int32")
    starts, lasts = subjects[..., 0], subjects[..., 1]
    real = starts >= 0
    start = _draw(starts, real, chances[:, 0])
    last = _draw(lasts, real & (lasts >= start[:, None]), chances[:, 1])
    return ops.stack([start, last], axis=1)


def object_marks(triples: Any, subject: Any, shape: Any) -> Any:
    """Where the objects of one subject a row start and end, as booleans.

    triples: (batch, triples, 5); subject: (batch, 2); returns ``shape``, (batch,
    length, predicates, 2).
    """
    triples = ops.cast(triples, "int32")
    own = ops.all(triples[..., :2] == subject[:, None], axis=-1) & (
        triples[..., 0] >= 0
    )
    places = ops.stack([triples[..., 3], triples[..., 4]], axis=-1)
    predicates = ops.broadcast_to(triples[..., 2:3], ops.shape(places))
    return _scatter([places, predicates], own, shape)


def power_losses(labels: Any, logits: Any, power: int) -> Any:
    """Binary cross-entropy of the probabilities sigmoid(logits) ** power, each.

    In log space: log p is power * log sigmoid(x), and 1 - s^n = (1 - s)(1 + s + ...
    + s^(n-1)) gives log(1 - p) without a difference of nearly equal numbers. Clipping
    p, as is usual, stops the gradient of a positive once p is below the clip.
    labels: bool of the logits' shape; returns float32 of that shape.
    """
    logits = ops.cast(logits, "float32")
    positive = power * ops.softplus(-logits)
    sigmoid = ops.sigmoid(logits)
    series = ops.zeros_like(sigmoid)
    for _ in range(power - 1):
        series = (series + 1.0) * sigmoid
    negative = ops.softplus(logits) - ops.log1p(series)
    return ops.where(labels, positive, negative)


def _draw(values: Any, allowed: Any, chance: Any) -> Any:
    """One of a row's allowed values, -1 where there is none; equal chances."""
    order = ops.cumsum(ops.cast(allowed, "int32"), axis=1)
    count = order[:, -1]
    wanted = ops.cast(ops.floor(chance * ops.cast(count, "float32")), "int32")
    # chance * count may round up to count
    wanted = ops.minimum(wanted, count - 1) + 1
    chosen = allowed & (order == wanted[:, None])
    value = ops.sum(ops.where(chosen, values, 0), axis=1)
    return ops.where(count > 0, value, -1)


def _marks(spans: Any, shape: Any) -> Any:
    """Starts and lasts of spans, (batch, spans, 2), as (batch, length, 2) bool."""
    spans = ops.cast(spans, "int32")
    return _scatter([spans], spans[..., 0] >= 0, shape)


def _scatter(axes: list[Any], real: Any, shape: Any) -> Any:
    """True at (row, *axes, end) of every real item; axes: (batch, items, 2), by end."""
    batch, items = ops.shape(real)[:2]
    wanted = (batch, items, 2)
    rows = ops.broadcast_to(ops.arange(batch, dtype="int32")[:, None, None], wanted)
    ends = ops.broadcast_to(ops.arange(2, dtype="int32"), wanted)
    # Filler adds nothing to the cell that it points at.
    places = ops.stack([rows, *(ops.maximum(a, 0) for a in axes), ends], axis=-1)
    values = ops.broadcast_to(ops.cast(real, "int8")[..., None], wanted)
    return ops.scatter(places, values, shape) > 0
