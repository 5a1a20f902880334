"""The machine that a benchmark ran on, in a line."""

from __future__ import annotations

from nlpcli.runtime.processor import read_processor


def named_processor() -> str:
    """Model, cores and what multiplies matrices fast: avx512_bf16, amx_bf16 ..."""
    found = read_processor()
    told = " ".join(found.told) or "no instructions told"
    return f"{found.model}, {found.cores} cores, {told}"
