"""What counts as equal text, and shares of nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError
from nlpcli.metrics.exact_match import accuracy, exact_match, normalise


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("１２", "12"),
        (" 北京\u3000大学\n", "北京大学"),
        ("ＡＢ（C）", "AB(C)"),
        ("café", "cafe\u0301"),
        ("①", "1"),
        ("", " \t"),
        ("\u00b4", "\u0301"),  # NFKC writes the lone accent with a space before it
    ],
)
def test_equal(answer, reference):
    assert exact_match([answer], [reference]) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [("ab", "AB"), ("北京。", "北京"), ("", "好"), ("后", "後"), ("1.0", "1")],
)
def test_different(answer, reference):
    assert exact_match([answer], [reference]) == 0.0


def test_shares():
    assert exact_match(["一", "二", "三", "四"], ["一", "2", "三", "5"]) == 0.5
    assert exact_match(["好"] * 7, ["好"] * 7) == 1.0
    assert accuracy([True, False, False, True]) == 0.5
    assert accuracy(flag for flag in (True, True, False, True)) == 0.75
    assert type(accuracy([True])) is float


def test_nothing_to_share():
    assert exact_match([], []) is None
    assert accuracy([]) is None
    with pytest.raises(DataError, match="got 2 for 1"):
        exact_match(["一"], ["一", "二"])


@given(st.text())
def test_normal_form_has_no_space(text):
    # Not idempotent in general: what the spaces kept apart may compose.
    assert not any(character.isspace() for character in normalise(text))
    assert exact_match([text], [f" {text}\n"]) == 1.0
