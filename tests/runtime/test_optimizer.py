"""AdamW against torch, and the rates and schedules against their definitions."""

from itertools import pairwise
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.config import TrainOptions
from nlpcli.heads.task_model import BackboneModel, Parameter
from nlpcli.runtime.optimizer import AdamW, rate_scale, schedule

OPTIONS = TrainOptions(weight_decay=0.1, lr=1e-3, head_lr=1e-2, epsilon=1e-3)


def run(optimizer, variables, grads, rate, xla=False):
    apply = tf.function(optimizer.apply, jit_compile=xla)
    for step, grad in enumerate(grads, 1):
        apply(
            [tf.constant(g) for g in grad],
            tf.constant(1.0),
            tf.constant(rate),
            tf.constant(optimizer.host_scalars(step)),
        )
    return [v.numpy() for v in variables]


def draw(seed, steps=7):
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=(4, 3)), rng.normal(size=3)]
    grads = [[rng.normal(size=v.shape) for v in values] for _ in range(steps)]
    as_float = [[g.astype(np.float32) for g in step] for step in grads]
    return [v.astype(np.float32) for v in values], as_float


def fresh(variables):
    return [Parameter(v, None, len(v.shape) > 1) for v in variables]


@pytest.mark.parametrize("xla", [False, True])
def test_equals_torch_adamw(xla):
    torch = pytest.importorskip("torch")
    values, grads = draw(0)
    variables = [keras.Variable(v, name=f"v{i}") for i, v in enumerate(values)]
    optimizer = AdamW(fresh(variables), OPTIONS)
    ours = run(optimizer, variables, grads, 1e-2, xla)
    theirs = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    reference = torch.optim.AdamW(
        [
            {"params": theirs[:1], "weight_decay": 0.1},
            {"params": theirs[1:], "weight_decay": 0.0},
        ],
        lr=1e-2,
        eps=1e-3,
    )
    for step in grads:
        for parameter, grad in zip(theirs, step, strict=True):
            parameter.grad = torch.tensor(grad)
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=2e-5, atol=1e-6)


def test_each_variable_has_its_own_rate():
    values, grads = draw(1)
    results = []
    options = TrainOptions(weight_decay=0.1, layer_decay=0.5, lr=None)
    for depth, scale in ((None, 1.0), (0, 1.0), (1, 0.5)):
        variables = [keras.Variable(v, name=f"v{i}") for i, v in enumerate(values)]
        parameters = [p._replace(depth=depth) for p in fresh(variables)]
        optimizer = AdamW(parameters, options)
        results.append(run(optimizer, variables, grads, 1e-2 / scale))
    for a, b, c in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-6)


def test_averages_start_at_once():
    values, grads = draw(2, steps=40)
    variable = keras.Variable(values[0], name="v")
    optimizer = AdamW(fresh([variable]), TrainOptions(ema=0.9))
    apply = tf.function(optimizer.apply)
    expected = values[0].copy()
    for step, grad in enumerate(grads, 1):
        scalars = tf.constant(optimizer.host_scalars(step))
        apply([tf.constant(grad[0])], tf.constant(1.0), tf.constant(1e-2), scalars)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * variable.numpy()
    np.testing.assert_allclose(optimizer.averages[0].numpy(), expected, rtol=1e-4)


class Layers:
    """A backbone of three blocks between a table and what has no part in training."""

    def __init__(self):
        block = "backbone/layer_{}/attention/qkv/{}"
        self.blocks = [
            layer(block.format(i, "kernel"), block.format(i, "bias")) for i in range(3)
        ]
        table = layer("backbone/token_embedding/embeddings")
        own = [v for part in (table, *self.blocks) for v in part.trainable_variables]
        self.trainable_variables = own
        self.variables = [*own, named("backbone/seed")]


def named(path):
    shape = (2,) if path.endswith("bias") else (2, 2)
    return SimpleNamespace(path=path, shape=shape)


def layer(*paths):
    own = [named(path) for path in paths]
    return SimpleNamespace(trainable_variables=own, variables=own)


class Parts:
    """A model with a published head and a head of its own, as BackboneModel is one."""

    filled: set

    def __init__(self, filled=()):
        self.backbone = Layers()
        self.stacks = [self.backbone]
        self.filled = set(filled)
        self.mlm = layer("mlm/bias", "mlm/transform/kernel")
        self.tags = layer("tags/transitions")
        self.trainable_variables = [
            *self.backbone.trainable_variables,
            *self.mlm.trainable_variables,
            *self.tags.trainable_variables,
        ]

    def published_parts(self):
        return {"mlm": self.mlm}

    head_variables = BackboneModel.head_variables
    parameters = BackboneModel.parameters


def scales_of(model, options):
    return {p.variable.path: rate_scale(p, options) for p in model.parameters()}


@pytest.mark.parametrize("filled", [(), ("mlm",)])
def test_layer_wise_rates(filled):
    """What a file had learns as the top block does, what starts fresh as a head."""
    options = TrainOptions(lr=1e-4, head_lr=1e-2, layer_decay=0.5)
    model = Parts(filled)
    scales = scales_of(model, options)
    assert list(scales) == [v.path for v in model.trainable_variables]
    assert scales["backbone/layer_2/attention/qkv/kernel"] == pytest.approx(0.01)
    assert scales["backbone/layer_1/attention/qkv/kernel"] == pytest.approx(0.005)
    assert scales["backbone/layer_0/attention/qkv/kernel"] == pytest.approx(0.0025)
    assert scales["backbone/token_embedding/embeddings"] == pytest.approx(0.00125)
    assert scales["tags/transitions"] == 1.0
    for path in ("mlm/bias", "mlm/transform/kernel"):
        assert scales[path] == pytest.approx(0.01 if filled else 1.0)


def test_without_a_rate_of_its_own_the_backbone_learns_as_the_heads_do():
    scales = scales_of(Parts(), TrainOptions(lr=None, head_lr=1e-2))
    assert set(scales.values()) == {1.0}


def test_matrices_decay_and_biases_do_not():
    decaying = {p.variable.path for p in Parts().parameters() if p.decays}
    assert "backbone/layer_0/attention/qkv/kernel" in decaying
    assert "tags/transitions" in decaying
    assert not any(path.endswith("bias") for path in decaying)


@pytest.mark.parametrize("shape", ["linear", "cosine", "constant"])
def test_schedule_warms_up_and_decays(shape):
    options = TrainOptions(schedule=shape, warmup=0.1)
    factors = [schedule(step, 100, options) for step in range(1, 101)]
    assert factors[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert all(a >= b for a, b in pairwise(factors[9:]))
    if shape == "constant":
        assert factors[-1] == 1.0
    else:
        assert 0.0 < factors[-1] < 0.02
    middle = {"linear": 0.5, "cosine": 0.5, "constant": 1.0}[shape]
    assert factors[55] == pytest.approx(middle, abs=0.01)
