"""How sorted rows are cut into batches: against every other way."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from nlpcli.text.batching import Bound, cut_falling, cut_rising, cut_sorted, halves

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


@given(LENGTHS, st.integers(1, 200), st.integers(1, 5), st.integers(0, 40))
def test_a_bound_of_tokens_holds_in_the_cheapest_cut(lengths, tokens, rows, overhead):
    lengths = sorted(lengths, reverse=True)
    found = cut_sorted(lengths, Bound(rows, tokens).most(lengths), overhead)

    def within(ranges):
        return all(
            b - a == 1 or (b - a <= rows and (b - a) * max(lengths[a:b]) <= tokens)
            for a, b in ranges
        )

    assert within(found)
    inner = range(1, len(lengths))
    best = min(
        cost(lengths, ranges, overhead)
        for count in range(len(lengths))
        for cuts in combinations(inner, count)
        for ranges in [list(zip((0, *cuts), (*cuts, len(lengths)), strict=True))]
        if within(ranges)
    )
    assert cost(lengths, found, overhead) == best


BUCKETS = st.none() | st.lists(st.integers(1, 60), max_size=4, unique=True).map(
    lambda ends: tuple(sorted(ends))
)


@given(LENGTHS, st.none() | st.integers(1, 5), st.integers(1, 200), BUCKETS)
def test_full_cuts_hold_the_bound_and_could_hold_no_row_more(
    lengths, rows, tokens, buckets
):
    bound = Bound(rows, tokens, buckets)
    for down, cut in ((False, cut_rising), (True, cut_falling)):
        lengths = sorted(lengths, reverse=down)
        found = cut(bound.most(lengths))
        assert [i for a, b in found for i in range(a, b)] == list(range(len(lengths)))
        for a, b in found:
            (most,) = bound.most([max(lengths[a:b])])
            assert b - a <= most
            padded = int(bound.padded([max(lengths[a:b])])[0])
            assert padded >= max(lengths[a:b])
            assert b - a == 1 or (b - a) * padded <= tokens
            if b < len(lengths):
                (more,) = bound.most([max(lengths[a : b + 1])])
                assert b - a + 1 > more


def test_a_bound_pads_to_its_lengths_and_then_to_powers_of_two():
    lengths = [3, 8, 9, 20, 21, 33]
    assert Bound(2, 9).padded(lengths).tolist() == lengths
    assert Bound(2, 9, (8, 20)).padded(lengths).tolist() == [8, 8, 20, 20, 32, 64]
    assert Bound(2, 9, ()).padded(lengths).tolist() == [4, 8, 16, 32, 32, 64]
    assert Bound(7).most(lengths).tolist() == [7] * 6
    assert Bound(None, 60, (8, 20)).most(lengths).tolist() == [7, 7, 3, 3, 1, 1]
    assert Bound(4, 60, (8, 20)).most(lengths).tolist() == [4, 4, 3, 3, 1, 1]
