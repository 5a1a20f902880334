"""Model variables to and from files: safetensors keyed by variable path."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common.stateless_scope import in_stateless_scope
from safetensors.numpy import save_file

from nlpcli.checkpoints.rules import joined
from nlpcli.checkpoints.safetensors import SafetensorsSource
from nlpcli.checkpoints.source import Blocks, read_blocks
from nlpcli.errors import CheckpointError
from nlpcli.files.atomic import open_to_others

SLACK = 2**24  # numbers of a model that stand in no file
MOST_BESIDE = 2**29  # numbers of blocks that a run's model leaves unused
_pending: dict[int, tuple[Any, Any]] = {}  # variables whose values come later
LEAST = 1000  # a layer or a variable takes memory even without numbers


def learnt_variables(model: Any) -> dict[str, Any]:
    """Variables that make up a model, by path; random states are not among them."""
    return {v.path: v for v in model.variables if not _is_random_state(v)}


def random_states(model: Any) -> list[Any]:
    """States of the dropout generators, in the order of the layers."""
    return [v for v in model.variables if _is_random_state(v)]


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write variables or arrays as one safetensors file."""
    save_file({name: np.ascontiguousarray(v) for name, v in arrays.items()}, path)
    open_to_others(path)


@contextmanager
def at_most(beside: int, source: SafetensorsSource) -> Iterator[None]:
    """Stop a model from being built that is larger than the file that fills it.

    beside: numbers of the model that the file need not have. Labels and options of a
    run folder may ask for any memory. Raises CheckpointError.
    """
    there = sum(math.prod(shape) for shape in source.describe().values())
    left = there + SLACK + beside if beside <= MOST_BESIDE else 0
    layer_class = keras.layers.Layer
    made, add_weight = layer_class.__init__, layer_class.add_weight

    def take(numbers: int) -> None:
        nonlocal left
        left -= max(numbers, LEAST)
        if left < 0:
            raise CheckpointError(
                f"{source.label}: holds {there} numbers, its configuration, labels and "
                "options ask for more"
            )

    def counted_layer(layer: Any, *rest: Any, **named: Any) -> None:
        take(0)
        made(layer, *rest, **named)

    def counted(layer: Any, shape: Any = None, *rest: Any, **named: Any) -> Any:
        take(math.prod(shape or ()))
        return add_weight(layer, shape, *rest, **named)

    layer_class.__init__, layer_class.add_weight = counted_layer, counted
    try:
        yield
    finally:
        layer_class.__init__, layer_class.add_weight = made, add_weight


@contextmanager
def values_later() -> Iterator[None]:
    """Draw random initial values at the end, of those variables that ``fill`` left out.

    Until then they are zero. An initializer draws its seed where it is made and makes
    the same values whenever it is asked, so nothing else changes. What is only
    described meanwhile stays without values.
    """
    global _pending
    before, pending = _pending, {}
    layer_class = keras.layers.Layer
    add_weight = layer_class.add_weight

    def later(
        layer: Any, shape: Any = None, initializer: Any = None, *rest: Any, **named: Any
    ) -> Any:
        drawn = isinstance(getattr(initializer, "seed", None), int)
        if in_stateless_scope() or not drawn:  # what is only described has no values
            return add_weight(layer, shape, initializer, *rest, **named)
        variable = add_weight(layer, shape, "zeros", *rest, **named)
        pending[id(variable)] = (variable, initializer)
        return variable

    layer_class.add_weight, _pending = later, pending
    try:
        yield
    finally:
        layer_class.add_weight, _pending = add_weight, before
    for variable, initializer in pending.values():
        shape = tuple(variable.shape)
        variable.assign(initializer(shape, dtype=variable.dtype))


def assign(variables: Mapping[str, Any], path: Path) -> None:
    """Fill variables from a file: every one, of the same shape, or none at all.

    Raises CheckpointError that lists every gap.
    """
    source = SafetensorsSource(path)
    found = source.describe()
    gaps = [
        f"{path}: {name}: expected {tuple(v.shape)}, "
        + (f"file has {tuple(found[name])}" if name in found else "file has none")
        for name, v in variables.items()
        if name not in found or tuple(found[name]) != tuple(v.shape)
    ]
    if gaps:
        raise CheckpointError("\n".join(gaps))
    for name, variable in variables.items():
        fill(variable, read_blocks(source, name, tuple(variable.shape)))


def fill(variable: Any, blocks: Blocks) -> None:
    """Put a value into a variable block by block, in the variable's own type.

    Blocks are written into the memory that it has: another buffer would be there
    beside it, and TensorFlow keeps what it once took.
    """
    _pending.pop(id(variable), None)
    shape = tuple(variable.shape)
    value = variable if isinstance(variable, tf.Variable) else variable.value
    if not shape or isinstance(value, tf.distribute.DistributedValues):
        variable.assign(joined(blocks, shape))
        return
    for start, block in blocks:
        # not value[start:stop].assign, which reads and so shares the memory first
        tf.raw_ops.ResourceStridedSliceAssign(
            ref=value.handle,
            begin=[start],
            end=[start + len(block)],
            strides=[1],
            value=tf.cast(block, value.dtype),
        )
    # writing a part makes every later reading a copy, until this
    tf.raw_ops.DisableCopyOnRead(resource=value.handle)


def _is_random_state(variable: Any) -> bool:
    return "seed_generator_state" in variable.path


def total_size(variables: Iterable[Any]) -> int:
    """How many numbers the variables hold."""
    return sum(int(np.prod(v.shape)) for v in variables)
