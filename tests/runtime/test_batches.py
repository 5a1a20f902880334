"""Rows through batches: in order, of like length, each once, whatever runs them."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.runtime.batches import Loose, in_batches, side_by_side
from nlpcli.runtime.forward import Forward
from nlpcli.text.batching import Field

FIELDS = {
    "token_ids": Field(("tokens",), 0, tokens=True),
    "padding_mask": Field(("tokens",), False),
    "target_ids": Field(("targets",), -1),
}


def features(length, targets, number):
    return {
        "token_ids": np.full(length, number + 1, np.int32),
        "padding_mask": np.ones(length, bool),
        "target_ids": np.full(targets, number, np.int32),
    }


def rows_of(sizes):
    return [features(*size, number) for number, size in enumerate(sizes)]


class Plan(Loose):
    """Loose batches that may be filled up, and run in lanes."""

    def __init__(self, lanes=1, fixed=False):
        self.lanes, self.fixed = lanes, fixed

    def rows_of(self, batch_size):
        return batch_size if self.fixed else None


SIZES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4)), max_size=30)


@settings(max_examples=60)
@given(SIZES, st.integers(1, 7), st.sampled_from([1, 3]), st.booleans())
def test_each_row_has_its_own_answer(sizes, batch_size, lanes, fixed):
    seen = []

    def work(batch):
        rows = len(batch["token_ids"])
        assert rows == batch_size if fixed else 0 < rows <= batch_size
        real = batch["padding_mask"].any(1)
        lengths = batch["padding_mask"].sum(1)[real]
        targets = (batch["target_ids"] >= 0).sum(1)[real]
        # no wider than the longest, not even where rows are filled up
        assert batch["token_ids"].shape[1] == lengths.max()
        assert batch["target_ids"].shape[1] == max(targets.max(), 1)
        seen.append((len(lengths), lengths.max()))
        return batch["token_ids"].max(1) * 100 + batch["padding_mask"].sum(1)

    found = in_batches(rows_of(sizes), FIELDS, Plan(lanes, fixed), batch_size, work)
    assert found == [(i + 1) * 100 + length for i, (length, _) in enumerate(sizes)]
    assert sum(count for count, _ in seen) == len(sizes)
    if lanes == 1:
        longest = [length for _, length in seen]
        assert longest == sorted(longest, reverse=True), "the largest comes first"


def test_rows_of_one_length_go_by_their_other_sizes():
    sizes = [(4, 1), (4, 3), (4, 1), (4, 3)]
    widths = []

    def work(batch):
        widths.append(batch["target_ids"].shape[1])
        return batch["target_ids"].max(1)

    assert in_batches(rows_of(sizes), FIELDS, Loose(), 2, work) == [0, 1, 2, 3]
    assert widths == [3, 1]


def test_nothing_to_do_is_no_batch():
    assert in_batches([], FIELDS, Loose(), 4, pytest.fail) == []


def test_loose_batches_are_cut_by_number_alone():
    plan = Loose()
    assert plan.ranges([9, 5, 3, 3, 1], 2) == [(0, 2), (2, 4), (4, 5)]
    assert plan.ranges([], 2) == []
    assert plan.rows_of(2) is None
    shape = plan.shape_of([{"tokens": 5, "targets": 0}, {"tokens": 3, "targets": 2}])
    assert shape == {"tokens": 5, "targets": 2}


def test_a_program_s_buckets_decide_the_shapes():
    """Under XLA: whole batches, padded to the smallest bucket that holds them."""
    forward = Forward(None, True, [{"tokens": 4}, {"tokens": 8}])
    shapes = []

    def work(batch):
        shapes.append(batch["token_ids"].shape)
        return batch["token_ids"].max(1)

    fields = {k: v for k, v in FIELDS.items() if k != "target_ids"}
    rows = [{k: row[k] for k in fields} for row in rows_of([(n, 0) for n in (3, 7, 2)])]
    assert in_batches(rows, fields, forward, 2, work) == [1, 2, 3]
    assert shapes == [(2, 8), (2, 4)]


def test_lanes_run_at_the_same_time():
    meeting = threading.Barrier(2, timeout=30)

    def work(item):
        meeting.wait()
        return item

    assert list(side_by_side(work, range(4), 2)) == [0, 1, 2, 3]


def test_one_lane_is_no_thread_and_asks_for_no_more_than_it_gives():
    asked = []

    def items():
        for number in range(5):
            asked.append(number)
            yield number

    found = side_by_side(lambda _: threading.current_thread(), items(), 1)
    assert next(found) is threading.main_thread()
    assert asked == [0]


@pytest.mark.parametrize("lanes", [1, 2])
def test_what_fails_comes_out_as_it_is(lanes):
    def work(batch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_batches(rows_of([(3, 1)] * 9), FIELDS, Plan(lanes), 2, work)
