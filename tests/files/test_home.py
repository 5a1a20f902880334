"""A home that nobody knows is no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlpcli.checkpoints.download import resolve_model
from nlpcli.errors import NotFoundError
from nlpcli.files.cache import own_cache
from nlpcli.files.home import at_home


def test_a_home_that_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert at_home("~/x") == tmp_path / "x"
    assert at_home("x") == Path("x")


def test_a_home_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_home("~no-such-user/x") == Path("~no-such-user/x")
    with pytest.raises(NotFoundError, match="~no-such-user/x: no such model folder"):
        resolve_model("~no-such-user/x")
    monkeypatch.setenv("XDG_CACHE_HOME", "~no-such-user")
    assert own_cache("x") is None
