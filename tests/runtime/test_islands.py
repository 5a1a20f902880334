"""A walk by islands is the plain walk, for every kind of block."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.backbones.transformer import Transformer
from nlpcli.config import TrainOptions
from nlpcli.layers.dense import Dense
from nlpcli.runtime.held import HeldKernels
from nlpcli.runtime.islands import SharedIslands
from tests.slow import first_is_quick
from tests.tiny_task import (
    CONFIG,
    make_batch,
    make_model,
    make_optimizer,
    make_step,
)

BASE = replace(
    CONFIG, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.2, hidden_act="gelu"
)
KINDS = {
    "post": {},
    "pre": {"norm_place": "pre", "final_norm": True, "norm": "rms", "gated": True},
    "between": {"norm_place": "between"},
    "rotary": {"positions": "rotary", "norm": "rms_plain", "norm_place": "pre"},
    "distances": {"max_relative_position": 4},
    "buckets": {
        "positions": "buckets",
        "scaled_attention": False,
        "dense_bias": False,
        "qkv_bias": False,
        "inner_dropout": True,
    },
    "few keys": {"num_key_value_heads": 1, "query_key_norm": True},
    "linear": {"attention": "linear"},
}


@pytest.fixture(params=first_is_quick(["mixed_bfloat16", "float32"]))
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def walked(model, run, training=True):
    """Hidden states, gradients and the random states after a walk."""
    variables = [v.value for v in model.trainable_variables]
    before = [v.numpy() for v in model.non_trainable_variables]
    batch = make_batch(3)

    @tf.function(autograph=False)
    def program(ids, mask):
        with tf.GradientTape() as tape:
            if run is None:
                hidden = model(ids, padding_mask=mask, training=training)
            else:
                with run.active():
                    hidden = model(ids, padding_mask=mask, training=training)
            wide = tf.cast(hidden, tf.float32) * tf.cast(mask, tf.float32)[..., None]
            total = tf.reduce_sum(wide**2 * tf.linspace(0.0, 1.0, wide.shape[-1]))
        grads = tape.gradient(total, variables, unconnected_gradients="zero")
        return wide, [tf.convert_to_tensor(g) for g in grads]

    wide, grads = program(
        tf.constant(batch["token_ids"]), tf.constant(batch["padding_mask"])
    )
    after = [v.numpy() for v in model.non_trainable_variables]
    for variable, value in zip(model.non_trainable_variables, before, strict=True):
        variable.assign(value)
    return wide.numpy(), [g.numpy() for g in grads], after


def far(a, b):
    """Length of the difference beside that of what is right."""
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-3)


@pytest.mark.parametrize("kind", first_is_quick(list(KINDS)))
def test_states_gradients_and_masks_are_those_of_the_plain_walk(kind, policy):
    keras.utils.set_random_seed(0)
    model = Transformer(replace(BASE, **KINDS[kind]))
    plain, plain_grads, plain_states = walked(model, None)
    wide, grads, states = walked(model, SharedIslands(model))
    exact = policy == "float32"
    assert far(wide, plain) < (1e-5 if exact else 2e-2)
    assert all(np.array_equal(a, b) for a, b in zip(states, plain_states, strict=True))
    for variable, a, b in zip(
        model.trainable_variables, grads, plain_grads, strict=True
    ):
        assert far(a, b) < (1e-4 if exact else 6e-2), variable.path
    quiet, _, _ = walked(model, None, training=False)
    answered, _, _ = walked(model, SharedIslands(model), training=False)
    assert far(answered, quiet) < (1e-5 if exact else 2e-2)


def trained(with_islands, steps=4):
    """Losses and weights after some steps with dropout."""
    keras.utils.set_random_seed(0)
    model = make_model(replace(BASE, num_hidden_layers=3))
    optimizer = make_optimizer(model, TrainOptions(lr=1e-3, head_lr=1e-2))
    blocks = SharedIslands(model.backbone) if with_islands else None
    step = make_step(model, optimizer, blocks=blocks)
    losses = []
    for number in range(1, steps + 1):
        batch = {k: tf.constant(v) for k, v in make_batch(number).items()}
        losses.append(step([batch], 1e-2, optimizer.host_scalars(number)).loss)
    return losses, [v.numpy() for v in model.trainable_variables]


def test_training_repeats_bit_for_bit_and_is_near_the_plain_one(policy):
    losses, weights = trained(True)
    again, same = trained(True)
    assert losses == again
    assert all(np.array_equal(a, b) for a, b in zip(weights, same, strict=True))
    plain, _ = trained(False)
    rtol = 1e-4 if policy == "float32" else 2e-2
    np.testing.assert_allclose(losses, plain, rtol=rtol)
    assert all(weight.dtype == np.float32 for weight in weights)


def test_an_island_reads_only_what_is_given():
    model = Transformer(BASE)

    def wrong(x, *_):
        return x + tf.reduce_sum(model.blocks[0].attention.qkv.kernel)

    model.blocks[0]._attended = wrong
    with pytest.raises(LookupError, match="qkv/kernel, which is not given"):
        walked(model, SharedIslands(model))


@pytest.mark.parametrize("kind", first_is_quick(["post", "pre"]))
def test_held_kernels_are_near_float32(kind):
    keras.utils.set_random_seed(0)
    model = Transformer(replace(BASE, **KINDS[kind]), dtype="float32")
    before = [v.numpy() for v in model.trainable_variables]
    quiet, _, _ = walked(model, None, training=False)
    held = HeldKernels()
    answered, _, _ = walked(model, held, training=False)
    assert 1e-6 < far(answered, quiet) < 2e-2
    copies = list(held.copies.values())
    # four kernels; and the bias that goes with a product into the kernel of a GELU
    assert len(copies) == (5 if kind == "post" else 4) * len(model.blocks)
    assert all(copy.dtype == tf.bfloat16 for copy in copies)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert np.array_equal(variable.numpy(), value)


def test_a_later_trace_holds_its_kernels_too():
    """CasRel asks another part of its model in its second program."""
    held, layers = HeldKernels(), [Dense(4, 3, name=f"part_{i}") for i in (0, 1)]
    for layer in layers:
        layer.build()

    @tf.function
    def program(x, number):
        with held.active():
            return layers[number](x)

    x = tf.random.normal((5, 4))
    for number, layer in enumerate(layers):
        np.testing.assert_allclose(program(x, number), layer(x), atol=0.05)
    assert len(held.copies) == 2
