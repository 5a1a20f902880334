"""Sentence vectors: the models that make them and the losses that shape them.

Features for training carry ``group``; without it a model answers with vectors. What
belongs together is one row of a batch, so rows may be dealt out in any way: the
sentence under the plain names (token_ids, padding_mask ...), its partners under the
same names with an ending. Inside the model they are stacked to one batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from nlpcli.heads.endings import BACK, NEGATIVE, POSITIVE
from nlpcli.heads.sequence_model import SequenceModel
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.heads.task_model import BackboneModel
from nlpcli.layers.pooling import Pooling, Whitening, normalised

Batch = Mapping[str, Any]

NOWHERE = -1e9


class EmbeddingModel(BackboneModel):
    """A backbone and its pooling, trained by contrast alone.

    (SimCSE, Gao et al. 2021, arXiv 2104.08821.) With ``supervised`` a row holds a
    sentence and its positive; the hard negatives of a batch may be fewer, or none.
    Without, the sentence is read twice, and dropout makes the difference. Logits:
    {"pooled": (rows, hidden), "vectors": (rows, dimension) of length 1}, float32.
    """

    whole_batches = True  # the rows of a batch are each other's negatives

    def __init__(
        self,
        backbone: Any,
        pooling: str,
        whitening: int | None = None,
        scale: float = 20.0,
        supervised: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        self.scale = scale
        self.supervised = supervised
        self.pooling, self.whitening = _vector_layers(backbone, pooling, whitening)
        self.built = True

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return _dimension(self)

    def call(self, inputs: Batch, training: bool = False) -> dict[str, Any]:
        if "group" not in inputs:
            return _answer(self, inputs)
        endings: tuple[str, ...] = ("", POSITIVE) if self.supervised else ("", "")
        if "token_ids" + NEGATIVE in inputs:
            endings += (NEGATIVE,)
        rows = _stacked(inputs, ("token_ids", "padding_mask"), endings)
        mask = rows["padding_mask"]
        states = self.backbone(rows["token_ids"], None, mask, training=training)
        return {"pooled": self.pooling(states, mask)}

    def task_loss(self, inputs: Batch, logits: Mapping[str, Any]) -> tuple[Any, Any]:
        """(total, weight): cross-entropies summed over sentences, and their number."""
        real = _is_real(inputs["padding_mask"])
        if not self.supervised:
            return in_batch_loss(logits["pooled"], inputs["group"], real, self.scale)
        negatives = inputs.get("padding_mask" + NEGATIVE)
        return triplet_loss(
            logits["pooled"],
            inputs["group"],
            real,
            None if negatives is None else _is_real(negatives),
            self.scale,
        )

    def published_parts(self) -> dict[str, Any]:
        """A pooler, where pooling has one."""
        return _pooler(self)


class SimBertModel(SequenceModel):
    """UniLM over a sentence and its synonym, both ways, and the in-batch similarity.

    (kexue.fm/archives/7427.) The vector is pooled from the first segment, which sees
    nothing of the second. A stack that looks back only does so here. Logits as
    EmbeddingModel's, in training also "targets".
    """

    whole_batches = True

    def __init__(
        self,
        backbone: Any,
        pooling: str,
        whitening: int | None,
        scale: float,
        special_ids: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        attention = "causal" if backbone.config.causal else "unilm"
        super().__init__(backbone, SequenceOptions(), attention, special_ids, **kwargs)
        self.scale = scale
        self.pooling, self.whitening = _vector_layers(backbone, pooling, whitening)

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return _dimension(self)

    def call(self, inputs: Batch, training: bool = False) -> dict[str, Any]:
        if "group" not in inputs:
            return _answer(self, inputs)
        names = ("token_ids", "segment_ids", "padding_mask", "predict_at")
        rows = _stacked(inputs, names, ("", BACK))
        segment_ids, mask = rows["segment_ids"], rows["padding_mask"]
        states = self.backbone(
            rows["token_ids"],
            segment_ids,
            mask,
            training=training,
            attention_mask=self.attention(segment_ids, mask),
        )
        first = ops.logical_and(mask, ops.equal(segment_ids, 0))
        at = ops.cast(rows["predict_at"], "int32")[..., None]
        return {
            "pooled": self.pooling(states, first),
            "targets": self.head(
                ops.take_along_axis(states, at, axis=1),
                token_table=self.backbone.output_table,
            ),
        }

    def task_loss(self, inputs: Batch, logits: Mapping[str, Any]) -> tuple[Any, Any]:
        """(total, weight), whose quotient is the sum of two means.

        Cross-entropy by target token, and similarity by row, as the release adds them.
        """
        rows = _stacked(inputs, ("target_ids", "target_mask"), ("", BACK))
        written, weight = self._cross_entropy(
            rows["target_ids"], logits["targets"], rows["target_mask"]
        )
        real = _is_real(inputs["padding_mask"])
        alike, count = in_batch_loss(
            logits["pooled"], inputs["group"], real, self.scale
        )
        return written + alike * weight / ops.maximum(count, 1.0), weight

    def published_parts(self) -> dict[str, Any]:
        """The output head and, where pooling has one, the pooler."""
        return {**super().published_parts(), **_pooler(self)}


def in_batch_loss(
    vectors: Any, groups: Any, real: Any, scale: float
) -> tuple[Any, Any]:
    """Cross-entropy of finding each row's partner among all other rows: (sum, rows).

    vectors: (2n, hidden), rows i and i + n are partners; groups: (n,), pairs of one
    group are no negatives of each other; real: (n,) bool. As in the SimBERT release:
    cosines times ``scale``, the diagonal masked, the partner's row is the label.
    """
    vectors = normalised(vectors)
    groups, real = ops.concatenate([groups, groups]), ops.concatenate([real, real])
    count = ops.shape(vectors)[0]
    place = ops.arange(count)
    partner = (place + count // 2) % count
    is_partner = place[None, :] == partner[:, None]
    other = ops.logical_and(groups[:, None] != groups[None, :], real[None, :])
    logits = ops.matmul(vectors, ops.transpose(vectors)) * scale
    logits = ops.where(ops.logical_or(is_partner, other), logits, NOWHERE)
    return _chosen(logits, is_partner, real)


def triplet_loss(
    vectors: Any, groups: Any, real: Any, has_negative: Any, scale: float
) -> tuple[Any, Any]:
    """Cross-entropy of finding a sentence's positive among all: (sum, sentences).

    vectors: (2n + k, hidden), sentences, positives and, unless ``has_negative`` is
    None, k hard negatives, no matter whose; the positives of others and the hard
    negatives of all are the wrong answers (SimCSE, supervised). groups: (n,); real:
    (n,) bool; has_negative: (k,) bool.
    """
    vectors, count = normalised(vectors), ops.shape(groups)[0]
    place = ops.arange(count)
    right = place[:, None] == place[None, :]
    other = ops.logical_and(groups[:, None] != groups[None, :], real[None, :])
    seen = ops.logical_or(right, other)
    if has_negative is not None:
        hard = ops.logical_or(has_negative[None, :], ops.zeros_like(right[:, :1]))
        seen = ops.concatenate([seen, hard], axis=1)
        right = ops.concatenate([right, ops.zeros_like(hard)], axis=1)
    logits = ops.matmul(vectors[:count], ops.transpose(vectors[count:])) * scale
    return _chosen(ops.where(seen, logits, NOWHERE), right, real)


def _chosen(logits: Any, right: Any, real: Any) -> tuple[Any, Any]:
    """-log softmax at ``right``, one a row, summed over the real rows."""
    weights = ops.cast(real, "float32")
    losses = -ops.sum(ops.where(right, ops.log_softmax(logits, axis=-1), 0.0), axis=-1)
    return ops.sum(losses * weights), ops.sum(weights)


def _stacked(
    inputs: Batch, names: tuple[str, ...], endings: tuple[str, ...]
) -> dict[str, Any]:
    return {
        name: ops.concatenate([inputs[name + ending] for ending in endings])
        for name in names
    }


def _is_real(padding_mask: Any) -> Any:
    """(batch,) bool: rows that hold a sentence, not filler."""
    return ops.any(padding_mask, axis=-1)


def _answer(model: Any, inputs: Batch) -> dict[str, Any]:
    mask = inputs["padding_mask"]
    pooled = model.pooling(model.backbone(inputs["token_ids"], None, mask), mask)
    white = pooled if model.whitening is None else model.whitening(pooled)
    return {"pooled": pooled, "vectors": normalised(white)}


def _vector_layers(
    backbone: Any, pooling: str, whitening: int | None
) -> tuple[Pooling, Whitening | None]:
    size = backbone.config.hidden_size
    white = None if whitening is None else Whitening(size, whitening)
    return Pooling(pooling, size, dtype=backbone.dtype_policy), white


def _dimension(model: Any) -> int:
    if model.whitening is None:
        return int(model.backbone.config.hidden_size)
    return int(model.whitening.matrix.shape[1])


def _pooler(model: Any) -> dict[str, Any]:
    pooler = model.pooling.pooler
    return {} if pooler is None else {"pooler": pooler}
