"""A walk through blocks whose products are TensorFlow's own.

oneDNN multiplies bfloat16 matrices with the processor's instructions for them; XLA
does not. So products stay outside XLA, each alone: with a bias fused to it, oneDNN
falls back to a slower kernel. What lies between two products is compiled, once for all
blocks of a stack, with a block's vectors as arguments. For the way back only what came
into an island is kept, and the rest is computed again, inside one compiled function:
arithmetic is cheap there, memory is not. Float32 gains too: a whole compiled block
keeps twice as much, and its products are no faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from nlpcli.layers.island import islands
from nlpcli.runtime.walks import SharedWalk


class SharedIslands(SharedWalk):
    """Walks through the blocks of each stack by islands, inside ``active``."""

    def __init__(self, *stacks: Any) -> None:
        super().__init__([(stack, _Runner()) for stack in stacks])


class _Runner:
    """The walk through any block of a stack; ``programs`` are its islands."""

    def __init__(self) -> None:
        self.programs: dict[Any, _Island] = {}

    def __call__(
        self, block: Any, hidden: Any, look: Any, training: bool
    ) -> tuple[Any, Any]:
        with islands(_Walk(self, block)):
            return block.walk(hidden, look, training)


def _is_kernel(variable: Any) -> bool:
    return len(variable.shape) > 1


class _Walk:
    """One walk through one block: the islands on the road are known by their number."""

    def __init__(self, runner: _Runner, block: Any) -> None:
        self.runner = runner
        self.block = block
        self.vectors = [
            tf.convert_to_tensor(v.value)
            for v in block.trainable_variables
            if not _is_kernel(v)
        ]
        self.number = 0

    def multiply(self, rows: Any, kernel: Any) -> Any:
        values = tf.cast(kernel.value, rows.dtype)
        # the flag, since the gradient of a turned kernel would be turned back
        return tf.matmul(rows, values, transpose_b=True)

    def gelu(self, rows: Any, kernel: Any, bias: Any) -> None:
        """Compiled, as any island: XLA has no kernel of product and GELU."""

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.number += 1
        leaves = tf.nest.flatten(args)
        tensors = [leaf for leaf in leaves if tf.is_tensor(leaf)]
        told = tuple("tensor" if tf.is_tensor(leaf) else leaf for leaf in leaves)
        key = (self.number, told)
        programs = self.runner.programs
        if key not in programs:
            programs[key] = _Island(self.block, function, args)
        return programs[key](self.block, self.vectors, tensors)


class _Island:
    """A compiled function of a block's vectors and states and of tensors.

    ``owner``: the block whose method it is; another's vectors take the place of its
    own. ``args``: which leaves are tensors, and the values of the others.
    """

    def __init__(self, owner: Any, function: Callable[..., Any], args: Any) -> None:
        self._function, self._args = function, args
        self._vectors = [v for v in owner.trainable_variables if not _is_kernel(v)]
        self._states = list(owner.non_trainable_variables)
        self._made: Any = None
        self._changed: list[int] = []
        self._forward = tf.function(self._all, jit_compile=True, autograph=False)
        self._backward = tf.function(self._grads, jit_compile=True, autograph=False)

    def __call__(self, block: Any, vectors: list[Any], tensors: list[Any]) -> Any:
        variables = block.non_trainable_variables
        states = [tf.convert_to_tensor(v.value) for v in variables]
        count = len(vectors)

        @tf.custom_gradient
        def run(*inputs: Any) -> Any:
            made, states_ = self._forward(inputs[:count], states, inputs[count:])

            def grad(*upstream: Any) -> Any:
                ahead = upstream[: len(made)]
                return self._backward(inputs[:count], states, inputs[count:], ahead)

            return (*made, *states_), grad

        found = run(*vectors, *tensors)
        made = found[: len(found) - len(self._changed)]
        for place, state in zip(self._changed, found[len(made) :], strict=True):
            variables[place].assign(state)
        return tf.nest.pack_sequence_as(self._made, made)

    def _all(self, vectors: Any, states: Any, tensors: Any) -> tuple[Any, Any]:
        """Leaves of what the function makes, and the states that it changed."""
        scope = _Closed(
            [
                *zip(self._vectors, vectors, strict=True),
                *zip(self._states, states, strict=True),
            ]
        )
        before = [scope.get_current_value(v) for v in self._states]
        waiting = iter(tensors)
        leaves = [
            _wide(next(waiting)) if tf.is_tensor(leaf) else leaf
            for leaf in tf.nest.flatten(self._args)
        ]
        with scope:
            made = self._function(*tf.nest.pack_sequence_as(self._args, leaves))
        kind = next(x.dtype for x in tensors if x.dtype.is_floating)
        made = tf.nest.map_structure(lambda x: tf.cast(x, kind), made)
        after = [scope.get_current_value(v) for v in self._states]
        self._made = tf.nest.map_structure(lambda _: 0, made)
        self._changed = [i for i, s in enumerate(after) if s is not before[i]]
        return tf.nest.flatten(made), [after[i] for i in self._changed]

    def _grads(self, vectors: Any, states: Any, tensors: Any, ahead: Any) -> Any:
        sources = [*vectors, *tensors]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([x for x in sources if x.dtype.is_floating])
            made, _ = self._all(vectors, states, tensors)
        return tape.gradient(made, sources, output_gradients=list(ahead))


def _wide(x: Any) -> Any:
    """Float32 inside: XLA rounds what each step makes of bfloat16, and that takes time
    (a GELU and its gradient took 1.6 and 4 times as long)."""
    return tf.cast(x, tf.float32) if x.dtype == tf.bfloat16 else x


class _Closed(keras.StatelessScope):
    """Variables of one block have values in here; another's are refused."""

    def get_current_value(self, variable: Any) -> Any:
        if id(variable) not in self.state_mapping:
            raise LookupError(f"an island reads {variable.path}, which is not given")
        return self.state_mapping[id(variable)]
