"""Independent truth for text decoders: the whole sequence read anew for each token."""

from itertools import product

import keras
import numpy as np
import tensorflow as tf

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.heads.sequence_model import SequenceModel
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.text.sequences import prompt_features

END = 2


class Rereader:
    """A random tiny model, and its next log-probabilities without any cache."""

    def __init__(self, attention, /, vocab_size=13, layers=2, rows=48, **parts):
        keras.utils.set_random_seed(0)
        config = TransformerConfig(
            vocab_size, 16, layers, 2, 32, rows, initializer_range=0.4, **parts
        )
        self.vocab_size = vocab_size
        self.model = SequenceModel(
            Transformer(config), SequenceOptions(), attention, (0, 1)
        )
        self._next = tf.function(self._last_logits, reduce_retracing=True)

    def randomise(self, seed, end_bias=0.0):
        """Other weights, all of them random; biases too."""
        rng = np.random.default_rng(seed)
        for variable in self.model.variables:
            offset = 1.0 if variable.path.endswith("gamma") else 0.0
            variable.assign(offset + 0.4 * rng.normal(size=variable.shape))
        bias = 0.4 * rng.normal(size=self.vocab_size)
        bias[END] += end_bias
        self.model.head.bias.assign(bias)

    def _last_logits(self, token_ids, segment_ids):
        mask = tf.ones(tf.shape(token_ids), tf.bool)
        hidden_states = self.model.backbone(
            token_ids,
            segment_ids,
            mask,
            attention_mask=self.model.attention(segment_ids, mask),
        )
        return self.model.logits(hidden_states[:, -1])

    def __call__(self, prompt, answers):
        """log p of what follows prompt + answer: (answers, vocabulary) float64."""
        grown = np.array([[*prompt["token_ids"], *answer] for answer in answers])
        written = len(grown[0]) - len(prompt["token_ids"])
        segments = [*prompt["segment_ids"], *[int(prompt["next_segment"])] * written]
        segments = np.tile(segments, (len(grown), 1)).astype(np.int32)
        logits = self._next(tf.constant(grown, tf.int32), tf.constant(segments))
        return log_softmax(logits.numpy().astype(np.float64))


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def random_prompts(seed, lengths, vocab_size=13):
    """Prompts of two segments, as far as the length allows."""
    rng = np.random.default_rng(seed)
    prompts = []
    for length in lengths:
        first = rng.integers(1, length + 1)
        segments = (np.arange(length) >= first).astype(np.int32)
        token_ids = rng.integers(3, vocab_size, length)
        prompts.append(prompt_features(token_ids, segments, 1))
    return prompts


def beam_search(next_logp, limit, width, num, penalty=0.0, allowed=None):
    """Plain Python: [(answer without the end, score, finish reason)], best first.

    next_logp: answers so far -> (answers, vocabulary); allowed: (answer) -> the
    tokens that may follow it, or None for all.
    """
    live, ended = [((), 0.0)], []
    for step in range(1, limit + 1):
        rows = next_logp([answer for answer, _ in live])
        candidates = [
            (score + rows[i][token], answer, token)
            for i, (answer, score) in enumerate(live)
            for token in range(rows.shape[1])
            if allowed is None or token in allowed(answer)
        ]
        candidates = sorted(candidates, key=lambda item: -item[0])[: 2 * width]
        live = []
        for place, (score, answer, token) in enumerate(candidates):
            if token != END:
                live.append(((*answer, token), score))
            elif width > 1 or place == 0:
                ended.append((score / step**penalty, answer, score))
        ended = sorted(ended, key=lambda item: -item[0])[:num]
        live = live[:width]
        full = len(ended) == num
        if not live:
            break
        if full and (width == 1 or ended[-1][0] >= live[0][1] / limit**penalty):
            break
    found = [(answer, score, "end") for _, answer, score in ended]
    return (found + [(answer, score, "length") for answer, score in live])[:num]


def every_answer(next_logp, limit, vocab_size, penalty):
    """All that end within ``limit`` tokens: [(rank, answer, score)], best first."""
    scores, found = {(): 0.0}, []
    others = [token for token in range(vocab_size) if token != END]
    for length in range(limit):
        answers = list(product(others, repeat=length))
        for answer, row in zip(answers, next_logp(answers), strict=True):
            score = scores[answer] + row[END]
            found.append((score / (length + 1) ** penalty, answer, score))
            for token in others:
                scores[(*answer, token)] = scores[answer] + row[token]
    return sorted(found, key=lambda item: -item[0])
