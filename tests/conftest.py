"""Shared fixtures: real data when it is there, a tiny encoder when it is not."""

import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The same examples everywhere: a red run here is a red run there.
settings.register_profile("nlpcli", derandomize=True, deadline=None)
settings.load_profile("nlpcli")


class OneName(MetaPathFinder, Loader):
    """``recipes.ner`` of a test is ``nlpcli.recipes.ner``: one module, one class."""

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        ours = fullname.split(".")[0] == "recipes"
        return ModuleSpec(fullname, self) if ours else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(f"nlpcli.{spec.name}")
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


sys.meta_path.insert(0, OneName())

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
