"""A model with weights, decoded with its cache and by the whole sequence read anew."""

import numpy as np
import tensorflow as tf

from nlpcli.decoders.options import GenerateOptions
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.text.sequences import sequence_fields
from tests.decoders.recomputation import END, beam_search, log_softmax, random_prompts

LIMIT = 6


def assert_cache_changes_nothing(model, vocab_size):
    """Greedy and beam answers are those of recomputation; scores too."""
    prompts = random_prompts(1, [1, 9, 4], vocab_size)
    decode = Decoding(
        Forward(model, xla=False), sequence_fields(0), END, 4, compiled=False
    )
    for width, num in ((1, 1), (3, 2)):
        options = GenerateOptions(beam=width, num=num, max_length=LIMIT)
        found = decode(prompts, options)
        for answers, prompt in zip(found, prompts, strict=True):
            expected = beam_search(
                lambda so_far, prompt=prompt: next_logp(model, prompt, so_far),
                LIMIT,
                width,
                num,
            )
            assert [tuple(a.token_ids) for a in answers] == [e[0] for e in expected]
            np.testing.assert_allclose(
                [a.score for a in answers], [e[1] for e in expected], atol=5e-4
            )


def next_logp(model, prompt, answers):
    """log p of what follows prompt + answer: (answers, vocabulary) float64."""
    grown = np.array([[*prompt["token_ids"], *answer] for answer in answers], np.int32)
    written = len(grown[0]) - len(prompt["token_ids"])
    segments = [*prompt["segment_ids"], *[int(prompt["next_segment"])] * written]
    segments = tf.constant(np.tile(segments, (len(grown), 1)), tf.int32)
    mask = tf.ones(grown.shape, tf.bool)
    states = model.backbone(
        tf.constant(grown),
        segments,
        mask,
        attention_mask=model.attention(segments, mask),
    )
    return log_softmax(model.logits(states[:, -1]).numpy().astype(np.float64))
