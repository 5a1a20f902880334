"""A model as programs that other engines take, free in rows and lengths."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.layers.written_out import written_out
from nlpcli.text.batching import Features


@dataclass(frozen=True)
class Traced:
    """One program of a model: ``signature`` are its inputs by name.

    ``of_dict`` takes them as one dictionary, ``of_names`` each by its name.
    """

    model: Any
    signature: dict[str, tf.TensorSpec]
    of_dict: Any
    of_names: Any

    @property
    def inputs(self) -> list[str]:
        """What it reads; two programs of a model read different things."""
        return sorted(self.signature)


def trace(
    model: Any, one: Sequence[Features], other: Sequence[Features]
) -> list[Traced]:
    """A program for each stage of a model, from two batches of different sizes.

    one, other: what the model is called with, stage by stage; an axis is free where
    the two differ.
    """
    return [_traced(model, a, b) for a, b in zip(one, other, strict=True)]


def _traced(model: Any, one: Features, other: Features) -> Traced:
    signature = {
        name: tf.TensorSpec(_free(array, other[name]), array.dtype, name=name)
        for name, array in sorted(one.items())
    }

    def run(batch: dict[str, Any]) -> dict[str, Any]:
        with written_out():
            found: dict[str, Any] = model(batch, training=False)
        return {name: tf.identity(value, name=name) for name, value in found.items()}

    return Traced(
        model,
        signature,
        tf.function(run, autograph=False, input_signature=[signature]),
        tf.function(lambda **batch: run(batch), autograph=False),
    )


def _free(one: np.ndarray, other: np.ndarray) -> list[int | None]:
    sizes = zip(one.shape, other.shape, strict=True)
    return [a if a == b else None for a, b in sizes]


def save(programs: Sequence[Traced], folder: Path) -> None:
    """Write a SavedModel: the first program is its ``serving_default``, the others
    ``stage_2`` and on."""
    module = tf.Module()
    module.kept = [variable.value for variable in programs[0].model.variables]
    signatures = {
        "serving_default" if not number else f"stage_{number + 1}": (
            program.of_names.get_concrete_function(**program.signature)
        )
        for number, program in enumerate(programs)
    }
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        tf.saved_model.save(module, str(folder), signatures)
    finally:
        logger.setLevel(level)


class SavedProgram:
    """A program of a SavedModel that this process wrote; nothing else is loaded."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self.inputs = sorted(run.structured_input_signature[1])

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        found = self._run(**{name: tf.constant(batch[name]) for name in self.inputs})
        return {name: value.numpy() for name, value in found.items()}


def load(folder: Path) -> list[SavedProgram]:
    """The programs that ``save`` wrote, to check them."""
    saved = tf.saved_model.load(str(folder))
    return [SavedProgram(run) for run in saved.signatures.values()]
