"""The fuzz of the command line: a moment in quick runs, a minute in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.fuzz import Fuzzer


@pytest.mark.parametrize(
    "seconds", [5, pytest.param(60, marks=pytest.mark.slow)], ids=["moment", "minute"]
)
def test_damaged_inputs_break_no_rule(seconds: float, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    report = Fuzzer(folder, seed=int(seconds)).run(seconds)
    assert sum(report.executions.values()) > 20
    assert report.finds == []
