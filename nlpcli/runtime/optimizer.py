"""AdamW with a rate for each variable, through TensorFlow's fused Adam kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.config import TrainOptions
from nlpcli.heads.task_model import Parameter


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101).

    Keras's AdamW has one rate and makes a dozen passes over each variable; this one
    has a rate for each variable and makes two. The step count lives on the host, so
    rate and bias corrections arrive as scalars. ``ema`` averages start at once:
    their decay is min(ema, (1 + t) / (10 + t)). ``compiled``: XLA compiles the update.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        options: TrainOptions,
        compiled: bool = False,
    ) -> None:
        self.variables = [p.variable for p in parameters]
        self.options = options
        self.scales = [rate_scale(p, options) for p in parameters]
        self.decays = [options.weight_decay * p.decays for p in parameters]
        self.moments = [_zeros(v, "m") for v in self.variables]
        self.squares = [_zeros(v, "v") for v in self.variables]
        self.averages = [_copy(v) for v in self.variables] if options.ema else []
        self._apply = (
            tf.function(self._update, jit_compile=True, autograph=False)
            if compiled
            else self._update
        )

    def apply(
        self, grads: Sequence[tf.Tensor], factor: Any, rate: Any, hyper: Any
    ) -> None:
        """One update; call inside a replica, with gradients already all-reduced.

        factor: scalar float32 on every gradient. rate: scalar float32, the head's rate
        at this step. hyper: (4,) float32 of ``host_scalars``.
        """
        self._apply(grads, factor, rate, hyper)

    def host_scalars(self, step: int) -> np.ndarray:
        """beta1^t, beta2^t, the kernel's epsilon and the EMA decay of step t >= 1.

        The kernel adds epsilon to sqrt(v) before the bias correction; scaling it
        by sqrt(1 - beta2^t) makes the update that of the paper.
        """
        second = self.options.beta2**step
        ema = min(self.options.ema or 0.0, (1 + step) / (10 + step))
        return np.array(
            [
                self.options.beta1**step,
                second,
                self.options.epsilon * np.sqrt(1.0 - second),
                ema,
            ],
            np.float32,
        )

    def state(self) -> dict[str, Any]:
        """Slot variables by name, for last/."""
        slots = {}
        for index, variable in enumerate(self.variables):
            slots[f"m/{variable.path}"] = self.moments[index]
            slots[f"v/{variable.path}"] = self.squares[index]
            if self.averages:
                slots[f"ema/{variable.path}"] = self.averages[index]
        return slots

    def _update(
        self, grads: Sequence[tf.Tensor], factor: Any, rate: Any, hyper: Any
    ) -> None:
        for index, (variable, grad) in enumerate(
            zip(self.variables, grads, strict=True)
        ):
            value = _raw(variable)
            step = rate * self.scales[index]
            if self.decays[index]:
                # First, as in torch: the decay sees the weight before the step.
                value.assign(value * (1.0 - step * self.decays[index]))
            tf.raw_ops.ResourceApplyAdam(
                var=value.handle,
                m=self.moments[index].handle,
                v=self.squares[index].handle,
                beta1_power=hyper[0],
                beta2_power=hyper[1],
                lr=step,
                beta1=self.options.beta1,
                beta2=self.options.beta2,
                epsilon=hyper[2],
                grad=grad * factor,
            )
            if self.averages:
                average = self.averages[index]
                average.assign_add((value - average) * (1.0 - hyper[3]))


def rate_scale(parameter: Parameter, options: TrainOptions) -> float:
    """The rate of a parameter relative to the head's.

    What starts fresh learns at the head's rate. The top block learns at ``lr``, and so
    does a head that published weights had; each block further down at ``layer_decay``
    times the one above, the embeddings at the end of the chain.
    """
    if parameter.depth is None:
        return 1.0
    top = (options.head_lr if options.lr is None else options.lr) / options.head_lr
    return top * options.layer_decay**parameter.depth


def schedule(step: int, total: int, options: TrainOptions) -> float:
    """Factor on the peak rate at step 1..total: warmup, then decay."""
    warm = round(options.warmup * total)
    if step <= warm:
        return step / warm
    if options.schedule == "constant":
        return 1.0
    left = max(0.0, (total - step + 1) / max(1, total - warm))
    if options.schedule == "linear":
        return left
    return float(0.5 * (1.0 - np.cos(np.pi * left)))


def _raw(variable: Any) -> Any:
    return variable.value if hasattr(variable, "path") else variable


def _zeros(variable: Any, slot: str) -> tf.Variable:
    return tf.Variable(
        tf.zeros(variable.shape, tf.float32),
        trainable=False,
        name=f"{slot}/{variable.path}".replace("/", "_"),
    )


def _copy(variable: Any) -> tf.Variable:
    return tf.Variable(tf.convert_to_tensor(variable.value), trainable=False)
