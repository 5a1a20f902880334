"""The training step: accumulation, distribution, non-finite values, loss scale."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.config import TrainOptions
from nlpcli.runtime.datasets import to_device
from nlpcli.runtime.diagnose import first_not_finite
from nlpcli.runtime.prefetch import prefetch
from nlpcli.runtime.step import LossScale
from tests.tiny_task import CONFIG, make_batch, make_model, make_optimizer, make_step

OPTIONS = TrainOptions(lr=1e-3, head_lr=1e-2)
ONE = tf.distribute.get_strategy()


def train(micro, steps=4, xla=False, clip=1.0):
    keras.utils.set_random_seed(0)
    model = make_model()
    optimizer = make_optimizer(model, OPTIONS)
    step = make_step(model, optimizer, clip_norm=clip, xla=xla)
    results = []
    for number in range(1, steps + 1):
        batch = make_batch(number)
        rows = len(batch["labels"]) // micro
        parts = [
            to_device({k: v[i * rows : (i + 1) * rows] for k, v in batch.items()}, ONE)
            for i in range(micro)
        ]
        results.append(step(parts, 1e-2, optimizer.host_scalars(number)))
    return [v.numpy() for v in model.trainable_variables], results


def test_micro_batches_make_the_update_of_the_whole_batch():
    whole, results = train(1)
    parts, part_results = train(4)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)
    for a, b in zip(results, part_results, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-5)
        assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-4)


def test_same_seed_same_bits_and_the_loss_falls():
    first, results = train(1, steps=10)
    second, _ = train(1, steps=10)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert results[0].finite


def test_xla_is_the_same_arithmetic():
    plain, _ = train(1)
    compiled, _ = train(1, xla=True)
    for a, b in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_clipping_bounds_the_gradient_but_not_its_report():
    _, loose = train(1, steps=1, clip=None)
    _, tight = train(1, steps=1, clip=1e-3)
    assert loose[0].grad_norm == pytest.approx(tight[0].grad_norm, rel=1e-5)


def test_a_step_that_is_not_finite_changes_nothing_and_is_located():
    keras.utils.set_random_seed(0)
    model = make_model()
    optimizer = make_optimizer(model, OPTIONS)
    step = make_step(model, optimizer)
    batch = make_batch(0)
    kernel = model.backbone.blocks[1].feed_forward.intermediate.kernel
    broken = kernel.numpy()
    broken[0, 0] = 3e38
    kernel.assign(broken)
    before = [v.numpy() for v in model.trainable_variables]
    result = step([to_device(batch, ONE)], 1e-2, optimizer.host_scalars(1))
    assert not result.finite
    after = [v.numpy() for v in model.trainable_variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert first_not_finite(model, batch) == "output of layer_1"
    broken[0, 0] = np.nan
    kernel.assign(broken)
    assert first_not_finite(model, batch) == f"weight {kernel.path}"


def test_loss_scale_halves_and_doubles():
    scale = LossScale(enabled=True, value=4.0)
    assert scale.update(finite=False) and scale.value == 2.0
    for _ in range(2000):
        assert scale.update(finite=True)
    assert scale.value == 4.0
    assert scale.update(False) and scale.update(False) and not scale.update(False)
    assert not LossScale(enabled=False).update(finite=False)


def test_dynamic_signature_traces_once():
    model = make_model(CONFIG)
    optimizer = make_optimizer(model, OPTIONS)
    batch = make_batch(0)
    signature = {
        name: tf.TensorSpec((None, None), array.dtype) for name, array in batch.items()
    }
    step = make_step(model, optimizer, signature=signature)
    for number, (rows, length) in enumerate([(8, 12), (3, 9), (5, 20)], 1):
        batch = make_batch(number, rows, length)
        assert step(
            [to_device(batch, ONE)], 1e-3, optimizer.host_scalars(number)
        ).finite
    assert step.programs() == 1


def test_prefetch_keeps_order_and_raises_in_place():
    def items():
        yield from range(20)
        raise ValueError("here")

    seen = []
    with pytest.raises(ValueError, match="here"):
        for item in prefetch(items(), depth=2):
            seen.append(item)
    assert seen == list(range(20))


@pytest.mark.slow
def test_two_logical_devices_make_the_weights_of_one():
    script = Path(__file__).parent / "two_devices.py"
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "same weights" in done.stdout
