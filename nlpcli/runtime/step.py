"""The training step: loss, gradients, all-reduce, update; inside tf.distribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.heads.task_model import TaskModel
from nlpcli.runtime.blocks import SharedBlocks
from nlpcli.runtime.islands import SharedIslands
from nlpcli.runtime.optimizer import AdamW


@dataclass(frozen=True)
class StepResult:
    """What one step reports; ``finite`` False means that nothing was updated."""

    loss: float
    grad_norm: float
    finite: bool


class TrainStep:
    """Call it with one micro-batch or several: they make one update.

    A micro-batch is a dict of tensors, or a list of ``lanes`` dicts: parts of it
    that one program computes side by side.

    Totals and weights are summed over micro-batches and replicas before the
    division, so the update is that of the whole batch at once. A step whose loss or
    gradient is not finite leaves every variable as it was.
    """

    def __init__(
        self,
        model: TaskModel,
        optimizer: AdamW,
        strategy: tf.distribute.Strategy,
        clip_norm: float | None,
        xla: bool,
        signature: Mapping[str, tf.TensorSpec] | None,
        blocks: SharedBlocks | SharedIslands | None = None,
        lanes: int = 1,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.strategy = strategy
        self.clip_norm = clip_norm
        self.blocks = blocks
        self._apply = (
            tf.function(optimizer.apply, jit_compile=True, autograph=False)
            if blocks is not None
            else optimizer.apply
        )
        self.distributed = strategy.num_replicas_in_sync > 1
        self.accumulators: list[tf.Variable] = []
        scalars = [tf.TensorSpec((), tf.float32), tf.TensorSpec((4,), tf.float32)]
        dynamic = None
        if signature is not None and not self.distributed:
            part = dict(signature)
            batch = part if lanes == 1 else [part] * lanes
            dynamic = [batch, tf.TensorSpec((), tf.float32)]
        self._one = tf.function(
            self._run_one,
            autograph=False,
            jit_compile=xla or None,
            input_signature=None if dynamic is None else dynamic + scalars,
        )
        self._add = tf.function(
            self._run_add,
            autograph=False,
            jit_compile=xla or None,
            input_signature=dynamic,
        )
        self._finish = tf.function(
            self._run_finish, autograph=False, jit_compile=xla or None
        )

    def __call__(
        self,
        micro_batches: Sequence[Any],
        rate: float,
        hyper: np.ndarray,
        loss_scale: float = 1.0,
    ) -> StepResult:
        scale = tf.constant(loss_scale, tf.float32)
        rate_ = tf.constant(rate, tf.float32)
        hyper_ = tf.constant(hyper, tf.float32)
        if len(micro_batches) == 1:
            values = self._one(micro_batches[0], scale, rate_, hyper_)
        else:
            if not self.accumulators:
                self._make_accumulators()
            total = weight = tf.constant(0.0)
            for batch in micro_batches:
                part, count = self._add(batch, scale)
                total, weight = total + part, weight + count
            values = self._finish(total, weight, scale, rate_, hyper_)
        loss, norm, finite = (float(value) for value in values)
        return StepResult(loss, norm, bool(finite))

    def programs(self) -> int:
        """How many times a step was traced (and compiled, under XLA)."""
        return sum(
            function.experimental_get_tracing_count()
            for function in (self._one, self._add, self._finish)
        )

    def _make_accumulators(self) -> None:
        with self.strategy.scope():
            self.accumulators = [
                tf.Variable(
                    tf.zeros(v.shape),
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.SUM,
                )
                if self.distributed
                else tf.Variable(tf.zeros(v.shape), trainable=False)
                for v in self.optimizer.variables
            ]

    def _run_one(self, batch: Any, scale: Any, rate: Any, hyper: Any) -> Any:
        def replica(batch: Any) -> Any:
            grads, total, weight = self._gradients(batch, scale)
            return self._update(grads, total, weight, scale, rate, hyper)

        return self._local(self.strategy.run(replica, args=(batch,)))

    def _run_add(self, batch: Any, scale: Any) -> Any:
        def replica(batch: Any) -> Any:
            grads, total, weight = self._gradients(batch, scale)
            for accumulator, grad in zip(self.accumulators, grads, strict=True):
                accumulator.assign_add(grad)
            if self.distributed:
                context = tf.distribute.get_replica_context()
                total, weight = context.all_reduce("sum", [total, weight])
            return total, weight

        return self._local(self.strategy.run(replica, args=(batch,)))

    def _run_finish(
        self, total: Any, weight: Any, scale: Any, rate: Any, hyper: Any
    ) -> Any:
        def replica() -> Any:
            grads = [accumulator.read_value() for accumulator in self.accumulators]
            result = self._update(
                grads, total, weight, scale, rate, hyper, totals_reduced=True
            )
            for accumulator in self.accumulators:
                accumulator.assign(tf.zeros_like(accumulator))
            return result

        return self._local(self.strategy.run(replica))

    def _local(self, values: Any) -> Any:
        if not self.distributed:
            return values
        return [self.strategy.experimental_local_results(v)[0] for v in values]

    def _gradients(self, batch: Any, scale: Any) -> tuple[list[Any], Any, Any]:
        sources = [v.value for v in self.optimizer.variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for source in sources:
                tape.watch(source)
            total = weight = tf.constant(0.0)
            for part in batch if isinstance(batch, (list, tuple)) else [batch]:
                with nullcontext() if self.blocks is None else self.blocks.active():
                    logits = self.model(part, training=True)
                loss, count = self.model.task_loss(part, logits)
                total, weight = total + loss, weight + count
            scaled = total * scale
        grads = tape.gradient(
            scaled, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return [tf.convert_to_tensor(grad) for grad in grads], total, weight

    def _update(
        self,
        grads: list[Any],
        total: Any,
        weight: Any,
        scale: Any,
        rate: Any,
        hyper: Any,
        totals_reduced: bool = False,
    ) -> tuple[Any, Any, Any]:
        if self.distributed:
            context = tf.distribute.get_replica_context()
            grads = context.all_reduce("sum", grads)
            if not totals_reduced:
                total, weight = context.all_reduce("sum", [total, weight])
        weight = tf.maximum(weight, 1.0)
        factor = 1.0 / (weight * scale)
        norm = tf.linalg.global_norm(grads) * factor
        finite = tf.math.is_finite(norm) & tf.math.is_finite(total)
        if self.clip_norm is not None:
            factor *= tf.minimum(1.0, self.clip_norm / (norm + 1e-6))

        def update() -> tf.Tensor:
            self._apply(grads, factor, rate, hyper)
            return tf.constant(1.0)

        done = tf.cond(finite, update, lambda: tf.constant(0.0))
        return total / weight, norm, done


class LossScale:
    """Dynamic loss scaling for float16: halve on overflow, double when calm.

    (Micikevicius et al. 2018, arXiv 1710.03740.) The scale lives on the host.
    """

    def __init__(self, enabled: bool, value: float = 2.0**15) -> None:
        self.enabled = enabled
        self.value = value if enabled else 1.0
        self.calm = 0

    def update(self, finite: bool) -> bool:
        """Note how a step went; True when its overflow is to be tolerated."""
        if not self.enabled:
            return finite
        if finite:
            self.calm += 1
            if self.calm == 2000:
                self.value, self.calm = self.value * 2.0, 0
            return True
        self.value, self.calm = self.value / 2.0, 0
        return self.value >= 1.0
