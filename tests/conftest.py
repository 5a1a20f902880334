"""Shared fixtures: real data when it is there, a tiny encoder when it is not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """A file of the real data beside the checkout, or a skip with the reason."""

    def find(name: str) -> Path:
        path = (SHARED / name).resolve()
        if not path.exists():
            pytest.skip(f"needs ../shared/{name}, real data that is not shipped")
        return path

    return find
