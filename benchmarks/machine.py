"""The machine of a measurement: its processor, and what it reads and multiplies."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# instructions that decide how fast half precision and int8 are
TOLD = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def describe_processor() -> str:
    """Name, instructions and cores, as far as Linux tells them."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        text = ""
    lines = dict(
        line.split(":", 1) for line in text.splitlines() if line.count(":") == 1
    )
    known = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set(known.get("flags", "").split())
    told = " ".join(name for name in TOLD if name in flags)
    name = known.get("model name", "unknown processor")
    return f"{name} ({told or 'no AVX2'}), {os.cpu_count()} cores"


def measure_machine(threads: int) -> dict[str, float]:
    """Bytes/s read and copied over 400 MB, and float32 operations/s, all threads."""
    source = np.ones((threads, 400_000_000 // 4 // threads), np.float32)
    target = np.empty_like(source)
    square = np.ones((2048, 2048), np.float32)

    def together(work: Callable[[int], Any]) -> float:
        best = float("inf")
        for _ in range(4):
            workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
            started = time.perf_counter()
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            best = min(best, time.perf_counter() - started)
        return best

    def multiply() -> float:
        started = time.perf_counter()
        square @ square
        return time.perf_counter() - started

    return {
        "read": source.nbytes / together(lambda i: source[i].max()),
        "copy": source.nbytes / together(lambda i: np.copyto(target[i], source[i])),
        "flops": 2 * len(square) ** 3 / min(multiply() for _ in range(4)),
    }
