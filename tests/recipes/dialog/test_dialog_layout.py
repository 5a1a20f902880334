"""Turns as sequences: segments, targets and cuts, against a slow reading of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.recipes.dialog.layout import (
    BACKWARD,
    pair_of,
    prompt_of,
    recent,
    stretches,
    windows_of,
)
from nlpcli.text.tokenizers.load import tiny_tokenizer

VOCAB = tiny_tokenizer().vocab
CLS, SEP = VOCAB.begin_id, VOCAB.end_id
A, B, C, D = (np.array(ids, np.int32) for ids in ([11, 12], [13], [14, 15, 16], [17]))

turn_lengths = st.lists(st.integers(1, 30), min_size=1, max_size=12)


def turns_of(lengths):
    """Turns whose every token is different, so that each can be found again."""
    ends = np.cumsum(lengths) + 1000
    return [
        np.arange(end - n, end, dtype=np.int32)
        for end, n in zip(ends, lengths, strict=True)
    ]


def targets_of(features):
    return features["target_ids"].tolist()


def test_segments_go_by_turns_and_each_end_belongs_to_its_turn() -> None:
    (features,) = windows_of([A, B, C], [True] * 3, VOCAB, 64)
    assert features["token_ids"].tolist() == [CLS, *A, SEP, *B, SEP, *C, SEP]
    assert features["segment_ids"].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert targets_of(features) == features["token_ids"].tolist()[1:]
    assert features["predict_at"].tolist() == list(range(9))


def test_replies_are_the_turns_of_the_second_speaker() -> None:
    (features,) = windows_of([A, B, C, D], [False, True] * 2, VOCAB, 64)
    assert targets_of(features) == [*B, SEP, *D, SEP]
    assert features["predict_at"].tolist() == [3, 4, 9, 10]


def test_a_prompt_asks_for_the_other_speaker() -> None:
    one, two = prompt_of([A], VOCAB, 64), prompt_of([A, B], VOCAB, 64)
    assert (int(one["next_segment"]), int(two["next_segment"])) == (1, 0)
    assert two["token_ids"].tolist() == [CLS, *A, SEP, *B, SEP]


def test_a_long_context_is_cut_from_the_left_at_a_turn() -> None:
    # 1 + 2 + 4 + 2 = 9 fits with B; but B alone would change the speakers
    cut = prompt_of([A, B, C, D], VOCAB, 9)
    assert cut["token_ids"].tolist() == [CLS, *C, SEP, *D, SEP]
    assert cut["segment_ids"].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert len(prompt_of([A, B, C, D], VOCAB, 12)["token_ids"]) == 12


def test_a_long_last_turn_keeps_its_end() -> None:
    turn = np.arange(100, 150, dtype=np.int32)
    cut = prompt_of([A, turn], VOCAB, 10)
    assert cut["token_ids"].tolist() == [CLS, *turn[-8:], SEP]


@given(turn_lengths, st.integers(8, 60))
def test_a_prompt_fits_and_ends_with_the_last_turn(lengths, longest) -> None:
    turns = turns_of(lengths)
    ids = prompt_of(turns, VOCAB, longest)["token_ids"]
    assert len(ids) <= longest
    tail = [*turns[-1], SEP][-(longest - 1) :]
    assert ids.tolist()[-len(tail) :] == tail
    # what is there is the end of the whole, and begins where a turn does
    whole = [token for turn in turns for token in (*turn, SEP)]
    assert ids.tolist()[1:] == whole[-(len(ids) - 1) :]


@given(turn_lengths, st.integers(16, 80), st.booleans())
def test_every_turn_is_learnt_once(lengths, longest, all_turns) -> None:
    turns = turns_of(lengths)
    learn = [all_turns or i % 2 == 1 for i in range(len(turns))]
    room = longest // 2 - 2
    expected = sorted(
        token
        for turn, wanted in zip(turns, learn, strict=True)
        if wanted
        for token in turn[:room].tolist()
    )
    windows = windows_of(turns, learn, VOCAB, longest)
    found = sorted(t for w in windows for t in targets_of(w) if t != SEP)
    assert found == expected
    ends = sum(targets_of(w).count(SEP) for w in windows)
    assert ends == sum(
        wanted and len(turn) <= room for turn, wanted in zip(turns, learn, strict=True)
    )
    for window in windows:
        assert len(window["token_ids"]) <= longest
        places = window["predict_at"] + 1
        assert window["token_ids"][places].tolist() == targets_of(window)


@given(turn_lengths, st.integers(16, 80))
def test_windows_after_the_first_have_context_and_keep_speakers(
    lengths, longest
) -> None:
    costs = [min(n, longest // 2 - 2) + 1 for n in lengths]
    found = stretches(costs, longest - 1)
    assert [start for _, start, _ in found[1:]] == [last for *_, last in found[:-1]]
    assert (found[0][:2], found[-1][2]) == ((0, 0), len(costs))
    for first, start, last in found:
        assert sum(costs[first:last]) <= longest - 1
        assert first % 2 == 0 or first == start


@given(turn_lengths, st.integers(1, 100))
def test_recent_turns_are_as_many_as_fit(lengths, room) -> None:
    first = recent(lengths, room)
    fits = [
        i
        for i in range(len(lengths))
        if sum(lengths[i:]) <= room or i == len(lengths) - 1
    ]
    least = min(fits)
    even = [i for i in fits if i % 2 == 0]
    assert first == (least if least % 2 == 0 else min(even, default=least))


def test_backwards_a_dialogue_begins_with_the_other_segment() -> None:
    (features,) = windows_of(
        [C, B, A], [False, True, True], VOCAB, 64, first_segment=BACKWARD
    )
    assert features["segment_ids"].tolist()[:2] == [1, 1]
    assert targets_of(features) == [*B, SEP, *A, SEP]
    pair = pair_of(B, A, VOCAB, 64)
    assert pair["token_ids"].tolist() == [CLS, *B, SEP, *A, SEP]
    assert pair["segment_ids"].tolist() == [1, 1, 1, 0, 0, 0]
    assert targets_of(pair) == [*A, SEP]


@pytest.mark.parametrize("longest", [8, 16])
def test_a_pair_fits(longest) -> None:
    turn = np.arange(50, 100, dtype=np.int32)
    assert len(pair_of(turn, turn, VOCAB, longest)["token_ids"]) <= longest
