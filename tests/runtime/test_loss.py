"""Techniques wrap a loss or a gradient, and stack: against their formulas."""

import keras
import numpy as np
import tensorflow as tf

from nlpcli.config import TrainOptions
from nlpcli.runtime.loss import Gradients, model_loss, tape
from nlpcli.runtime.step import TrainStep
from tests.tiny_task import make_batch, make_model, make_optimizer

SCALE = tf.constant(8.0)


def parts():
    keras.utils.set_random_seed(0)
    model = make_model()
    batch = {name: tf.constant(values) for name, values in make_batch(1).items()}
    return model, batch


def penalised(loss, variables, share):
    """A loss that weighs the squares of the variables too."""

    def penalty(batch):
        total, weight = loss(batch)
        squares = tf.add_n([tf.reduce_sum(v.value**2) for v in variables])
        return total + weight * share * squares, weight

    return penalty


def adversarial(gradient, table, epsilon):
    """Adds the gradient at the worst small step of a table (FGM)."""

    def twice(batch, scale):
        plain = gradient(batch, scale)
        index = next(i for i, v in enumerate(VARIABLES) if v is table)
        shift = plain.values[index] * epsilon / tf.norm(plain.values[index])
        table.assign_add(shift)
        worst = gradient(batch, scale)
        table.assign_sub(shift)
        values = [a + b for a, b in zip(plain.values, worst.values, strict=True)]
        return Gradients(values, plain.total, plain.weight)

    return twice


VARIABLES = []


def test_the_plain_gradient_is_that_of_the_scaled_total():
    model, batch = parts()
    variables = model.trainable_variables
    loss = model_loss(model)
    found = tape(loss, variables)(batch, SCALE)
    total, weight = loss(batch)
    np.testing.assert_allclose(found.total, total)
    assert float(found.weight) == float(weight) == make_batch(1)["padding_mask"].sum()
    bias = model.heads["labels"].dense.bias
    index = next(i for i, v in enumerate(variables) if v is bias)
    probabilities = tf.nn.softmax(model(batch)["labels"]).numpy()
    errors = probabilities - np.eye(5)[batch["labels"].numpy()]
    expected = (errors * batch["padding_mask"].numpy()[..., None]).sum((0, 1))
    np.testing.assert_allclose(found.values[index], 8 * expected, rtol=1e-4, atol=1e-5)


def test_lanes_are_parts_of_one_sum():
    model, batch = parts()
    halves = [{k: v[at : at + 4] for k, v in batch.items()} for at in (0, 4)]
    loss = model_loss(model)
    for whole, cut in zip(loss(batch), loss(halves), strict=True):
        np.testing.assert_allclose(whole, cut, rtol=1e-5)


def test_a_penalty_wraps_a_loss_and_a_worst_case_wraps_its_gradient():
    model, batch = parts()
    VARIABLES[:] = variables = model.trainable_variables
    table = model.backbone.token_embedding.embeddings
    plain = tape(model_loss(model), variables)
    before = [v.numpy() for v in variables]
    first = plain(batch, SCALE)
    with_penalty = tape(penalised(model_loss(model), variables, 0.01), variables)
    stacked = adversarial(with_penalty, table, 0.5)(batch, SCALE)

    index = next(i for i, v in enumerate(variables) if v is table)
    extra = [8.0 * float(first.weight) * 0.02 * v for v in before]
    slope = first.values[index].numpy() + extra[index]
    shift = slope * 0.5 / np.linalg.norm(slope)
    table.assign(before[index] + shift)
    worst = plain(batch, SCALE)
    table.assign(before[index])
    for i, value in enumerate(stacked.values):
        expected = first.values[i] + worst.values[i] + 2 * extra[i]
        if i == index:
            expected += 8.0 * float(first.weight) * 0.02 * shift
        np.testing.assert_allclose(value, expected, rtol=2e-3, atol=1e-4)
    for v, value in zip(variables, before, strict=True):
        np.testing.assert_allclose(v.numpy(), value, atol=1e-6)


def test_a_step_takes_a_stacked_gradient():
    model, batch = parts()
    optimizer = make_optimizer(model, TrainOptions(lr=1e-3, head_lr=1e-2))
    VARIABLES[:] = optimizer.variables
    gradient = tape(model_loss(model), optimizer.variables)
    table = model.backbone.token_embedding.embeddings
    one = tf.distribute.get_strategy()
    losses = []
    step = TrainStep(adversarial(gradient, table, 0.1), optimizer, one, 1.0)
    for number in range(1, 9):
        result = step([batch], 1e-2, optimizer.host_scalars(number))
        losses.append(result.loss)
        assert result.finite
    assert losses[-1] < losses[0]
