"""Windows tile the text whatever the pieces are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.text.windows import cut_windows


@given(
    lengths=st.lists(st.integers(1, 12), max_size=60),
    max_tokens=st.integers(1, 20),
    max_characters=st.integers(1, 30),
    stride=st.integers(0, 10),
    gap=st.integers(0, 3),
)
def test_cores_tile_and_windows_keep_their_bounds(
    lengths, max_tokens, max_characters, stride, gap
):
    pieces = np.concatenate(
        [np.full(gap, -1)] + [np.full(n, i) for i, n in enumerate(lengths)]
    ).astype(int)
    windows = cut_windows(pieces, max_tokens, max_characters, stride)
    position = 0
    for window in windows:
        assert window.core_start == position
        assert window.start <= window.core_start <= window.core_end <= window.end
        assert window.end - window.start <= max_characters
        assert window.last_token - window.first_token <= max_tokens
        inside = pieces[window.start : window.end]
        covered = inside[inside >= 0]
        if len(covered):
            assert window.first_token <= covered.min()
            assert covered.max() < window.last_token
        position = window.core_end
    assert position == len(pieces)


def test_neighbours_share_the_stride():
    first, second = cut_windows(np.arange(15), 10, 100, 4)
    assert (first.start, first.end, first.core_end) == (0, 10, 8)
    assert (second.start, second.end, second.core_start) == (6, 15, 8)


def test_an_empty_text_is_one_empty_window():
    (window,) = cut_windows(np.zeros(0, int), 10, 10, 4)
    assert window.start == window.end == 0
