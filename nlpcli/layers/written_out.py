"""Formulas in the one form that other engines know, and run as one kernel.

What TensorFlow computes faster, or what only it has a name for, stays many small steps
in a graph that onnxruntime or OpenVINO runs. Traced in ``written_out`` the same
formulas are spelled as in PyTorch's exports, which these engines look for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_wanted: ContextVar[bool] = ContextVar("formulas written out", default=False)


def is_written_out() -> bool:
    """Whether what is traced now is meant for another engine."""
    return _wanted.get()


@contextmanager
def written_out() -> Iterator[None]:
    """Models traced in here are meant for another engine."""
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)
