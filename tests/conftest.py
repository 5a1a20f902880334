"""Shared fixtures: real data when it is there, a tiny encoder when it is not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The same examples everywhere: a red run here is a red run there.
settings.register_profile("nlpcli", derandomize=True, deadline=None)
settings.load_profile("nlpcli")

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
