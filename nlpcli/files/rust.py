"""Libraries written in Rust (tokenizers, lancedb) and how they fail in Python."""

from __future__ import annotations


def is_panic(error: BaseException) -> bool:
    """Whether an error is a panic of Rust, which is no Exception to Python."""
    return type(error).__module__ == "pyo3_runtime"
