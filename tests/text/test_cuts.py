"""How sorted rows are cut into batches: against every other way."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.text.batching import Field, collate_halves, cut_sorted, halves

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=9)


def cost(lengths, ranges, overhead):
    return sum((b - a) * max(lengths[a:b]) + overhead for a, b in ranges)


@given(LENGTHS, st.integers(1, 5), st.integers(0, 40), st.booleans())
def test_no_other_cut_costs_less(lengths, most, overhead, down):
    lengths = sorted(lengths, reverse=down)
    found = cut_sorted(lengths, most, overhead)
    assert [i for a, b in found for i in range(a, b)] == list(range(len(lengths)))
    assert all(b - a <= most for a, b in found)
    inner = range(1, len(lengths))
    best = min(
        cost(lengths, ranges, overhead)
        for count in range(len(lengths))
        for cuts in combinations(inner, count)
        for ranges in [list(zip((0, *cuts), (*cuts, len(lengths)), strict=True))]
        if all(b - a <= most for a, b in ranges)
    )
    assert cost(lengths, found, overhead) == best


def test_nothing_is_cut_into_nothing():
    assert cut_sorted([], 4) == []


@given(st.lists(st.integers(1, 60), min_size=2, max_size=9))
def test_halves_hold_every_row_once_and_the_longer_is_as_small_as_can_be(lengths):
    short, long = halves(lengths)
    assert sorted(short + long) == list(range(len(lengths)))
    assert short and long
    assert max(lengths[i] for i in short) <= min(lengths[i] for i in long)
    ranked = sorted(lengths)
    largest = max(len(short) * max(lengths[i] for i in short), len(long) * max(lengths))
    for at in range(1, len(ranked)):
        assert largest <= max(at * ranked[at - 1], (len(ranked) - at) * ranked[-1])


def test_each_half_is_padded_to_its_own_longest_and_a_lone_row_gets_filler():
    fields = {"token_ids": Field(("tokens",), 7)}
    rows = [{"token_ids": np.arange(n, dtype=np.int32)} for n in (2, 9, 3, 8)]
    short, long = collate_halves(rows, fields)
    assert short["token_ids"].tolist() == [[0, 1, 7], [0, 1, 2]]
    assert long["token_ids"].shape == (2, 9)
    one, filler = collate_halves(rows[:1], fields)
    assert one["token_ids"].tolist() == [[0, 1]]
    assert filler["token_ids"].tolist() == [[7, 7]]
