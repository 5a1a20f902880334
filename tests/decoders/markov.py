"""A model whose next token depends on the last alone: its table is the truth."""

import numpy as np
from keras import ops

from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.text.sequences import prompt_features, sequence_fields

END = 2


class Markov:
    """Model and speaker in one, as Decoding takes them; table: (from, to) logits."""

    stacks = ()

    def __init__(self, table, positions=64):
        self.table = np.asarray(table, np.float32)
        self.positions = positions

    def speaker(self, width, slots):
        return self

    def room(self, tokens):
        return self.positions - tokens

    def begin(self, prompt):
        lengths = ops.sum(ops.cast(prompt["padding_mask"], "int32"), axis=1)
        last = ops.maximum(lengths - 1, 0)[:, None]
        return self._after(
            ops.take_along_axis(prompt["token_ids"], last, axis=1)[:, 0]
        ), ()

    def over(self, prompt):
        return lambda memory, tokens, step, places: (self._after(tokens), memory)

    def follow(self, memory, parents):
        return memory

    def _after(self, tokens):
        return ops.take(ops.convert_to_tensor(self.table), tokens, axis=0)


def decoding(table, batch_size=8, positions=64):
    forward = Forward(Markov(table, positions), xla=False)
    return Decoding(forward, sequence_fields(0), END, batch_size, compiled=False)


def prompt(*tokens):
    return prompt_features(np.array(tokens), np.zeros(len(tokens), np.int32), 1)
