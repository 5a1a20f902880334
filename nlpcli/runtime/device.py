"""What the machine does: threads, seeds, precision, XLA, strategy, memory."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from nlpcli.config import RuntimeOptions
from nlpcli.errors import ConfigError, MemoryExhaustedError
from nlpcli.runtime.processor import multiplies_bfloat16, read_processor

logger = logging.getLogger("nlpcli")

POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


@dataclass(frozen=True)
class Device:
    """What really took effect.

    ``compiled_decoding``: the loop of a decoder goes through XLA, as it does unless
    that is off. Training in a precision that the processor multiplies fast is by
    ``islands``; in bfloat16, what only answers is float32 but for products: ``held``.
    ``lanes``: batches computed side by side. On a CPU a kernel leaves cores idle
    between its parallel parts; a second batch fills them.
    """

    strategy: tf.distribute.Strategy
    precision: str
    xla: bool
    blocks: bool
    islands: bool
    held: bool
    lanes: int
    replicas: int
    chief: bool
    worker: int
    compiled_decoding: bool

    def describe(self) -> dict[str, Any]:
        """Plain values for environment.json."""
        return {
            "devices": [d.name for d in tf.config.list_logical_devices()],
            "strategy": type(self.strategy).__name__,
            "replicas": self.replicas,
            "precision": self.precision,
            "xla": self.xla,
            "compiled_blocks": self.blocks,
            "islands": self.islands,
            "held_kernels": self.held,
            "lanes": self.lanes,
            "versions": versions(),
        }


def open_device(options: RuntimeOptions, seed: int, answers: bool = False) -> Device:
    """Set the process up once; raises ConfigError for what this machine lacks.

    ``answers``: the weights do not change, and each batch is walked through once.
    """
    if not logger.isEnabledFor(logging.DEBUG):
        tf.get_logger().setLevel(logging.ERROR)
    if options.threads is not None:
        _set_threads(options.threads)
    strategy = _strategy(options.strategy)
    gpu = _has_gpu()
    alone = not gpu and strategy.num_replicas_in_sync == 1
    blocks = options.xla == "auto" and alone
    half = options.precision == "bfloat16" and multiplies_bfloat16(read_processor())
    held = half and blocks and answers
    keras.config.set_dtype_policy("float32" if held else POLICIES[options.precision])
    keras.utils.set_random_seed(seed)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    resolver = strategy.cluster_resolver
    worker = int(resolver.task_id or 0) if resolver is not None else 0
    xla = compiles_steps(options)
    return Device(
        strategy=strategy,
        precision=options.precision,
        xla=xla,
        blocks=blocks,
        islands=blocks and not answers and (half or options.precision == "float32"),
        held=held,
        lanes=_lanes(options, xla or gpu or strategy.num_replicas_in_sync > 1),
        replicas=strategy.num_replicas_in_sync,
        chief=worker == 0,
        worker=worker,
        compiled_decoding=options.xla != "off",
    )


def compiles_steps(options: RuntimeOptions) -> bool:
    """Whether whole steps go through XLA, which takes long to compile for a shape."""
    return options.xla == "on" or (options.xla == "auto" and _has_gpu())


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def _lanes(options: RuntimeOptions, busy: bool) -> int:
    threads = options.threads or os.cpu_count() or 1
    return 1 if busy or threads == 1 else 2


def cpu_threads() -> int:
    """Threads of one product; 1 where a GPU computes."""
    if tf.config.list_physical_devices("GPU"):
        return 1
    return tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1


def _set_threads(threads: int) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            logger.warning("runtime.threads is ignored: TensorFlow is already running")


def _strategy(name: str) -> tf.distribute.Strategy:
    workers = _workers()
    if name == "auto":
        if workers > 1:
            name = "multi-worker"
        else:
            gpus = len(tf.config.list_physical_devices("GPU"))
            name = "mirrored" if gpus > 1 else "one"
    if name == "multi-worker":
        if workers == 0:
            raise ConfigError(
                [
                    "runtime.strategy: multi-worker needs the TF_CONFIG variable "
                    '({"cluster": {"worker": ["host:port", ...]}, '
                    '"task": {"type": "worker", "index": 0}}), which is not set'
                ]
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        devices = [d.name for d in tf.config.list_logical_devices(kind)]
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()


def _workers() -> int:
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 0
    try:
        return len(json.loads(text)["cluster"]["worker"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            [f"TF_CONFIG: expected a cluster in JSON, got {text[:80]!r} ({error})"]
        ) from error


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    names = ("nlpcli", "tensorflow", "keras", "numpy", "tokenizers", "safetensors")
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@contextmanager
def explain_memory(where: str, knobs: str) -> Iterator[None]:
    """Turn the allocators' errors into one line with the shape and the knobs."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        detail = str(error).splitlines()[0][:120] if str(error) else "allocation failed"
        raise MemoryExhaustedError(
            f"out of memory in {where}: {detail}; lower {knobs}"
        ) from error
