"""BIO: what is written is read again, and legal means readable."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.decoders.tags import TagScheme
from nlpcli.errors import DataError

LABELS = ["PER", "LOC", "ORG"]


@st.composite
def spans_in_text(draw):
    """Spans that may touch but do not overlap, sorted, and the text's length."""
    spans, place = [], 0
    for _ in range(draw(st.integers(0, 6))):
        start = place + draw(st.integers(0, 2))
        place = start + draw(st.integers(1, 4))
        spans.append((start, place, draw(st.sampled_from(LABELS))))
    return spans, place + draw(st.integers(0, 3))


@given(case=spans_in_text(), order=st.randoms(use_true_random=False))
def test_spans_survive_their_tags_and_the_tags_are_legal(case, order):
    spans, length = case
    scheme = TagScheme(LABELS)
    tags = scheme.encode(order.sample(spans, len(spans)), length)
    assert tags.dtype == np.int32
    assert tags.shape == (length,)
    assert scheme.decode(tags) == spans
    start, transitions, end = scheme.allowed
    assert transitions[tags[:-1], tags[1:]].all()
    if length:
        assert start[tags[0]]
        assert end[tags[-1]]


@given(st.lists(st.integers(0, 2 * len(LABELS)), max_size=12))
def test_any_tags_read_as_disjoint_spans_that_cover_them(tags):
    spans = TagScheme(LABELS).decode(np.array(tags, np.int32))
    assert all(start < end for start, end, _ in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    covered = {i for start, end, _ in spans for i in range(start, end)}
    assert covered == {i for i, tag in enumerate(tags) if tag}


def test_decoding_is_that_of_seqeval():
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    scheme = TagScheme(["X", "Y"])
    for tags in product(range(5), repeat=5):
        theirs = [
            (start, end + 1, label)
            for label, start, end in labeling.get_entities(
                [scheme.tags[tag] for tag in tags]
            )
        ]
        assert scheme.decode(np.array(tags)) == theirs


def test_the_table_of_allowed_tags():
    scheme = TagScheme(["X", "Y"])
    assert scheme.tags == ["O", "B-X", "I-X", "B-Y", "I-Y"]
    start, transitions, end = scheme.allowed
    assert start.tolist() == [True, True, False, True, False]
    assert transitions.astype(int).tolist() == [
        [1, 1, 0, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 1, 1],
        [1, 1, 0, 1, 1],
    ]
    assert end.all()


def test_no_labels_is_all_outside():
    scheme = TagScheme([])
    assert scheme.encode([], 3).tolist() == [0, 0, 0]
    assert scheme.decode(np.zeros(3, np.int32)) == []
    assert scheme.allowed.transitions.tolist() == [[True]]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(2, 5, "LOC"), (0, 3, "PER")], r"PER \[0, 3\) overlaps another entity"),
        ([(2, 2, "PER")], r"PER \[2, 2\): expected 0 <= start < end <= 4"),
        ([(-1, 2, "PER")], r"PER \[-1, 2\): expected 0 <= start"),
        ([(3, 5, "PER")], r"PER \[3, 5\): expected 0 <= start < end <= 4"),
        ([(0, 1, "GPE")], r"expected a label of PER, LOC, ORG, got 'GPE'"),
    ],
)
def test_spans_that_cannot_be_written(spans, message):
    length = 6 if len(spans) == 2 else 4
    with pytest.raises(DataError, match=message):
        TagScheme(LABELS).encode(spans, length)
