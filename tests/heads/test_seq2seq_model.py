"""An encoder-decoder in training: its blocks compiled, its rates, where it breaks."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.encoder_decoder import EncoderDecoder
from nlpcli.config import TrainOptions
from nlpcli.heads.seq2seq_model import Seq2SeqModel
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.runtime.blocks import SharedBlocks
from nlpcli.runtime.diagnose import first_not_finite
from nlpcli.runtime.optimizer import rate_scale
from nlpcli.text.batching import collate, sizes_of
from nlpcli.text.layouts import Apart

CONFIG = TransformerConfig(
    vocab_size=11,
    hidden_size=8,
    num_hidden_layers=2,
    num_decoder_layers=3,
    num_attention_heads=2,
    intermediate_size=12,
    type_vocab_size=0,
    positions="buckets",
    norm="rms",
    norm_place="pre",
    final_norm=True,
    embedding_norm=False,
    qkv_bias=False,
    dense_bias=False,
    output="tied",
    output_bias=False,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.3,
)
LAYOUT = Apart(SimpleNamespace(pad_id=0, begin_id=None, end_id=1), 0)


def model_of(**options):
    keras.utils.set_random_seed(0)
    return Seq2SeqModel(EncoderDecoder(CONFIG), SequenceOptions(**options), (0, 1))


def batch_of():
    learn = [True] * 4
    rows = [LAYOUT.learnt([3, 4, 5], [6, 7, 8, 1], learn)]
    rows.append(LAYOUT.learnt([9], [6, 1], [True] * 2))
    return collate(rows, LAYOUT.fields, sizes_of(rows[0], LAYOUT.fields))


def test_the_table_is_one_and_paths_begin_with_the_stack():
    model = model_of()
    paths = [v.path for v in model.trainable_variables]
    assert len(paths) == len(set(paths))
    assert sum("token_embedding" in path for path in paths) == 1
    assert "backbone/decoder/layer_2/cross_attention/key_value/kernel" in paths
    assert not any("encoder" in path and "cross" in path for path in paths)


def test_padding_changes_nothing():
    model, batch = model_of(), batch_of()
    both = np.asarray(model(batch)["targets"])
    alone = LAYOUT.learnt([9], [6, 1], [True] * 2)
    alone = np.asarray(model({k: v[None] for k, v in alone.items()})["targets"])
    np.testing.assert_allclose(both[1, :2], alone[0], atol=1e-5)


@pytest.mark.slow
def test_compiled_blocks_give_the_same_loss_and_gradients():
    model = model_of()
    batch = {k: tf.constant(v) for k, v in batch_of().items()}

    def gradients(blocks):
        def step():
            sources = [v.value for v in model.trainable_variables]
            with tf.GradientTape() as tape:
                logits = model(batch, training=True)
                loss, _ = model.task_loss(batch, logits)
            return loss, tape.gradient(loss, sources)

        if blocks is None:
            return step()
        with blocks.active():
            return step()

    loss, plain = gradients(None)
    same, compiled = gradients(SharedBlocks(*model.stacks))
    np.testing.assert_allclose(loss, same, rtol=1e-5)
    for one, other in zip(plain, compiled, strict=True):
        one, other = tf.convert_to_tensor(one), tf.convert_to_tensor(other)
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_rates_fall_from_the_decoders_top_to_the_encoders_bottom():
    options = TrainOptions(lr=1e-3, head_lr=1e-3, layer_decay=0.5)
    scales = {p.variable.path: rate_scale(p, options) for p in model_of().parameters()}
    last = "feed_forward/output/kernel"
    found = [scales[f"backbone/decoder/layer_{i}/{last}"] for i in (2, 1, 0)]
    found += [scales[f"backbone/encoder/layer_{i}/{last}"] for i in (1, 0)]
    assert found == pytest.approx([1, 1 / 2, 1 / 4, 1 / 8, 1 / 16])


def test_what_is_not_finite_is_located():
    model, batch = model_of(), batch_of()
    kernel = model.backbone.decoder.blocks[1].feed_forward.projection.kernel
    kernel.assign(np.full(kernel.shape, 3e38, np.float32))
    assert first_not_finite(model, batch) == "output of decoder/layer_1"
