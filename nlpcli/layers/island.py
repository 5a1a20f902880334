"""What lies between two matrix products, as a part that the machine may run its way.

A layer hands over a method of its own; nothing is known here of who runs it, or how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class Machine(Protocol):
    """Who runs islands, and multiplies between them."""

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """What the function makes of tensors, nests of them and plain values."""

    def multiply(self, rows: Any, kernel: Any) -> Any:
        """(rows, inputs) times a variable, (units, inputs): (rows, units)."""

    def gelu(self, rows: Any, kernel: Any, bias: Any) -> Any:
        """GELU of the product and a bias, for a product to read; None: as an island."""


_machine: ContextVar[Machine | None] = ContextVar("who runs islands", default=None)


def island(function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)``; of a layer's variables it reads vectors alone."""
    machine = _machine.get()
    return function(*args) if machine is None else machine.run(function, *args)


def machine() -> Machine | None:
    """Who multiplies in here; None for the layers themselves."""
    return _machine.get()


@contextmanager
def islands(machine: Machine) -> Iterator[None]:
    """Blocks walked through in here give their islands and products to ``machine``."""
    token = _machine.set(machine)
    try:
        yield
    finally:
        _machine.reset(token)
