"""Shared fixtures: real data when it is there, a tiny encoder when it is not."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The same examples everywhere: a red run here is a red run there.
settings.register_profile("nlpcli", derandomize=True, deadline=None)
settings.load_profile("nlpcli")

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


@pytest.fixture(autouse=True)
def _float32_again() -> Iterator[None]:
    """A training sets the policy of its process; the next test starts from float32."""
    yield
    if (keras := sys.modules.get("keras")) is not None:
        keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """A file of the real data beside the checkout, or a skip with the reason."""

    def find(name: str) -> Path:
        path = (SHARED / name).resolve()
        if not path.exists():
            pytest.skip(f"needs ../shared/{name}, real data that is not shipped")
        return path

    return find
