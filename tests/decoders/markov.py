"""A model whose next token depends on the last alone: its table is the truth."""

from types import SimpleNamespace

import numpy as np
from keras import ops

from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.text.sequences import prompt_features, sequence_fields

END = 2


class Markov:
    """Backbone and model in one, as Decoding takes them; table: (from, to) logits."""

    def __init__(self, table, positions=64):
        self.table = np.asarray(table, np.float32)
        self.config = SimpleNamespace(
            max_position_embeddings=positions, longest=positions
        )
        self.backbone = self

    def attention(self, segment_ids, padding_mask):
        return None

    def read(self, token_ids, segment_ids, position_ids, attention_mask):
        return ops.one_hot(token_ids, len(self.table)), []

    def extend(self, token_ids, *caches_and_masks):
        return ops.one_hot(token_ids, len(self.table)), []

    def logits(self, hidden_states):
        return ops.matmul(hidden_states, ops.convert_to_tensor(self.table))


def decoding(table, batch_size=8, positions=64):
    forward = Forward(Markov(table, positions), xla=False)
    return Decoding(forward, sequence_fields(0), END, batch_size, compiled=False)


def prompt(*tokens):
    return prompt_features(np.array(tokens), np.zeros(len(tokens), np.int32), 1)
