"""Dense layer as one matrix product over all positions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

from nlpcli.layers.island import machine
from nlpcli.layers.quantized import Quantized, keep_int8, quantized_product

FEW_ROWS = 64  # from here on one product over all threads is as fast
_shares: ContextVar[int] = ContextVar("shares of a product of few rows", default=1)


class Dense(keras.layers.Layer):
    """x W^T + b over the last axis; (..., inputs) to (..., units). b may be left out.

    Keras multiplies a (batch, length, inputs) tensor as a batch of matrices, whose
    gradient is a batch of kernels summed afterwards: four times slower on a CPU.
    Positions are flattened first, so product and gradients are one GEMM each. The
    kernel is stored (units, inputs), which few rows are multiplied with fastest.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        initializer_range: float | None = None,
        name: str = "dense",
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.inputs = inputs
        self.units = units
        self.has_bias = bias
        self.initializer = (
            keras.initializers.GlorotUniform()
            if initializer_range is None
            else keras.initializers.TruncatedNormal(stddev=initializer_range)
        )

    def build(self, input_shape: Any = None) -> None:
        self.kernel = self.add_weight(
            shape=(self.units, self.inputs), initializer=self.initializer, name="kernel"
        )
        if self.has_bias:
            self.bias = self.add_weight(
                shape=(self.units,), initializer="zeros", name="bias"
            )
        self.built = True

    def to_int8(self) -> None:
        """Keep the kernel in int8 only, for good: such a layer answers and no more."""
        kernel = self.kernel
        self._untrack_variable(kernel)
        self.kernel = keep_int8(self, kernel, "kernel")

    def call(self, x: Any) -> Any:
        return self.finish(self.multiply(x), x)

    def multiply(self, x: Any) -> Any:
        """The product alone: (..., inputs) to (rows, units)."""
        rows = ops.reshape(x, (-1, self.inputs))
        if isinstance(self.kernel, Quantized):
            return product(rows, self.kernel)
        if (other := machine()) is not None:
            return other.multiply(rows, self.kernel)
        return product(rows, ops.cast(self.kernel, self.compute_dtype))

    def gelu(self, x: Any) -> Any:
        """GELU of the product and the bias, (rows, units), where who multiplies has one
        kernel for it; None elsewhere."""
        other = machine()
        if other is None or not self.has_bias or isinstance(self.kernel, Quantized):
            return None
        rows = ops.reshape(x, (-1, self.inputs))
        return other.gelu(rows, self.kernel, self.bias)

    def biased(self, rows: Any) -> Any:
        """Rows of the product and the bias: (rows, units)."""
        return rows + ops.cast(self.bias, rows.dtype) if self.has_bias else rows

    def finish(self, rows: Any, x: Any) -> Any:
        """Rows of the product and the bias, as long as what came: (..., units)."""
        return as_long_as(x, self.biased(rows))


def as_long_as(x: Any, rows: Any) -> Any:
    """(rows, units) in the shape of x, (..., inputs): (..., units)."""
    return ops.reshape(rows, (*ops.shape(x)[:-1], rows.shape[-1]))


def product(rows: Any, matrix: Any) -> Any:
    """(rows, inputs) times the transposed (units, inputs): (rows, units).

    ``matrix``: float, or Quantized.
    """
    count, inputs = rows.shape
    int8 = isinstance(matrix, Quantized)
    units = (matrix.values if int8 else matrix).shape[0]
    many = count is None or count > FEW_ROWS
    shares = 1 if many else math.gcd(_shares.get(), units)
    if int8:
        return quantized_product(rows, matrix, shares)
    if shares == 1:
        return ops.matmul(rows, ops.transpose(matrix))
    parts = ops.reshape(matrix, (shares, -1, inputs))
    if count == 1:  # a column as it is: a row to be turned is multiplied more slowly
        columns = ops.broadcast_to(ops.transpose(rows), (shares, inputs, 1))
    else:
        copies = ops.broadcast_to(rows, (shares, count, inputs))
        columns = ops.transpose(copies, (0, 2, 1))
    return ops.transpose(ops.reshape(ops.matmul(parts, columns), (-1, count)))


@contextmanager
def shared_products(shares: int) -> Iterator[None]:
    """Programs traced in here multiply few rows with each share of a matrix apart.

    For XLA on a CPU: it runs the products of a batch side by side, each on its own
    thread, and weights pass through once, unpacked; what it makes of one product of
    few rows is bound by copying the weights into another order first.
    """
    token = _shares.set(shares)
    try:
        yield
    finally:
        _shares.reset(token)
