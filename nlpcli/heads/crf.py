"""Linear-chain conditional random field over tags."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from nlpcli.layers.dense import Dense

# Far below any real score, and small enough that float32 keeps what stands beside.
_FORBIDDEN = -1e4


class CrfHead(keras.layers.Layer):
    """Tag scores, and the likelihood of whole tag sequences (Lafferty et al. 2001).

    hidden_states: (batch, length, hidden); logits: (batch, length, labels), the
    emissions. All of the head is float32, whatever the policy of the backbone.
    ``allowed`` (start (labels,), transitions (labels, labels) from row to column,
    end (labels,); bool) also keeps forbidden sequences out of the likelihood;
    without it only the decoder forbids them.
    """

    def __init__(
        self,
        labels: int,
        allowed: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
        name: str = "crf",
    ) -> None:
        super().__init__(name=name, dtype="float32")
        self.labels = labels
        self.penalties = (
            [0.0, 0.0, 0.0]
            if allowed is None
            else [np.where(a, 0.0, _FORBIDDEN).astype(np.float32) for a in allowed]
        )

    def build(self, input_shape: Any) -> None:
        self.emissions = Dense(
            input_shape[-1], self.labels, name="emissions", dtype="float32"
        )
        self.emissions.build()
        # Zeros: training starts from a softmax at each position.
        self.transitions = self.add_weight(
            shape=(self.labels, self.labels), initializer="zeros", name="transitions"
        )
        self.start_scores = self.add_weight(
            shape=(self.labels,), initializer="zeros", name="start_scores"
        )
        self.end_scores = self.add_weight(
            shape=(self.labels,), initializer="zeros", name="end_scores"
        )

    def call(self, hidden_states: Any, mask: Any = None, training: bool = False) -> Any:
        return self.emissions(hidden_states)

    def loss(self, labels: Any, logits: Any, mask: Any) -> tuple[Any, Any]:
        """Sum over examples of -log p(labels | logits), and how many there are.

        labels: (batch, length) int32, anything where masked; mask: (batch, length)
        bool, True first. A row without a real position counts nothing.
        """
        mask = ops.cast(mask, "bool")
        start, transitions, end = (
            variable + penalty
            for variable, penalty in zip(
                (self.start_scores, self.transitions, self.end_scores),
                self.penalties,
                strict=True,
            )
        )
        losses = sequence_losses(labels, logits, mask, start, transitions, end)
        present = ops.any(mask, axis=1)
        total = ops.sum(ops.where(present, losses, 0.0))
        return total, ops.sum(ops.cast(present, "float32"))

    def parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the decoders take: transitions, start and end scores, as numpy."""
        return tuple(
            ops.convert_to_numpy(variable)
            for variable in (self.transitions, self.start_scores, self.end_scores)
        )


def sequence_losses(
    labels: Any, logits: Any, mask: Any, start: Any, transitions: Any, end: Any
) -> Any:
    """-log p(labels) of each row: (batch,) float32.

    Each step's scores are taken relative to the gold step before they are summed,
    so log Z *is* the loss. The usual difference of log Z and the gold score, both in
    the thousands for a long text, gets the first digits of a small loss wrong.
    """
    real = ops.cast(mask, "float32")[..., None]
    logits = ops.where(mask[..., None], ops.cast(logits, "float32"), 0.0)
    # Products with one-hot rows: no scatter in the gradient, the same bits each run.
    gold = ops.one_hot(labels, logits.shape[-1], dtype="float32") * real
    arrivals = ops.concatenate(
        [
            ops.broadcast_to(start, ops.shape(gold[:, :1])),
            ops.matmul(gold[:, :-1], transitions),
        ],
        axis=1,
    )
    gold_steps = ops.sum(gold * (logits + arrivals), axis=-1, keepdims=True)
    followed = ops.pad(real[:, 1:], ((0, 0), (0, 1), (0, 0)))
    gold_end = ops.sum(gold * (real - followed) * end, axis=(1, 2))
    relative = logits - gold_steps
    return log_partition(relative, mask, start, transitions, end) - gold_end


def log_partition(
    logits: Any, mask: Any, start: Any, transitions: Any, end: Any
) -> Any:
    """Log of the summed exp-scores of all tag sequences, by the forward recursion.

    logits: (batch, length, labels) float32; mask: (batch, length) bool, True first;
    start, end: (labels,). Returns (batch,).
    """
    length = ops.shape(logits)[1]
    # Batch last: sums over a handful of labels then run along a long axis.
    steps = ops.transpose(logits, (1, 2, 0))
    real = ops.transpose(mask)[:, None, :]
    matrix = transitions[:, :, None]

    def advance(t: Any, alpha: Any) -> tuple[Any, Any]:
        reached = _log_sum_exp(alpha[:, None, :] + matrix) + ops.take(steps, t, axis=0)
        return t + 1, ops.where(ops.take(real, t, axis=0), reached, alpha)

    # The bound on the iterations is what lets XLA compile the gradient.
    _, alpha = ops.while_loop(
        lambda t, _: t < length,
        advance,
        (ops.convert_to_tensor(1, "int32"), start[:, None] + steps[0]),
        maximum_iterations=length,
    )
    return _log_sum_exp(alpha + end[:, None])


def _log_sum_exp(x: Any) -> Any:
    """Over the first axis; the maximum is a shift, so no gradient goes through it."""
    top = ops.stop_gradient(ops.max(x, axis=0, keepdims=True))
    return ops.log(ops.sum(ops.exp(x - top), axis=0)) + top[0]
