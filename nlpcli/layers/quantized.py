"""Products of int8 numbers: how kernels and rows are quantised, and multiplied.

Symmetric to 127, one scale for each unit of a kernel, one for each row as it comes
("vector-wise": Dettmers et al. 2022, arXiv 2208.07339), sums in int32. A row has the
same numbers whatever shares its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from keras import ops

LARGEST = 127
LEAST = 1e-30  # largest number of a row that is worth a scale
EXACT = 1024  # products of two such numbers whose sum float32 holds to the unit


class Quantized(NamedTuple):
    """values: int8 (units, inputs); scale: float32 (units,), of one step of each."""

    values: Any
    scale: Any


def quantize_rows(x: Any) -> tuple[Any, Any]:
    """(rows, inputs) as int8, and the scale of each row: (rows, 1) float32."""
    x = ops.cast(x, "float32")
    most = ops.maximum(ops.max(ops.abs(x), axis=-1, keepdims=True), LEAST)
    return ops.cast(ops.round(x * (LARGEST / most)), "int8"), most / LARGEST


def quantized_product(rows: Any, kernel: Quantized, shares: int) -> Any:
    """(rows, inputs) times the transposed kernel: (rows, units), in the type of rows.

    ``shares``: parts of the kernel that are multiplied side by side.
    """
    quantized, scale = quantize_rows(rows)
    values = ops.convert_to_tensor(kernel.values)
    if shares > 1:
        values = ops.reshape(values, (shares, -1, values.shape[1]))
        quantized = ops.broadcast_to(quantized, (shares, *quantized.shape))
    sums = _sums.get()(values, quantized)
    if shares > 1:
        sums = ops.reshape(sums, (-1, sums.shape[-1]))
    found = ops.cast(ops.transpose(sums), "float32") * scale
    return ops.cast(found * ops.convert_to_tensor(kernel.scale), rows.dtype)


def exact_sums(left: Any, right: Any) -> Any:
    """(..., m, inputs) times the transposed (..., n, inputs), both int8: int32.

    Multiplied as float32, some inputs at a time, for where no product of int8 is fast.
    """
    inputs = left.shape[-1]
    parts = [
        ops.cast(
            ops.matmul(
                ops.cast(left[..., start : start + EXACT], "float32"),
                _turned(ops.cast(right[..., start : start + EXACT], "float32")),
            ),
            "int32",
        )
        for start in range(0, inputs, EXACT)
    ]
    return sum(parts[1:], parts[0])


Sums = Callable[[Any, Any], Any]
_sums: ContextVar[Sums] = ContextVar("how int8 is multiplied", default=exact_sums)


@contextmanager
def integer_products(sums: Sums) -> Iterator[None]:
    """Programs traced in here multiply int8 by the machine's way instead."""
    token = _sums.set(sums)
    try:
        yield
    finally:
        _sums.reset(token)


def keep_int8(layer: Any, matrix: Any, name: str) -> Quantized:
    """Weights of a built layer that are an int8 matrix; it does not train them."""
    values, scale = quantize_rows(matrix)
    layer._tracker.unlock()  # as Keras does in its own layers' quantize
    kept = Quantized(
        layer.add_weight(
            values.shape,
            lambda *_, **__: values,
            dtype="int8",
            trainable=False,
            name=f"{name}_int8",
        ),
        layer.add_weight(
            scale.shape[:1],
            lambda *_, **__: scale[:, 0],
            dtype="float32",
            trainable=False,
            autocast=False,
            name=f"{name}_scale",
        ),
    )
    layer._tracker.lock()
    return kept


def _turned(x: Any) -> Any:
    return ops.swapaxes(x, -1, -2)
