"""Batching: collation, buckets against brute force, length grouping."""

from itertools import combinations

import numpy as np
import pytest

from nlpcli.text.batching import (
    Bound,
    Field,
    choose_buckets,
    collate,
    fit,
    length_grouped,
    round_up,
)

FIELDS = {"ids": Field(("tokens",), 9), "spans": Field(("spans", None), -1)}


def test_collate_pads_values_and_rows():
    features = [
        {"ids": np.array([1, 2]), "spans": np.array([[0, 1, 2]])},
        {"ids": np.array([3]), "spans": np.zeros((0, 3), int)},
    ]
    batch = collate(features, FIELDS, {"tokens": 3, "spans": 2}, rows=3)
    assert batch["ids"].tolist() == [[1, 2, 9], [3, 9, 9], [9, 9, 9]]
    assert batch["spans"].shape == (3, 2, 3)
    assert batch["spans"][0, 0].tolist() == [0, 1, 2]
    assert (batch["spans"][1:] == -1).all()


@pytest.mark.parametrize(
    ("lengths", "rows", "expected"),
    [
        ([0] * 8, 8, [0, 0]),
        ([0, 2, 0, 1, 0, 0, 0, 3], 8, [2, 1, 3, 0]),
        ([1] * 8, 8, [1] * 8),
        ([0, 2, 0], 16, [2, 0, 0, 0]),
        ([1, 1, 0], 3, [1, 1]),
    ],
)
def test_a_compact_batch_has_quarters_of_a_sparse_field(lengths, rows, expected):
    fields = {"ids": Field(("tokens",)), "few": Field(("tokens",), sparse=True)}
    features = [{"ids": np.ones(1), "few": np.ones(n)} for n in lengths]
    batch = collate(features, fields, {"tokens": 3}, rows, compact=True)
    assert batch["few"].sum(axis=1).tolist() == expected
    assert batch["ids"].shape == (rows, 3)
    whole = collate(features, fields, {"tokens": 3}, rows)
    assert whole["few"].sum(axis=1)[: len(lengths)].tolist() == lengths


@pytest.mark.parametrize("count", [1, 2, 3])
def test_buckets_waste_the_least_padding(count):
    rng = np.random.default_rng(count)
    lengths = rng.integers(1, 60, 200)
    buckets = choose_buckets([{"tokens": int(n)} for n in lengths], count)
    rounded = -(-lengths // 8) * 8
    ends = [bucket["tokens"] for bucket in buckets]
    best = min(
        sum(min(e for e in (*choice, rounded.max()) if e >= n) for n in rounded)
        for choice in combinations(sorted(set(rounded))[:-1], count - 1)
    )
    assert sum(min(e for e in ends if e >= n) for n in rounded) == best
    assert len(buckets) <= count


def test_every_example_fits_a_bucket_on_all_axes():
    rng = np.random.default_rng(0)
    sizes = [
        {"tokens": int(a), "characters": int(a + b)}
        for a, b in rng.integers(1, 90, (300, 2))
    ]
    buckets = choose_buckets(sizes, 4)
    assert all(fit(item, buckets) is not None for item in sizes)
    assert fit({"tokens": 500, "characters": 1}, buckets) is None


def test_round_up():
    assert round_up([{"a": 1}, {"a": 9, "b": 0}]) == {"a": 16, "b": 8}


def test_length_grouping_is_a_seeded_permutation_of_like_lengths():
    lengths = np.random.default_rng(1).integers(1, 100, 1000).tolist()
    batches = list(length_grouped(lengths, 10, np.random.default_rng(5)))
    again = list(length_grouped(lengths, 10, np.random.default_rng(5)))
    other = list(length_grouped(lengths, 10, np.random.default_rng(6)))
    assert batches == again != other
    assert sorted(i for batch in batches for i in batch) == list(range(1000))
    waste = sum(
        max(lengths[i] for i in b) * len(b) - sum(lengths[i] for i in b)
        for b in batches
    )
    assert waste / sum(lengths) < 0.05


def test_length_grouping_by_tokens_is_a_seeded_permutation_within_the_bound():
    lengths = np.random.default_rng(1).integers(1, 100, 1000)
    buckets = np.arange(8, 105, 8)
    most = Bound(None, 600, tuple(buckets)).most(lengths)
    batches = list(length_grouped(lengths, most, np.random.default_rng(5)))
    again = list(length_grouped(lengths, most, np.random.default_rng(5)))
    other = list(length_grouped(lengths, most, np.random.default_rng(6)))
    assert batches == again != other
    assert sorted(i for batch in batches for i in batch) == list(range(1000))
    padded = [len(b) * min(buckets[buckets >= lengths[b].max()]) for b in batches]
    assert max(padded) <= 600
    assert lengths.sum() / (600 * len(batches)) > 0.8


def test_an_equal_bound_for_every_row_is_a_number_of_rows():
    lengths = np.random.default_rng(1).integers(1, 100, 500)
    whole = list(length_grouped(lengths, 24, np.random.default_rng(5), 3))
    each = np.full(500, 24)
    assert whole == list(length_grouped(lengths, each, np.random.default_rng(5), 3))
    assert [len(batch) for batch in whole if len(batch) < 24] == [500 % 24]
