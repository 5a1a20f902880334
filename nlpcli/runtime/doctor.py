"""What this machine and installation really offer."""

from __future__ import annotations

import os
import time
from typing import Any

import tensorflow as tf

from nlpcli.runtime.device import versions
from nlpcli.runtime.processor import multiplies_bfloat16, read_processor
from nlpcli.runtime.timing import GAIN, auto_precision, keep_timing, time_machine


def report() -> dict[str, Any]:
    """Versions, devices, and whether each precision and XLA work here, by trying.

    What bfloat16 gains is timed, and kept for ``--precision auto``.
    """
    processor = read_processor()
    return {
        "versions": versions(),
        "cpu_cores": os.cpu_count(),
        "processor": {
            "model": processor.model,
            "instructions": " ".join(processor.told) or "none known",
        },
        "precision": _precision(multiplies_bfloat16(processor)),
        "devices": [
            {"name": d.name, "kind": d.device_type, **_details(d)}
            for d in tf.config.list_physical_devices()
        ],
        "tf_config": os.environ.get("TF_CONFIG", ""),
        "checks": {
            name: _try(dtype, xla)
            for name, dtype, xla in (
                ("float32", tf.float32, False),
                ("bfloat16", tf.bfloat16, False),
                ("float16", tf.float16, False),
                ("xla", tf.float32, True),
            )
        },
    }


def _precision(fast: bool) -> dict[str, Any]:
    """What bfloat16 gains in prediction, and what ``--precision auto`` takes."""
    if not fast:
        return {"auto": auto_precision(), "why": "no instructions for bfloat16"}
    timing = time_machine()
    kept = keep_timing(timing)
    return {
        "float32_ms": round(timing.float32, 1),
        "bfloat16_ms": round(timing.bfloat16, 1),
        "gain": round(timing.gain, 2),
        "least_gain": GAIN,
        "auto": auto_precision(),
        "kept": "no: the cache is not this user's own" if kept is None else str(kept),
    }


def _details(device: Any) -> dict[str, Any]:
    details = tf.config.experimental.get_device_details(device)
    return {key: str(value) for key, value in details.items()}


def _try(dtype: tf.DType, xla: bool) -> dict[str, Any]:
    """Whether a product compiles and is right, and the GFLOP/s it reached."""
    size, rounds = 512, 4
    try:
        ones = tf.ones((size, size), dtype)
        multiply = tf.function(tf.matmul, jit_compile=xla)
        value = float(multiply(ones, ones)[0, 0])
        started = time.perf_counter()
        for _ in range(rounds):
            result = multiply(ones, ones)
        result.numpy()
        seconds = time.perf_counter() - started
    except (tf.errors.OpError, ValueError) as error:
        return {"works": False, "why": str(error).splitlines()[0][:120]}
    return {
        "works": value == size,
        "gflops": round(2 * size**3 * rounds / seconds / 1e9, 1),
    }
