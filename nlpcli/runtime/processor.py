"""Which processor this is, and what it multiplies fast."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Any of them multiplies pairs of bfloat16 into float32 sums.
BFLOAT16 = ("amx_bf16", "avx512_bf16")
TOLD = (*BFLOAT16, "amx_int8", "avx512_vnni", "avx512f", "avx2")
# The instruction sets, in the words of oneDNN, that have BFLOAT16 and less.
_WITHOUT = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")


class Processor(NamedTuple):
    """``flags``: instructions by the names of Linux; empty where it tells none."""

    model: str
    flags: frozenset[str]
    cores: int

    @property
    def told(self) -> list[str]:
        """The instructions that decide how fast matrices are multiplied."""
        return [flag for flag in TOLD if flag in self.flags]


def read_processor(told: str | None = None) -> Processor:
    """This machine's, or the first of ``told``, a text as of /proc/cpuinfo.

    Instructions are known on Linux alone: elsewhere there are none.
    """
    if told is None:
        told = ""
        with suppress(OSError):
            told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    lines: dict[str, str] = {}
    for line in told.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            lines.setdefault(name.strip(), value.strip())
    model = lines.get("model name") or platform.machine() or "unknown"
    return Processor(
        model, frozenset(lines.get("flags", "").split()), os.cpu_count() or 1
    )


def multiplies_bfloat16(
    processor: Processor, environment: Mapping[str, str] | None = None
) -> bool:
    """Whether oneDNN has instructions for products of bfloat16, and may use them.

    ONEDNN_MAX_CPU_ISA masks them, and TF_ENABLE_ONEDNN_OPTS=0 puts oneDNN aside.
    """
    environment = os.environ if environment is None else environment
    most = environment.get("ONEDNN_MAX_CPU_ISA", "").upper()
    off = environment.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false")
    found = any(flag in processor.flags for flag in BFLOAT16)
    return found and not off and most not in _WITHOUT
