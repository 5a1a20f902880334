"""Decoding with and without XLA: the same answers, and no program where it is off."""

import numpy as np
import pytest
import tensorflow as tf

from nlpcli.decoders.options import GenerateOptions
from nlpcli.runtime.blocks import WORTH_IT
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.text.sequences import sequence_fields, training_features
from tests.decoders.recomputation import END, Rereader, random_prompts


@pytest.fixture(scope="module")
def deep():
    """Deep enough that its blocks are compiled where that is wanted."""
    reader = Rereader("unilm", layers=WORTH_IT)
    reader.randomise(1, end_bias=0.5)
    return reader.model


@pytest.fixture
def made(monkeypatch):
    """The names of all programs that are made for XLA."""
    names, function = [], tf.function

    def watched(*args, jit_compile=None, **options):
        if jit_compile:
            names.append(args[0].__name__)
        return function(*args, jit_compile=jit_compile, **options)

    monkeypatch.setattr(tf, "function", watched)
    return names


def decoding(model, compiled):
    forward = Forward(model, xla=False)
    return Decoding(forward, sequence_fields(0), END, batch_size=4, compiled=compiled)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        GenerateOptions(beam=3, num=2, max_length=9, length_penalty=0.5),
        GenerateOptions(num=3, max_length=9, top_k=3, top_p=0.9, temperature=1.3),
    ],
    ids=["beam", "sampling"],
)
def test_without_xla_the_answers_are_the_same_and_nothing_is_compiled(
    deep, made, options
):
    prompts = random_prompts(6, [9, 4, 14])
    plain = decoding(deep, compiled=False)
    answers = plain(prompts, options)
    list(plain.stream(prompts[0], options))
    ids = np.arange(3, 9)
    plain.loss([training_features(ids, ids > 5, ids > 5)])
    assert made == []
    both = zip(decoding(deep, compiled=True)(prompts, options), answers, strict=True)
    assert made == ["_flat_advance", "_program"]  # the loop, and a block of the prompt
    for with_xla, without in both:
        for a, b in zip(with_xla, without, strict=True):
            np.testing.assert_array_equal(a.token_ids, b.token_ids)
            assert a.finish_reason == b.finish_reason
            assert a.score == pytest.approx(b.score, abs=1e-4)
