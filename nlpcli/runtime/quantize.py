"""A loaded model in int8, and the kernels that multiply int8 in a compiled program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import tensorflow as tf

from nlpcli.heads.sequence_model import SequenceModel
from nlpcli.layers.dense import Dense
from nlpcli.layers.quantized import integer_products


def to_int8(model: SequenceModel) -> None:
    """Keep the products of a model's blocks and of its output table in int8 only.

    For good: what only answers needs no more. Tables that are looked up in, norms and
    biases stay as they are.
    """
    for stack in model.stacks:
        for block in stack.blocks:
            for part in block._flatten_layers():
                if isinstance(part, Dense):
                    part.to_int8()
    for part in (model.head.transform, model.head.own):
        if part is not None:
            part.to_int8()
    if model.head.own is None:
        model.stacks[-1].output_to_int8()


@contextmanager
def compiled_integers(compiled: bool = True) -> Iterator[None]:
    """Programs traced in here multiply int8 as such, if XLA ``compiled`` them for a
    CPU; others have no kernel for it that is faster than float32's."""
    fast = compiled and not tf.config.list_physical_devices("GPU")
    with integer_products(_sums) if fast else nullcontext():
        yield


def _sums(left: Any, right: Any) -> Any:
    """As nlpcli.layers.quantized.exact_sums, by the form that XLA has a kernel for.

    It turns ``right`` over by itself and would not see that from a transposed one; it
    has no kernel for a single row, so that is doubled.
    """
    alone = right.shape[-2] == 1
    if alone:
        right = tf.concat([right, right], axis=-2)
    sums = tf.raw_ops.BatchMatMulV3(x=left, y=right, Tout=tf.int32, adj_y=True)
    return sums[..., :1] if alone else sums
