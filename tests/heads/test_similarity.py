"""Losses of sentence vectors against numpy, and what may not leak between rows."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.heads.endings import BACK
from nlpcli.heads.similarity import (
    EmbeddingModel,
    SimBertModel,
    in_batch_loss,
    triplet_loss,
)
from nlpcli.layers import masks
from nlpcli.text.batching import Field, collate

CONFIG = TransformerConfig(
    vocab_size=30,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=24,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
RNG = np.random.default_rng(0)


def release_similarity(vectors, scale=30.0):
    """simbert's compute_loss_of_similarity: rows 2i and 2i + 1 are partners."""
    index = np.arange(len(vectors))
    label = index + 1 - index % 2 * 2
    rows = vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    logits = rows @ rows.T
    logits = logits - np.eye(len(rows)) * 1e12
    logits = logits * scale
    logits = logits - logits.max(axis=1, keepdims=True)
    logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -logp[index, label].mean()


def release_seq2seq(token_ids, segment_ids, logits):
    """simbert's compute_loss_of_seq2seq: over what segment 1 holds."""
    target, mask = token_ids[:, 1:], segment_ids[:, 1:]
    logits = logits[:, :-1] - logits[:, :-1].max(axis=-1, keepdims=True)
    logp = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    loss = -np.take_along_axis(logp, target[..., None], axis=-1)[..., 0]
    return (loss * mask).sum() / mask.sum()


def interleaved(halves):
    """Rows i and i + n as rows 2i and 2i + 1."""
    one, other = np.split(halves, 2)
    return np.stack([one, other], axis=1).reshape(len(halves), -1)


def test_in_batch_loss_is_the_releases():
    vectors = RNG.normal(size=(10, 6)).astype("float32")
    groups, real = np.arange(5, dtype=np.int32), np.ones(5, bool)
    total, count = in_batch_loss(vectors, groups, real, 30.0)
    assert float(count) == 10
    expected = release_similarity(interleaved(vectors).astype(np.float64))
    assert float(total) / 10 == pytest.approx(expected, rel=1e-4)


def test_filler_and_rows_of_one_group_are_no_negatives():
    vectors = RNG.normal(size=(6, 6)).astype("float32")
    first, second = vectors[:3], vectors[3:]
    zero = np.zeros((1, 6), "float32")
    padded = np.concatenate([first[:2], zero, first[2:], second[:2], zero, second[2:]])
    groups = np.array([1, 2, 0, 3], np.int32)
    real = np.array([True, True, False, True])
    total, count = in_batch_loss(padded, groups, real, 30.0)
    expected = release_similarity(interleaved(vectors).astype(np.float64))
    assert float(count) == 6
    assert float(total) / 6 == pytest.approx(expected, rel=1e-4)
    # The third pair is of the first's group: each only has to beat the second's rows.
    shared = np.array([1, 2, 1], np.int32)
    total, _ = in_batch_loss(vectors, shared, np.ones(3, bool), 30.0)
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    logits = rows @ rows.T * 30
    losses = []
    for i in range(6):
        partner = (i + 3) % 6
        others = [0, 2, 3, 5] if i % 3 == 1 else [1, 4]
        seen = logits[i, [partner, *others]].astype(np.float64)
        losses.append(np.log(np.exp(seen - seen[0]).sum()))
    assert float(total) == pytest.approx(sum(losses), rel=1e-3)


def test_triplet_loss_is_supervised_simcse():
    n = 4
    vectors = RNG.normal(size=(3 * n, 5)).astype("float32")
    has = np.array([True, False, True, True])
    groups, real = np.arange(n, dtype=np.int32), np.array([True, True, True, False])
    total, count = triplet_loss(vectors, groups, real, has, 20.0)
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    anchors, positives, negatives = np.split(rows, 3)
    expected = 0.0
    for i in range(3):
        seen = [anchors[i] @ positives[j] * 20 for j in range(3)]
        seen += [anchors[i] @ negatives[j] * 20 for j in range(n) if has[j]]
        expected += np.log(np.exp(np.array(seen) - seen[i]).sum())
    assert float(count) == 3
    assert float(total) == pytest.approx(expected, rel=1e-4)


