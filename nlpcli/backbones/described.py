"""Variables of a layer that is never made: paths and shapes, without their memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
from keras.src.backend.common import global_state

from nlpcli.checkpoints.source import Shape

_WAITING = "uninitialized_variables"  # Keras's own list, which it fills later


def described(build: Callable[[], Any]) -> dict[str, Shape]:
    """Path and shape of each variable that is learnt of what ``build`` makes.

    Nothing is drawn and no number is held: Keras puts off the values of variables made
    in a stateless scope, and here they never come. The state of Python's generator,
    from which seeds are drawn, is as before.
    """
    drawn = random.getstate()
    waiting = global_state.get_global_attribute(_WAITING)
    global_state.set_global_attribute(_WAITING, [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            layer = build()
            return {v.path: tuple(v.shape) for v in layer.trainable_variables}
    finally:
        global_state.set_global_attribute(_WAITING, waiting)
        random.setstate(drawn)
