"""Whether bfloat16 pays on this machine: timed once, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import math
import stat
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.config import Precision
from nlpcli.errors import NlpcliError
from nlpcli.files.atomic import write_atomic
from nlpcli.files.cache import own_cache
from nlpcli.files.json_file import read_json_object
from nlpcli.files.owners import is_trusted
from nlpcli.runtime.held import HeldKernels
from nlpcli.runtime.processor import multiplies_bfloat16, read_processor

GAIN = 1.15  # how much faster bfloat16 must be to be taken
ROWS, LENGTH, ROUNDS = 16, 64, 7
SIZES = TransformerConfig(
    vocab_size=1000,
    hidden_size=384,
    num_hidden_layers=4,
    num_attention_heads=12,
    intermediate_size=1536,
)


class Timing(NamedTuple):
    """Milliseconds of one batch through a small stack."""

    float32: float
    bfloat16: float

    @property
    def gain(self) -> float:
        """How many times faster bfloat16 is."""
        return self.float32 / self.bfloat16


def auto_precision() -> Precision:
    """What ``--precision auto`` takes: bfloat16 where it is known to pay.

    It is where the processor has instructions for it and ``nlpcli doctor`` has timed
    this machine; nothing is timed here.
    """
    if tf.config.list_physical_devices("GPU"):
        return "float32"
    if not multiplies_bfloat16(read_processor()):
        return "float32"
    timing = kept_timing()
    paid = timing is not None and timing.gain >= GAIN
    return "bfloat16" if paid else "float32"


def time_machine() -> Timing:
    """A small stack's forward walk in both precisions, in turns; the best of each.

    Some seconds.
    """
    rng = np.random.default_rng(0)
    ids = tf.constant(rng.integers(0, SIZES.vocab_size, (ROWS, LENGTH)), tf.int32)
    mask = tf.ones((ROWS, LENGTH), tf.bool)
    stack = Transformer(SIZES, dtype="float32")
    programs = [_program(stack, nullcontext), _program(stack, HeldKernels().active)]
    best = [math.inf, math.inf]
    for number in range(ROUNDS + 1):
        for place, program in enumerate(programs):
            started = time.perf_counter()
            program(ids, mask).numpy()
            if number:  # the first traces
                best[place] = min(best[place], time.perf_counter() - started)
    return Timing(*(1000 * seconds for seconds in best))


def _program(stack: Transformer, way: Callable[[], Any]) -> Any:
    def walk(ids: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        with way():
            return stack(ids, None, mask)

    return tf.function(walk, autograph=False)


def keep_timing(timing: Timing) -> Path | None:
    """Write it where ``kept_timing`` looks; None where nothing can be kept."""
    path = _place()
    if path is None:
        return None
    with suppress(OSError, NlpcliError):
        write_atomic(path, json.dumps(timing._asdict()) + "\n")
        return path
    return None


def kept_timing() -> Timing | None:
    """What was kept for this processor, its cores and this TensorFlow.

    A file that is damaged, or another's, is as none.
    """
    path = _place()
    if path is None:
        return None
    try:
        status = path.lstat()
        if not (stat.S_ISREG(status.st_mode) and is_trusted(status)):
            return None
        found = read_json_object(path, NlpcliError)
        values = [found["float32"], found["bfloat16"]]
    except (OSError, NlpcliError, KeyError):
        return None
    if not all(
        isinstance(x, int | float) and not isinstance(x, bool) and 0 < x < 1e6
        for x in values
    ):
        return None
    return Timing(*map(float, values))


def _place() -> Path | None:
    folder = own_cache("timings")
    if folder is None:
        return None
    found = read_processor()
    told = (found.model, sorted(found.flags), found.cores, tf.__version__)
    digest = hashlib.sha256(repr(told).encode("utf-8", "replace")).hexdigest()[:16]
    return folder / f"{digest}.json"
