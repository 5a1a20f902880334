"""Two lanes: the same update and the same answers as one batch after another."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.config import TrainOptions
from nlpcli.runtime.batches import AT_ONCE, Plan, micro_batches, side_by_side
from nlpcli.runtime.datasets import signature, to_device
from nlpcli.runtime.forward import Forward
from nlpcli.text.batching import Bound, Field
from tests.slow import first_is_quick
from tests.tiny_task import CONFIG, make_batch, make_model, make_optimizer, make_step

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


def train(lanes, dropout=0.0, rows=8):
    keras.utils.set_random_seed(0)
    model = make_model(
        replace(
            CONFIG, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
        )
    )
    optimizer = make_optimizer(model, TrainOptions(lr=1e-3, head_lr=1e-2))
    plan = Plan(FIELDS, Bound(rows), lanes=lanes)
    sample = unpadded(make_batch(0))[0]
    step = make_step(model, optimizer, signature=signature(plan, sample))
    results = []
    for number in range(1, 5):
        batch = unpadded(make_batch(number, rows))
        (whole,) = micro_batches(batch, plan)
        micro = to_device(whole, tf.distribute.get_strategy())
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
    whole = Forward(model, True).plan(FIELDS, 4)
    assert whole.cuts(lengths) == [(0, 4), (4, 7)]
    assert whole.rows_of(3, {"tokens": 16}) == 4
    plain = Forward(model, False, lanes=2).plan(FIELDS, 4)
    assert plain.cuts(lengths) == [(0, 3), (3, 7)]
    assert plain.rows_of(3, {"tokens": 9}) == 3
    assert plain.shape_of([{"tokens": 3}, {"tokens": 5}]) == {"tokens": 5}


@pytest.mark.parametrize("xla", [False, True])
def test_long_rows_go_in_few(xla):
    forward = Forward(make_model(), xla, [{"tokens": 128}, {"tokens": 512}])
    plan = forward.plan(FIELDS, 32)
    assert {b - a for a, b in plan.cuts([500] * 64)} == {AT_ONCE // 512}
    assert plan.cuts([128] * 64) == [(0, 32), (32, 64)]
    assert plan.cuts([AT_ONCE + 1]) == [(0, 1)]
    if xla:
        assert plan.rows_of(1, {"tokens": 512}) == AT_ONCE // 512
