"""Shared fixtures: real data when it is there, a tiny encoder when it is not."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The same examples everywhere: a red run here is a red run there.
settings.register_profile("nlpcli", derandomize=True, deadline=None)
settings.load_profile("nlpcli")

# What a terminal, a CI service or a user's profile says, and the program or its
# libraries listen to; the tests need no network beyond 127.0.0.1, so no proxy either.
_NOT_OURS = [
    *("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "COLORTERM", "GITHUB_ACTIONS"),
    *("TTY_COMPATIBLE", "TTY_INTERACTIVE", "TERMINAL_WIDTH"),
    *("NLPCLI_MODELS", "TF_CONFIG", "HF_HUB_OFFLINE"),
    *("http_proxy", "https_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
]

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / ".." / "shared"


@pytest.fixture(scope="session", autouse=True)
def _started_anyhow() -> Iterator[None]:
    """The tests run alike in a terminal, a pipe or the background, and their children.

    A background job of a shell without job control is born deaf to Ctrl-C, one of nohup
    to hangups, and a process hands that on to every process it starts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # children hear it, we do not
    with pytest.MonkeyPatch.context() as patch:
        for name in _NOT_OURS:
            patch.delenv(name, raising=False)
        for name, value in {"COLUMNS": "80", "LINES": "24", "TERM": "dumb"}.items():
            patch.setenv(name, value)
        # a child imports the checkout under test, wherever it starts
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session", autouse=True)
def _untimed() -> Iterator[None]:
    """What `nlpcli doctor` has timed for this user chooses no precision in a test."""
    from nlpcli.files import cache

    own = cache.own_cache

    def own_cache(*names: str) -> Path | None:
        timed = names[0] == "timings" and "XDG_CACHE_HOME" not in os.environ
        return None if timed else own(*names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "own_cache", own_cache)
        yield


@pytest.fixture(autouse=True)
def _command_line_again() -> Iterator[None]:
    """A command run in this process sets its log and its settings for good."""
    _reset_command_line()
    yield
    _reset_command_line()


def _reset_command_line() -> None:
    logger = logging.getLogger("nlpcli")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)
    if (console := sys.modules.get("nlpcli.cli.console")) is not None:
        console.settings.__dict__.update(console.Settings().__dict__)


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
