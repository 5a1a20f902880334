"""Rows through batches: in order, of like length, each once, whatever runs them."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.runtime.batches import (
    Plan,
    in_batches,
    micro_batches,
    pad_prompts,
    padding_share,
    side_by_side,
    training_plan,
)
from nlpcli.runtime.forward import Forward
from nlpcli.text.batching import Bound, Field

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

    found = in_batches(
        rows_of(sizes), Plan(FIELDS, Bound(batch_size), full=fixed, lanes=lanes), work
    )
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

    assert in_batches(rows_of(sizes), Plan(FIELDS, Bound(2)), work) == [0, 1, 2, 3]
    assert widths == [3, 1]


def test_nothing_to_do_is_no_batch():
    assert in_batches([], Plan(FIELDS, Bound(4)), pytest.fail) == []


def test_a_plain_plan_pads_to_the_longest_and_fills_nothing_up():
    plan = Plan(FIELDS, Bound(2))
    assert plan.cuts([9, 8, 3, 3, 1]) == [(0, 2), (2, 4), (4, 5)]
    assert plan.cuts([]) == []
    shape = plan.shape_of([{"tokens": 5, "targets": 0}, {"tokens": 3, "targets": 2}])
    assert shape == {"tokens": 5, "targets": 2}
    assert plan.rows_of(1, shape) == 1


@pytest.mark.parametrize("buckets", [(), ({"tokens": 8}, {"tokens": 32})])
def test_a_batch_of_prediction_holds_a_bound_of_tokens(buckets):
    """Long rows go in few, and a program that is compiled knows one shape a bucket."""
    lengths = tuple(b["tokens"] for b in buckets)
    plan = Plan(
        FIELDS,
        Bound(16, 64, lengths or None),
        buckets,
        static=("tokens",) if buckets else (),
        full=bool(buckets),
    )
    shapes = []

    def work(batch):
        shapes.append(batch["token_ids"].shape)
        return batch["token_ids"].max(1)

    rng = np.random.default_rng(0)
    rows = rows_of([(int(n), 1) for n in [*rng.integers(1, 33, 60), 60]])
    assert in_batches(rows, plan, work) == list(range(1, 62))
    alone, *others = shapes
    assert alone == (1, 64 if buckets else 60)
    assert all(rows * length <= 64 and rows <= 16 for rows, length in others)
    if buckets:
        assert set(others) == {(2, 32), (8, 8)}
    else:
        assert max(rows for rows, _ in others) > 4


def test_a_program_s_buckets_decide_the_shapes():
    """Under XLA: whole batches, padded to the smallest bucket that holds them."""
    forward = Forward(None, True, [{"tokens": 4}, {"tokens": 8}])
    shapes = []

    def work(batch):
        shapes.append(batch["token_ids"].shape)
        return batch["token_ids"].max(1)

    fields = {k: v for k, v in FIELDS.items() if k != "target_ids"}
    rows = [{k: row[k] for k in fields} for row in rows_of([(n, 0) for n in (3, 7, 2)])]
    assert in_batches(rows, forward.plan(fields, 2), work) == [1, 2, 3]
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
        in_batches(rows_of([(3, 1)] * 9), Plan(FIELDS, Bound(2), lanes=lanes), work)


def test_each_half_is_padded_to_its_own_longest_and_a_lone_row_gets_filler():
    fields = {"token_ids": Field(("tokens",), 7)}
    plan = Plan(fields, Bound(4), lanes=2)
    rows = [{"token_ids": np.arange(n, dtype=np.int32)} for n in (2, 9, 3, 8)]
    ((short, long),) = micro_batches(rows, plan)
    assert short["token_ids"].tolist() == [[0, 1, 7], [0, 1, 2]]
    assert long["token_ids"].shape == (2, 9)
    ((one, filler),) = micro_batches(rows[:1], plan)
    assert one["token_ids"].tolist() == [[0, 1]]
    assert filler["token_ids"].tolist() == [[7, 7]]
    assert padding_share([[2, 9, 3, 8]], plan) == 1 - 22 / 24
    assert padding_share([[2]], plan) == 0.5


class Machine:
    """A device, as much of it as a plan asks for."""

    def __init__(self, xla=False, lanes=1, replicas=1):
        self.xla, self.lanes, self.replicas = xla, lanes, replicas


class Model:
    whole_batches = False
    axes = ("tokens",)


def plan_of(machine, bound, accumulate=1, blocks=False, model=Model):
    buckets = [{"tokens": 8, "targets": 4}, {"tokens": 32, "targets": 4}]
    return training_plan(FIELDS, bound, buckets, model, machine, accumulate, blocks)


TOKENS = Bound(None, 96, (8, 32))


@pytest.mark.parametrize(
    ("machine", "accumulate", "blocks", "shapes"),
    [
        (Machine(), 1, False, [(3, 21)]),
        (Machine(), 1, True, [(3, 32)]),
        (Machine(xla=True), 1, False, [(3, 32)]),
        (Machine(), 2, False, [(2, 21), (2, 21)]),
        (Machine(), 2, True, [(2, 32), (2, 32)]),
        (Machine(replicas=2), 1, False, [(4, 21)]),
    ],
)
def test_micro_batches_of_a_step_by_tokens(machine, accumulate, blocks, shapes):
    """The same rows, however they are dealt out; what is compiled has fixed shapes."""
    plan = plan_of(machine, TOKENS, accumulate, blocks)
    for sizes in ([(21, 3)], [(21, 3), (13, 2), (9, 0)]):
        pieces = micro_batches(rows_of(sizes), plan)
        if len(sizes) == 3 or plan.full:
            assert [p["token_ids"].shape for p in pieces] == shapes
        real = np.concatenate([piece["padding_mask"].sum(1) for piece in pieces])
        assert sorted(real[real > 0], reverse=True) == [size[0] for size in sizes]
        places = sum(piece["token_ids"].size for piece in pieces)
        lengths = [size[0] for size in sizes]
        assert padding_share([lengths], plan) == pytest.approx(
            1 - sum(lengths) / places
        )


def test_what_training_decides_by_what_runs_it():
    bound = Bound(16)
    plain = plan_of(Machine(lanes=2), bound)
    assert (plain.lanes, plain.full, plain.static) == (2, False, ())
    assert plan_of(Machine(lanes=2), bound, 2).lanes == 1
    assert plan_of(Machine(lanes=2), bound, blocks=True).lanes == 1
    together = type("Together", (Model,), {"whole_batches": True})
    assert plan_of(Machine(lanes=2), bound, model=together).lanes == 1
    assert plan_of(Machine(), bound).compact
    assert plan_of(Machine(), bound, blocks=True).static == ("tokens",)
    xla = plan_of(Machine(xla=True), bound)
    assert (xla.static, xla.full, xla.compact) == (None, True, False)
    dealt = plan_of(Machine(replicas=2), bound, 2)
    assert (dealt.parts, dealt.micro, dealt.full, dealt.compact) == (4, 2, True, False)


def test_prompts_are_padded_to_a_few_lengths():
    rows = rows_of([(3, 1), (17, 1)])
    batch = pad_prompts(rows, FIELDS, 4)
    assert batch["token_ids"].shape == (4, 32)
    assert batch["target_ids"].shape == (4, 1), "what is one for all stays one"
    assert pad_prompts(rows[:1], FIELDS, 4)["token_ids"].shape == (1, 16)
    assert pad_prompts(rows[:1], FIELDS, 4, 100)["token_ids"].shape == (1, 128)
    long = pad_prompts(rows_of([(600, 1)]), FIELDS, 4)
    assert long["token_ids"].shape == (1, 1024)