def test_a_stack_that_looks_back_only_does_so_in_training():
    """A sentence's vector is the same whether its synonym stands behind it or not."""
    config = replace(CONFIG, causal=True)
    model = SimBertModel(Transformer(config), "mean", None, 20.0, (0, 1, 2, 3))
    ids, segments = np.array([[2, 7, 8, 3, 9, 3]]), np.array([[0, 0, 0, 0, 1, 1]])
    pair = {
        "token_ids": ids,
        "segment_ids": segments,
        "padding_mask": np.ones((1, 6), bool),
        "predict_at": np.array([[3, 4]]),
    }
    batch = {**pair, **{f"{name}{BACK}": value for name, value in pair.items()}}
    together = model({**batch, "group": np.array([0])})["pooled"][:1]
    alone = {"token_ids": ids[:, :4], "padding_mask": np.ones((1, 4), bool)}
    np.testing.assert_allclose(together, model(alone)["pooled"], atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_no_negatives_is_as_good_as_empty_ones(pooling):
    """What is not computed had no part in the loss: an empty row stood for it."""
    model = EmbeddingModel(Transformer(CONFIG), pooling, scale=20.0, supervised=True)
    batch = {"group": np.array([1, 2, 1, 0], np.int32)}
    for end in ("", "_positive"):
        mask = np.arange(7) < np.array([[3], [7], [5], [0]])
        batch["token_ids" + end] = RNG.integers(1, 30, (4, 7)).astype(np.int32) * mask
        batch["padding_mask" + end] = mask
    empty = np.zeros((4, 7), np.int32)
    negative = {"token_ids_negative": empty, "padding_mask_negative": empty > 0}
    found = []
    for features in (batch, {**batch, **negative}):
        logits = model(features, training=True)
        found.append([float(x) for x in model.task_loss(features, logits)])
        assert len(logits["pooled"]) == (8 if features is batch else 12)
    assert found[0] == pytest.approx(found[1], abs=1e-6, rel=1e-6)
    assert found[0][1] == 3


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_compact_batch_has_the_loss_of_the_whole_one(pooling):
    """Rows without a negative take no room among the negatives, and part in no loss."""
    model = EmbeddingModel(Transformer(CONFIG), pooling, scale=20.0, supervised=True)
    names = [
        (name + end, end == "_negative")
        for name in ("token_ids", "padding_mask")
        for end in ("", "_positive", "_negative")
    ]
    fields = {name: Field(("tokens",), 0, sparse=sparse) for name, sparse in names}
    fields["group"] = Field(())
    rows = []
    for number in range(8):
        row = {"group": np.array(number, np.int32)}
        for end in ("", "_positive", "_negative"):
            length = 0 if end == "_negative" and number % 3 else RNG.integers(2, 8)
            row["token_ids" + end] = RNG.integers(1, 30, length).astype(np.int32)
            row["padding_mask" + end] = np.ones(length, bool)
        rows.append(row)
    found = []
    for compact, negatives in ((False, 8), (True, 4)):
        batch = collate(rows, fields, {"tokens": 8}, compact=compact)
        assert len(batch["token_ids_negative"]) == negatives
        logits = model(batch, training=True)
        assert len(logits["pooled"]) == 16 + negatives
        found.append([float(x) for x in model.task_loss(batch, logits)])
    assert found[0] == pytest.approx(found[1], abs=1e-6, rel=1e-6)
    assert found[0][1] == 8


def pair_batch(pairs=3, length=11, padded=0):
    """Both directions of random pairs, as recipes/simbert makes them."""
    names = ("token_ids", "segment_ids", "padding_mask")
    batch = {name + end: [] for name in names for end in ("", "_back")}
    for _ in range(pairs):
        one, other = (RNG.integers(5, 30, RNG.integers(2, 4)) for _ in range(2))
        for (a, b), end in (((one, other), ""), ((other, one), "_back")):
            ids = [1, *a, 2, *b, 2]
            row = np.zeros(length + padded, np.int32)
            segments, mask = row.copy(), row.astype(bool)
            row[: len(ids)], mask[: len(ids)] = ids, True
            segments[len(a) + 2 : len(ids)] = 1
            for name, value in zip(names, (row, segments, mask), strict=True):
                batch[name + end].append(value)
    batch = {name: np.array(rows) for name, rows in batch.items()}
    for end in ("", "_back"):
        segments = batch["segment_ids" + end]
        width = int(segments.sum(axis=1).max())
        at = np.zeros((pairs, width), np.int32)
        ids, mask = at.copy(), at.astype(bool)
        for row in range(pairs):
            places = np.flatnonzero(segments[row])
            at[row, : len(places)] = places - 1
            ids[row, : len(places)] = batch["token_ids" + end][row, places]
            mask[row, : len(places)] = True
        batch |= {"predict_at" + end: at, "target_ids" + end: ids}
        batch["target_mask" + end] = mask
    width = max(batch["predict_at"].shape[1], batch["predict_at_back"].shape[1])
    for name in list(batch):
        if name.startswith(("predict_at", "target_")):
            room = width - batch[name].shape[1]
            batch[name] = np.pad(batch[name], ((0, 0), (0, room)))
    return {**batch, "group": np.arange(pairs, dtype=np.int32)}


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_simbert_loss_is_the_sum_of_the_releases_two(pooling):
    keras.utils.set_random_seed(1)
    model = SimBertModel(Transformer(CONFIG), pooling, None, 30.0, (0, 1, 2))
    batch = pair_batch()
    logits = model(batch, training=True)
    total, weight = model.task_loss(batch, logits)
    both = {
        name: np.concatenate([batch[name], batch[name + "_back"]])
        for name in ("token_ids", "segment_ids", "padding_mask")
    }
    # Everywhere, then as the release does: shifted, masked by the segment.
    states = model.backbone(
        both["token_ids"],
        both["segment_ids"],
        both["padding_mask"],
        attention_mask=masks.unilm(both["segment_ids"], both["padding_mask"]),
    )
    table = model.backbone.token_embedding.embeddings
    everywhere = np.asarray(model.head(states, token_table=table), np.float64)
    written = release_seq2seq(both["token_ids"], both["segment_ids"], everywhere)
    pooled = np.asarray(logits["pooled"], np.float64)
    if pooling == "cls":
        assert np.allclose(pooled, np.asarray(states)[:, 0], atol=1e-5)
    alike = release_similarity(interleaved(pooled))
    assert float(weight) == both["segment_ids"].sum()
    assert float(total) / float(weight) == pytest.approx(written + alike, rel=1e-4)


@pytest.mark.parametrize("pooling", ["cls", "pooler", "mean"])
def test_the_vector_of_training_is_that_of_the_sentence_alone(pooling):
    model = SimBertModel(Transformer(CONFIG), pooling, None, 30.0, (0, 1, 2))
    batch = pair_batch(padded=4)
    pooled = np.asarray(model(batch, training=True)["pooled"])[:3]
    alone = batch["padding_mask"] & (batch["segment_ids"] == 0)
    answer = model({"token_ids": batch["token_ids"], "padding_mask": alone})
    assert np.allclose(answer["pooled"], pooled, atol=1e-5)
    lengths = np.linalg.norm(answer["vectors"], axis=1)
    assert lengths == pytest.approx(np.ones(3), abs=1e-5)


@pytest.mark.parametrize("supervised", [False, True])
def test_contrast_of_a_padded_batch_is_that_of_the_batch(supervised):
    backbone = Transformer(CONFIG)
    model = EmbeddingModel(backbone, "mean", scale=20.0, supervised=supervised)
    batch = {"group": np.arange(3, dtype=np.int32)}
    for end in ("", "_positive", "_negative") if supervised else ("",):
        mask = np.arange(7) < np.array([[3], [7], [5]])
        if end == "_negative":
            mask[1] = False
        batch["token_ids" + end] = RNG.integers(1, 30, (3, 7)).astype(np.int32) * mask
        batch["padding_mask" + end] = mask
    filled = {
        name: np.pad(array, [(0, 2)] + [(0, 4)] * (array.ndim - 1))
        for name, array in batch.items()
    }
    totals = [
        [float(x) for x in model.task_loss(b, model(b, training=True))]
        for b in (batch, filled)
    ]
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)
    assert totals[0][1] == (3 if supervised else 6)


def test_dropout_parts_the_two_readings_of_a_sentence():
    model = EmbeddingModel(Transformer(replace(CONFIG, hidden_dropout_prob=0.3)), "cls")
    ids = RNG.integers(1, 30, (4, 6)).astype(np.int32)
    batch = {"token_ids": ids, "padding_mask": ids > 0, "group": np.arange(4)}
    one, other = np.split(np.asarray(model(batch, training=True)["pooled"]), 2)
    assert np.abs(one - other).max() > 0.1
