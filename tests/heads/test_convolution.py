"""The convolution model against numpy, and against padding."""

import keras
import numpy as np
import pytest

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.heads.convolution import ConvolutionModel, GatedConvolution

CONFIG = TransformerConfig(
    vocab_size=30,
    hidden_size=12,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return ConvolutionModel(Transformer(CONFIG), 8, 4, 0.25)


def batch_of(*rows, length=None):
    length = length or max(map(len, rows))
    ids = np.zeros((len(rows), length), np.int32)
    mask = np.zeros((len(rows), length), bool)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = True
    return {"token_ids": ids, "padding_mask": mask}


@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_gated_convolution_equals_ten_lines_of_numpy(dilation):
    layer = GatedConvolution(3, dilation, name="one")
    layer.build()
    x = np.random.default_rng(0).normal(size=(1, 7, 3)).astype(np.float32)
    got = np.asarray(layer(x, np.ones((1, 7), bool)))[0]
    kernel = np.asarray(layer.both.kernel).T.reshape(3, 3, 6)
    for place in range(7):
        both = np.asarray(layer.both.bias).copy()
        for tap in range(3):
            there = place + (tap - 1) * dilation
            if 0 <= there < 7:
                both += x[0, there] @ kernel[tap]
        gate = 1 / (1 + np.exp(-both[3:]))
        wanted = x[0, place] * (1 - gate) + both[:3] * gate
        np.testing.assert_allclose(got[place], wanted, rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing(model):
    rows = ([5, 6, 7], [8], [9, 10, 11, 12, 13, 14])
    together = np.asarray(model(batch_of(*rows, length=16))["targets"])
    for number, row in enumerate(rows):
        alone = np.asarray(model(batch_of(row))["targets"])[0]
        np.testing.assert_allclose(
            together[number, : len(row)], alone, rtol=1e-5, atol=1e-6
        )


def test_loss_is_the_mean_cross_entropy_of_the_targets(model):
    batch = batch_of([5, 6, 7], [8, 9])
    batch["target_ids"] = np.array([[1, 2, 3], [4, 5, 0]], np.int32)
    batch["target_mask"] = batch["padding_mask"]
    logits = model(batch)
    x = np.asarray(logits["targets"], np.float64)
    logp = x - np.log(np.exp(x).sum(-1, keepdims=True))
    wanted = -sum(
        logp[row, place, batch["target_ids"][row, place]]
        for row, place in zip(*np.nonzero(batch["target_mask"]), strict=True)
    )
    total, weight = model.task_loss(batch, logits)
    assert float(total) == pytest.approx(wanted, rel=1e-5)
    assert float(weight) == 5


def test_label_smoothing_mixes_in_the_uniform_distribution():
    model = ConvolutionModel(Transformer(CONFIG), 8, 1, 0.0, label_smoothing=0.25)
    batch = batch_of([5])
    batch["target_ids"], batch["target_mask"] = np.array([[3]]), np.array([[True]])
    logits = model(batch)
    x = np.asarray(logits["targets"], np.float64)[0, 0]
    logp = x - np.log(np.exp(x).sum())
    total, _ = model.task_loss(batch, logits)
    wanted = -0.75 * logp[3] - 0.25 * logp.mean()
    assert float(total) == pytest.approx(wanted, rel=1e-5)


def test_only_the_token_table_is_the_backbone(model):
    paths = [v.path for v in model.backbone.trainable_variables]
    assert paths == ["backbone/token_embedding/embeddings"]
    heads = {v.path for v in model.head_variables()}
    assert len(heads) == 2 + 2 * 4 + 2
    assert heads | set(paths) == {v.path for v in model.trainable_variables}
