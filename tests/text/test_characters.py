"""Pieces of characters, against a loop over both."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.text.characters import align_characters


@st.composite
def rising_spans(draw):
    count = draw(st.integers(0, 12))
    edges = st.lists(st.integers(0, 20), min_size=count, max_size=count)
    pairs = zip(sorted(draw(edges)), sorted(draw(edges)), strict=True)
    spans = [(start, max(start, end)) for start, end in pairs]
    return spans, draw(st.integers(max([end for _, end in spans], default=0), 25))


def loop(spans, length):
    pieces, places = [], []
    for character in range(length):
        covering = [i for i, (a, b) in enumerate(spans) if a <= character < b]
        before = [i for i, (a, b) in enumerate(spans) if a < b <= character]
        pieces.append(covering[0] if covering else before[-1] if before else -1)
        places.append(character - spans[covering[0]][0] if covering else 0)
    return pieces, places


@given(rising_spans())
def test_a_character_finds_its_piece(case):
    spans, length = case
    offsets = np.array(spans, np.int32).reshape(-1, 2)
    pieces, places = align_characters(offsets, length)
    assert pieces.dtype == places.dtype == np.int32
    assert (pieces.tolist(), places.tolist()) == loop(spans, length)
    assert np.all(np.diff(pieces) >= 0)


def test_a_piece_over_nothing_takes_no_character_from_its_neighbour():
    pieces, places = align_characters(np.array([[0, 0], [0, 2], [3, 4]]), 5)
    assert pieces.tolist() == [1, 1, 1, 2, 2]
    assert places.tolist() == [0, 1, 0, 0, 0]


def test_pieces_that_share_a_character_keep_the_others_apart():
    """½3 as Unigram has it: 1, ⁄ and 23, which begins inside the first character."""
    pieces, places = align_characters(np.array([[0, 1], [0, 1], [0, 2]]), 2)
    assert (pieces.tolist(), places.tolist()) == ([0, 2], [0, 1])
