"""The machine of a measurement: its processor, and what it reads and multiplies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nlpcli.runtime.processor import read_processor


def named_processor() -> str:
    """Model, cores and what multiplies matrices fast: avx512_bf16, amx_bf16 ..."""
    found = read_processor()
    told = " ".join(found.told) or "no instructions told"
    return f"{found.model}, {found.cores} cores, {told}"


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
