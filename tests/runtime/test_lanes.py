"""Two lanes: the same update and the same answers as one batch after another."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.config import TrainOptions
from nlpcli.runtime.batches import side_by_side
from nlpcli.runtime.forward import Forward
from nlpcli.runtime.step import TrainStep
from nlpcli.text.batching import Field, collate_halves
from tests.slow import first_is_quick
from tests.tiny_task import CONFIG, make_batch, make_model, make_optimizer

FIELDS = {
    "token_ids": Field(("tokens",), 0),
    "padding_mask": Field(("tokens",), False),
    "labels": Field(("tokens",)),
}


def unpadded(batch):
    lengths = batch["padding_mask"].sum(1)
    return [
        {name: array[row, :length] for name, array in batch.items()}
        for row, length in enumerate(lengths)
    ]


def tensors(batch):
    return {name: tf.constant(array) for name, array in batch.items()}


def train(lanes, dropout=0.0, rows=8):
    keras.utils.set_random_seed(0)
    model = make_model(
        replace(
            CONFIG, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
        )
    )
    optimizer = make_optimizer(model, TrainOptions(lr=1e-3, head_lr=1e-2))
    spec = {
        name: tf.TensorSpec((None, None), v.dtype) for name, v in make_batch(0).items()
    }
    one = tf.distribute.get_strategy()
    step = TrainStep(model, optimizer, one, 1.0, False, spec, None, lanes)
    results = []
    for number in range(1, 5):
        batch = make_batch(number, rows)
        parts = [tensors(part) for part in collate_halves(unpadded(batch), FIELDS)]
        micro = parts if lanes == 2 else tensors(batch)
        results.append(step([micro], 1e-2, optimizer.host_scalars(number)))
    assert step.programs() == 1
    return [v.numpy() for v in model.trainable_variables], results


@pytest.mark.parametrize("rows", first_is_quick([8, 1, 2]))
def test_halves_make_the_update_of_the_whole_batch(rows):
    whole, results = train(1, rows=rows)
    parts, part_results = train(2, rows=rows)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)
    for a, b in zip(results, part_results, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-5)
        assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-4)


@pytest.mark.slow
def test_halves_with_dropout_repeat_bit_for_bit():
    first, second = train(2, 0.3)[0], train(2, 0.3)[0]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_prediction_side_by_side_is_prediction_one_by_one():
    keras.utils.set_random_seed(0)
    forward = Forward(make_model(), False, lanes=2)
    batches = [make_batch(seed, 4, 6 + seed) for seed in range(12)]
    for batch in batches:
        del batch["labels"]
    together = list(side_by_side(forward, batches, forward.lanes))
    for batch, found in zip(batches, together, strict=True):
        np.testing.assert_array_equal(forward(batch)["labels"], found["labels"])


def test_a_failure_comes_out_and_ends_the_rest():
    begun = []

    def work(item):
        begun.append(item)
        if item == 1:
            raise ValueError("one")
        return item

    for lanes in (1, 2):
        begun.clear()
        with pytest.raises(ValueError, match="one"):
            list(side_by_side(work, range(1000), lanes))
        assert len(begun) < 1000


def test_cuts_follow_what_runs():
    model = make_model()
    lengths = [9, 9, 8, 3, 3, 3, 3]
    assert Forward(model, True).ranges(lengths, 4) == [(0, 4), (4, 7)]
    assert Forward(model, True).rows_of(4) == 4
    plain = Forward(model, False, lanes=2)
    assert plain.ranges(lengths, 4) == [(0, 3), (3, 7)]
    assert plain.rows_of(4) is None
    assert plain.shape_of([{"tokens": 3}, {"tokens": 5}]) == {"tokens": 5}
