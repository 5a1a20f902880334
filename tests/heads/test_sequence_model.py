"""Models that write: masks, losses and ways of teaching against plain renderings."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.rules import dump
from nlpcli.engine.published import backbone_variables
from nlpcli.heads.sequence_model import SequenceModel
from nlpcli.heads.sequence_options import SequenceOptions, TeaForNOptions
from nlpcli.layers import masks
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint
from nlpcli.text.batching import collate
from nlpcli.text.sequences import sequence_fields, training_features
from tests.bert_family import MLM_RULES, RULES

VOCAB = 17
SPECIAL = (0, 1, 2)
LENGTHS = ((4, 3), (2, 6), (5, 1), (1, 2))  # source, target


def model_of(attention="unilm", dropout=0.0, seed=0, **options):
    keras.utils.set_random_seed(seed)
    config = TransformerConfig(
        VOCAB,
        24,
        2,
        2,
        40,
        32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.3,
    )
    model = SequenceModel(
        Transformer(config), SequenceOptions(**options), attention, SPECIAL
    )
    rng = np.random.default_rng(seed)
    model.head.bias.assign(rng.normal(size=VOCAB))
    return model


def batch_of(seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for source, target in LENGTHS:
        segments = np.repeat([0, 1], [source, target])
        rows.append(
            training_features(
                rng.integers(3, VOCAB, source + target), segments, segments == 1
            )
        )
    return collate(rows, sequence_fields(0), {"tokens": 10, "targets": 7})


def log_softmax(x):
    x = np.asarray(x, np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def cross_entropy(batch, logits, smoothing=0.0, first=0):
    """Over the targets from number ``first`` on, in loops."""
    total = 0.0
    logp = log_softmax(logits)
    for row, place in zip(*np.nonzero(batch["target_mask"]), strict=True):
        if place >= first:
            spread = np.full(VOCAB, smoothing / VOCAB)
            spread[batch["target_ids"][row, place]] += 1.0 - smoothing
            total -= (spread * logp[row, place]).sum()
    return total


@pytest.mark.parity
def test_unilm_logits_equal_bert4keras(tmp_path):
    pytest.importorskip("bert4keras")
    raw = {
        "vocab_size": 70,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
        "hidden_act": "gelu_new",
        "initializer_range": 0.2,
    }
    keras.utils.set_random_seed(3)
    config = TransformerConfig.from_dict(raw, "test")
    model = SequenceModel(Transformer(config), SequenceOptions(), "unilm", SPECIAL)
    variables = {
        **backbone_variables(model.backbone),
        **{variable.path: variable for variable in model.head.variables},
    }
    rng = np.random.default_rng(1)
    for path, variable in variables.items():
        if path.endswith(("bias", "beta")):
            variable.assign(rng.normal(size=variable.shape))
    values = {path: np.asarray(variable) for path, variable in variables.items()}
    tensors = dump(RULES["tf"] + MLM_RULES["tf"], values)
    write_tf_checkpoint(tmp_path / "bert_model.ckpt", tensors)
    (tmp_path / "bert_config.json").write_text(json.dumps(raw | {"hidden_act": "gelu"}))
    token_ids = rng.integers(1, 70, (5, 13)).astype(np.int32)
    sources = np.array([1, 4, 7, 12, 13])[:, None]
    segment_ids = (np.arange(13) >= sources).astype(np.int32)
    np.savez(tmp_path / "in.npz", token_ids=token_ids, segment_ids=segment_ids)
    script = Path(__file__).parent / "bert4keras_unilm.py"
    files = [tmp_path, tmp_path / "in.npz", tmp_path / "out.npy"]
    done = subprocess.run(
        [sys.executable, str(script), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ours = model(
        {
            "token_ids": token_ids,
            "segment_ids": segment_ids,
            "padding_mask": np.ones(token_ids.shape, bool),
            "predict_at": np.tile(np.arange(13, dtype=np.int32), (5, 1)),
        }
    )["targets"]
    np.testing.assert_allclose(
        np.asarray(ours), np.load(tmp_path / "out.npy"), atol=2e-4
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_masks_equal_loops(side):
    lengths, size = LENGTHS, 8
    segments = np.zeros((len(lengths), size), np.int32)
    real = np.zeros((len(lengths), size), bool)
    for row, (source, target) in enumerate(lengths):
        start = size - source - target if side == "left" else 0
        real[row, start : start + source + target] = True
        segments[row, start + source : start + source + target] = 1
    unilm = np.asarray(masks.unilm(segments, real))
    causal = np.asarray(masks.causal(segments, real))
    assert unilm.shape == causal.shape == (len(lengths), 1, size, size)
    for row, i, j in np.ndindex(len(lengths), size, size):
        if real[row, i]:
            source = not segments[row, j]
            assert unilm[row, 0, i, j] == (real[row, j] and (source or j <= i))
            assert causal[row, 0, i, j] == (real[row, j] and j <= i)
    assert not (unilm | causal)[
        ~np.broadcast_to(real[:, None, None], unilm.shape)
    ].any()


@pytest.mark.parametrize("attention", ["unilm", "causal"])
def test_a_target_sees_no_later_target(attention):
    model, batch = model_of(attention), batch_of()
    before = np.asarray(model(batch)["targets"])
    for place in range(6):
        changed = {k: v.copy() for k, v in batch.items()}
        for row, count in enumerate(batch["target_mask"].sum(1)):
            later = batch["predict_at"][row, place:count] + 1
            changed["token_ids"][row, later] = 3 + place
        after = np.asarray(model(changed)["targets"])
        kept = batch["target_mask"][:, : place + 1]
        np.testing.assert_allclose(
            after[:, : place + 1][kept], before[:, : place + 1][kept], atol=1e-5
        )


def test_padding_changes_no_logits():
    model, batch = model_of(), batch_of()
    together = np.asarray(model(batch)["targets"])
    for row, (source, target) in enumerate(LENGTHS):
        alone = {
            k: v[row : row + 1, : target if k.startswith(("t", "pr")) else None]
            for k, v in batch.items()
        }
        for name in ("token_ids", "segment_ids", "padding_mask"):
            alone[name] = batch[name][row : row + 1, : source + target]
        np.testing.assert_allclose(
            np.asarray(model(alone)["targets"])[0], together[row, :target], atol=2e-5
        )


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_the_loss_equals_loops(smoothing):
    model, batch = model_of(label_smoothing=smoothing), batch_of()
    logits = model(batch, training=True)
    total, weight = model.task_loss(batch, logits)
    expected = cross_entropy(batch, logits["targets"], smoothing)
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert float(weight) == sum(target for _, target in LENGTHS)


def test_corruption_touches_only_targets():
    share, batch = 0.4, batch_of()
    model = model_of(corruption=share)
    is_target = np.zeros(batch["token_ids"].shape, bool)
    for row, place in zip(*np.nonzero(batch["target_mask"]), strict=True):
        is_target[row, batch["predict_at"][row, place] + 1] = True
    changes, written = np.zeros(is_target.shape), set()
    rounds = 300
    for _ in range(rounds):
        noisy = np.asarray(model._corrupted(batch))
        changed = noisy != batch["token_ids"]
        changes += changed
        written |= set(noisy[changed].tolist())
    assert not changes[~is_target].any()
    assert written == set(range(VOCAB)) - set(SPECIAL)
    # Noise may draw the token that stood there.
    expected = share * (1 - 1 / (VOCAB - len(SPECIAL)))
    count = rounds * is_target.sum()
    spread = (expected * (1 - expected) / count) ** 0.5
    assert abs(changes.sum() / count - expected) < 4 * spread


def test_corruption_stays_out_of_evaluation():
    plain, noisy = model_of(), model_of(corruption=0.9)
    batch = batch_of()
    np.testing.assert_array_equal(
        np.asarray(plain(batch)["targets"]), np.asarray(noisy(batch)["targets"])
    )


@pytest.mark.parametrize("weight", [0.5, 4.0])
def test_r_drop_equals_numpy(weight):
    batch = batch_of()
    model = model_of(dropout=0.3, r_drop=weight, label_smoothing=0.1)
    logits = model(batch, training=True)
    one, other = np.split(np.asarray(logits["targets"]), 2)
    assert np.abs(one - other).max() > 0.01
    p, q = log_softmax(one), log_softmax(other)
    both = np.exp(p) * (p - q) + np.exp(q) * (q - p)
    divergence = both.sum(-1)[batch["target_mask"]].sum()
    mean = (cross_entropy(batch, one, 0.1) + cross_entropy(batch, other, 0.1)) / 2
    total, count = model.task_loss(batch, logits)
    assert float(total) == pytest.approx(mean + weight / 4 * divergence, rel=1e-5)
    assert float(count) == batch["target_mask"].sum()


def test_r_drop_without_dropout_is_the_plain_loss():
    batch = batch_of()
    plain, model = model_of(), model_of(r_drop=4.0)
    expected, _ = plain.task_loss(batch, plain(batch, training=True))
    total, _ = model.task_loss(batch, model(batch, training=True))
    assert float(total) == pytest.approx(float(expected), rel=1e-5)


def test_tea_forn_of_one_pass_is_plain_teacher_forcing():
    batch = batch_of()
    plain, model = model_of(), model_of(tea_forn=TeaForNOptions(n=1))
    one, other = (m(batch, training=True) for m in (plain, model))
    assert set(one) == set(other) == {"targets"}
    assert float(plain.task_loss(batch, one)[0]) == float(
        model.task_loss(batch, other)[0]
    )


@pytest.mark.parametrize("attention", ["unilm", "causal"])
@pytest.mark.parametrize(("top_k", "n"), [(None, 2), (4, 2), (3, 3), (VOCAB, 2)])
def test_tea_forn_equals_a_slow_rendering(attention, top_k, n):
    decay = 0.6
    model = model_of(attention, tea_forn=TeaForNOptions(n, decay, top_k))
    batch = batch_of()
    table = np.asarray(model.backbone.token_embedding.embeddings, np.float64)

    def logits_of(vectors):
        states = np.asarray(
            model.backbone(
                batch["token_ids"],
                batch["segment_ids"],
                batch["padding_mask"],
                attention_mask=model.attention(
                    batch["segment_ids"], batch["padding_mask"]
                ),
                token_vectors=vectors.astype(np.float32),
            )
        )
        at = batch["predict_at"]
        picked = np.stack([states[row, at[row]] for row in range(len(at))])
        flat = model.logits(picked.reshape(-1, picked.shape[-1]))
        return np.asarray(flat).reshape(*at.shape, VOCAB)

    vectors = table[batch["token_ids"]]
    logits = logits_of(vectors)
    expected = cross_entropy(batch, logits)
    for number in range(1, n):
        vectors = table[batch["token_ids"]]
        for row, place in zip(*np.nonzero(batch["target_mask"]), strict=True):
            likely = np.argsort(-logits[row, place])[:top_k]
            chances = np.exp(log_softmax(logits[row, place, likely]))
            mean = (chances[:, None] * table[likely]).sum(0)
            vectors[row, batch["predict_at"][row, place] + 1] = mean
        logits = logits_of(vectors)
        expected += decay**number * cross_entropy(batch, logits, first=number)
    total, weight = model.task_loss(batch, model(batch, training=True))
    assert float(total) == pytest.approx(expected, rel=1e-4)
    assert float(weight) == batch["target_mask"].sum()
