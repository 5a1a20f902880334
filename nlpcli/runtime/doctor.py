"""What this machine and installation really offer."""

from __future__ import annotations

import os
import time
from typing import Any

import tensorflow as tf

from nlpcli.runtime.device import versions


def report() -> dict[str, Any]:
    """Versions, devices, and whether each precision and XLA work here, by trying."""
    return {
        "versions": versions(),
        "cpu_cores": os.cpu_count(),
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
