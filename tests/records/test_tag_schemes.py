"""Tag schemes: both ways, told apart, repaired as seqeval's lenient reading does."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.records.tag_schemes import (
    SCHEMES,
    SchemeDetector,
    is_tag,
    spans_from_tags,
    tags_from_spans,
)


@st.composite
def spans_and_length(draw):
    """Spans that do not overlap, sorted, often touching, and the text's length."""
    spans, place = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = place + draw(st.integers(0, 2))
        place = start + draw(st.integers(1, 4))
        spans.append((start, place, draw(st.sampled_from(["PER", "LOC", "PER.NOM"]))))
    return spans, place + draw(st.integers(0, 3))


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=spans_and_length())
def test_spans_survive_the_tags(scheme, case):
    spans, length = case
    tags = tags_from_spans(length, spans, scheme)
    assert len(tags) == length
    assert all(map(is_tag, tags))
    assert spans_from_tags(tags, scheme) == (spans, [])


@pytest.mark.parametrize("scheme", SCHEMES)
@given(cases=st.lists(spans_and_length(), max_size=4))
def test_detected_scheme_reads_the_same_spans(scheme, cases):
    """A few tags may fit two schemes; then both must mean the same."""
    detector = SchemeDetector()
    written = [tags_from_spans(length, spans, scheme) for spans, length in cases]
    for tags in written:
        detector.feed(tags)
    detected = detector.scheme()
    assert detected is not None
    for tags, (spans, _) in zip(written, cases, strict=True):
        assert spans_from_tags(tags, detected) == (spans, [])


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("B-X I-X O B-X", "BIO"),
        ("O O O", "BIO"),
        ("I-X I-X O I-X B-X", "IOB1"),
        ("I-X O I-Y", "IOB1"),
        ("B-X I-X O I-X", "BIO"),
        ("B-X M-X E-X S-X O", "BMES"),
        ("B-X I-X E-X O", "BIOES"),
        ("B-X I-X L-X U-X", "BILOU"),
        ("B-X I-X M-X O", None),
    ],
)
def test_scheme_is_told_from_the_tags(tags, scheme):
    detector = SchemeDetector()
    detector.feed(tags.split())
    assert detector.scheme() == scheme


@pytest.mark.parametrize(
    ("tags", "scheme", "spans", "places"),
    [
        ("O I-X I-X", "BIO", [(1, 3, "X")], [1]),
        ("B-X I-Y", "BIO", [(0, 1, "X"), (1, 2, "Y")], [1]),
        ("B-X I-X O", "BIOES", [(0, 2, "X")], [2]),
        ("B-X I-X", "BILOU", [(0, 2, "X")], [1]),
        ("O E-X O", "BMES", [(1, 2, "X")], [1]),
        ("B-X S-X", "BMES", [(0, 1, "X"), (1, 2, "X")], [1]),
        ("M-X M-X E-X", "BMES", [(0, 3, "X")], [0]),
        ("B-X I-Y", "BIOES", [(0, 1, "X"), (1, 2, "Y")], [1]),
        ("B-X B-X E-X", "BMES", [(0, 1, "X"), (1, 3, "X")], [1]),
        ("B-X I-X S-X", "BIO", [(0, 2, "X"), (2, 3, "X")], [2]),
    ],
)
def test_forbidden_tags_are_placed_and_repaired(tags, scheme, spans, places):
    repaired, problems = spans_from_tags(tags.split(), scheme)
    assert repaired == spans
    assert [place for place, _ in problems] == places


def test_repaired_bio_is_what_seqeval_reads_by_default():
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    random_state = random.Random(3)
    tags = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    for _ in range(500):
        sentence = random_state.choices(tags, k=random_state.randrange(1, 12))
        theirs = [
            (start, end + 1, label)
            for label, start, end in labeling.get_entities(sentence)
        ]
        assert spans_from_tags(sentence, "BIO")[0] == theirs
