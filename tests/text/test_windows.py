"""Windows tile the text whatever the pieces are; their spans merge into the text's."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.text.windows import Window, cut_windows, merge_spans

SHAPES = {
    "lengths": st.lists(st.integers(1, 12), max_size=60),
    "max_tokens": st.integers(1, 20),
    "max_characters": st.integers(1, 30),
    "stride": st.integers(0, 10),
    "gap": st.integers(0, 3),
}


def pieces_of(lengths, gap):
    return np.concatenate(
        [np.full(gap, -1)] + [np.full(n, i) for i, n in enumerate(lengths)]
    ).astype(int)


@given(**SHAPES, letters=st.text("王，。？”\n ", min_size=9, max_size=9))
def test_cores_tile_and_windows_keep_their_bounds(
    lengths, max_tokens, max_characters, stride, gap, letters
):
    pieces = pieces_of(lengths, gap)
    for text in ("", (letters * len(pieces))[: len(pieces)]):
        windows = cut_windows(pieces, max_tokens, max_characters, stride, text)
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
        for one, other in pairwise(windows):
            shared = one.end - other.start
            assert 0 <= shared <= min(3 * stride, (one.end - one.start) // 2)
            assert one.start < other.start


@given(**SHAPES)
def test_a_text_without_sentences_is_cut_as_if_it_were_unknown(
    lengths, max_tokens, max_characters, stride, gap
):
    pieces = pieces_of(lengths, gap)
    bounds = (max_tokens, max_characters, stride)
    text = "王" * len(pieces)
    assert cut_windows(pieces, *bounds, text) == cut_windows(pieces, *bounds)


def test_neighbours_share_the_stride():
    first, second = cut_windows(np.arange(15), 10, 100, 4)
    assert (first.start, first.end, first.core_end) == (0, 10, 8)
    assert (second.start, second.end, second.core_start) == (6, 15, 8)


def test_an_empty_text_is_one_empty_window():
    (window,) = cut_windows(np.zeros(0, int), 10, 10, 4)
    assert window.start == window.end == 0


def test_a_text_that_fits_is_one_window_whatever_its_sentences():
    text = "他来了。她走了！"
    pieces = np.arange(len(text))
    assert cut_windows(pieces, 8, 8, 3, text) == [Window(0, 8, 0, 8, 0, 8)]


def test_windows_begin_and_cores_end_where_sentences_do():
    text = (
        "王小明在北京大学读书。他说：“好。”她问他去不去？\n大家都去了南京！李红没去。"
    )
    windows = cut_windows(np.arange(len(text)), 24, 100, 6, text)
    assert [text[w.start : w.end] for w in windows] == [
        "王小明在北京大学读书。他说：“好。”她问他去不去",
        "她问他去不去？\n大家都去了南京！李红没去。",
    ]
    assert [text[w.core_start : w.core_end] for w in windows] == [
        "王小明在北京大学读书。他说：“好。”",
        "她问他去不去？\n大家都去了南京！李红没去。",
    ]


def test_a_core_ends_behind_the_sentence_nearest_to_the_middle_of_what_is_shared():
    text = (
        "王小明在北京大学读书。他去了。她没去。雨停了。李红在南京大学读书，还没有毕业。"
    )
    first, second = cut_windows(np.arange(len(text)), 24, 100, 12, text)
    assert text[second.start : first.end] == "她没去。雨停了。李"
    assert text[: first.core_end] == "王小明在北京大学读书。他去了。她没去。"


# Two windows that share [6, 14); their cores meet at 10.
LEFT = Window(0, 14, 0, 10, 0, 14)
RIGHT = Window(6, 20, 10, 20, 6, 20)


def merged(left, right, nested=False):
    """What the two make of spans (start, end, label, score) of the text."""
    parts = [
        (window, [(s - window.start, e - window.start, x, p) for s, e, x, p in found])
        for window, found in ((LEFT, left), (RIGHT, right))
    ]
    return merge_spans(parts, nested)


def test_a_mark_before_the_text_is_the_first_windows_if_asked():
    pieces = np.arange(1, 9)  # piece 0 covers nothing
    first, *others = cut_windows(pieces, 4, 100, 2, mark=True)
    assert (first.first_token, first.last_token) == (0, 4)
    assert all(window.first_token > 0 for window in others)
    assert cut_windows(pieces, 4, 100, 2)[0].first_token == 1


def test_what_both_windows_find_counts_once():
    found = [(7, 9, "PER", 0.9), (11, 13, "ORG", 0.8)]
    assert merged([(1, 3, "LOC", 0.7), *found], [*found, (18, 20, "PER", 0.6)]) == [
        (1, 3, "LOC", 0.7),
        *found,
        (18, 20, "PER", 0.6),
    ]


def test_where_windows_disagree_each_answers_on_its_side_of_the_border():
    left = [(7, 9, "PER", 0.5), (11, 12, "PER", 0.9)]
    right = [(7, 8, "PER", 0.9), (12, 13, "ORG", 0.5)]
    assert merged(left, right) == [left[0], right[1]]


def test_a_span_whose_start_each_window_sees_beyond_the_border_is_not_lost():
    # By starts, each would leave it to the other.
    assert merged([(10, 12, "PER", 0.5)], [(9, 12, "PER", 0.9)]) == [
        (9, 12, "PER", 0.9)
    ]
    assert merged([(10, 12, "PER", 0.5)], [(8, 11, "PER", 0.9)]) == [
        (8, 11, "PER", 0.9)
    ]


def test_a_span_that_its_window_cuts_is_taken_whole_from_the_other():
    assert merged([(9, 14, "ORG", 0.9)], [(9, 17, "ORG", 0.5)]) == [(9, 17, "ORG", 0.5)]
    assert merged([(3, 11, "ORG", 0.5)], [(6, 11, "ORG", 0.9)]) == [(3, 11, "ORG", 0.5)]


def test_a_span_longer_than_what_windows_share_is_put_together():
    left, right = [(4, 14, "WORK", 0.9)], [(6, 18, "WORK", 0.7)]
    assert merged(left, right) == [(4, 18, "WORK", 0.7)]
    inner = [(8, 10, "PER", 0.6)]
    assert merged(left + inner, right + inner, nested=True) == [
        (4, 18, "WORK", 0.7),
        *inner,
    ]


def test_halves_of_different_labels_do_not_overlap():
    assert merged([(4, 14, "WORK", 0.9)], [(6, 18, "ORG", 0.7)]) == [
        (4, 14, "WORK", 0.9)
    ]


def test_spans_may_share_characters_where_they_may_nest():
    found = [(8, 13, "ORG", 0.9), (8, 10, "LOC", 0.8), (11, 13, "PER", 0.7)]
    assert merged(found, found, nested=True) == sorted(found)


def test_spans_of_one_window_are_kept_as_they_are():
    spans = [(0, 2, 4, 0.5), (3, 5, 1, 0.25)]
    assert merge_spans([(Window(0, 5, 0, 5, 0, 5), spans)]) == spans
    assert merge_spans([]) == []


@given(
    lengths=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 40)), max_size=20),
    labels=st.lists(st.sampled_from("ab"), min_size=20, max_size=20),
    size=st.integers(4, 30),
    stride=st.integers(2, 12),
    every=st.integers(1, 9),
)
def test_what_windows_see_of_spans_merges_to_the_spans(
    lengths, labels, size, stride, every
):
    gold, position = [], 0
    for (gap, length), label in zip(lengths, labels, strict=False):
        gold.append((position + gap, position + gap + length, label, 0.5))
        position += gap + length
    text = ("王" * every + "。") * position
    parts = []
    for window in cut_windows(np.arange(position), size, 100, stride, text[:position]):
        seen = [(max(s, window.start), min(e, window.end), x, p) for s, e, x, p in gold]
        parts.append(
            (
                window,
                [
                    (s - window.start, e - window.start, x, p)
                    for s, e, x, p in seen
                    if s < e
                ],
            )
        )
    assert merge_spans(parts) == gold
