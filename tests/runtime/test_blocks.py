"""Compiled blocks are the plain model in training."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.config import TrainOptions
from nlpcli.runtime.blocks import WORTH_IT, SharedBlocks, shared_blocks
from nlpcli.runtime.walks import walked_by
from tests.slow import first_is_quick
from tests.tiny_task import CONFIG, make_batch, make_model, make_optimizer, make_step

DEEP = replace(CONFIG, num_hidden_layers=3)


def train(with_blocks, dropout, steps=4):
    keras.utils.set_random_seed(0)
    config = replace(
        DEEP, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
    )
    model = make_model(config)
    optimizer = make_optimizer(model, TrainOptions(lr=1e-3, head_lr=1e-2))
    blocks = SharedBlocks(model.backbone) if with_blocks else None
    step = make_step(model, optimizer, blocks=blocks)
    losses = []
    for number in range(1, steps + 1):
        batch = {k: tf.constant(v) for k, v in make_batch(number).items()}
        result = step([batch], 1e-2, optimizer.host_scalars(number))
        losses.append(result.loss)
    return losses, [v.numpy() for v in model.trainable_variables]


@pytest.mark.parametrize("dropout", first_is_quick([0.3, 0.0]))
def test_training_is_the_same_with_the_same_masks(dropout):
    losses, weights = train(False, dropout)
    compiled_losses, compiled_weights = train(True, dropout)
    np.testing.assert_allclose(losses, compiled_losses, rtol=1e-4)
    for a, b in zip(weights, compiled_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)


@pytest.mark.slow
def test_training_in_blocks_repeats_bit_for_bit():
    _, first = train(True, 0.3)
    _, second = train(True, 0.3)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_of_two_walks_the_inner_one_counts_and_the_outer_one_comes_back():
    stack = make_model(DEEP).backbone
    blocks = SharedBlocks(stack)
    with blocks.active():
        outer = stack.block_runner
        with walked_by(stack, print), blocks.active():
            assert stack.block_runner is outer
        with walked_by(stack, print):
            assert stack.block_runner is print
        assert stack.block_runner is outer
        with pytest.raises(ZeroDivisionError), walked_by(stack, print):
            raise ZeroDivisionError
        assert stack.block_runner is outer
    assert stack.block_runner is None


def test_few_blocks_are_not_compiled():
    assert len(make_model(DEEP).backbone.blocks) < WORTH_IT
    assert shared_blocks(make_model(DEEP).stacks, wanted=True) is None
    deep = make_model(replace(CONFIG, num_hidden_layers=WORTH_IT)).stacks
    assert shared_blocks(deep, wanted=True) is not None
    assert shared_blocks(deep, wanted=False) is None
