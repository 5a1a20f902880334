"""A hub that is not the hub: no token reaches it, no password of its address is shown.

``http://``, another host and a mirror get nothing; only the hub's own host, or one that
the user names, is asked again with the token when it refuses a model without one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nlpcli.checkpoints.download import needed_files, pull
from nlpcli.errors import NotFoundError
from nlpcli.files.address import has_password, show_address
from tests.checkpoints.hub import COMMIT, Hub, serve
from tests.hostile.faked import ROOT

MODEL = "BAAI/bge-small-zh-v1.5"
FILES = {"config.json": b"{}", "vocab.txt": b"[PAD]\n", "model.safetensors": b"x"}
SECRET = "hf_" + "s" * 20


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve(Hub({MODEL: FILES})) as made:
        yield made


def models_pull(hub: Hub, home: Path, *words: str, **variables: str) -> Any:
    """`nlpcli models pull` as a process that has a token."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "nlpcli", *words, "models", "pull", "bge-small-zh"],
        env={
            **environment,
            "PYTHONPATH": str(ROOT),
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(home / "hf"),
            "NLPCLI_MODELS": str(home / "models"),
            "HF_TOKEN": SECRET,
            **variables,
        },
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_a_public_model_is_asked_without_the_token(hub: Hub, tmp_path: Path) -> None:
    done = models_pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).name == COMMIT
    assert hub.tokens and set(hub.tokens) == {None}


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("named", ["", "127.0.0.1"])
def test_a_hub_over_http_gets_no_token_whatever_it_says(
    status: int, named: str, hub: Hub, tmp_path: Path
) -> None:
    """Even a host that may have it gets it encrypted only."""
    hub.refuse = {".": status}
    done = models_pull(hub, tmp_path, NLPCLI_TOKEN_HOST=named)
    assert done.returncode == 6
    assert done.stderr.count("\n") == 1 and "only over https" in done.stderr
    assert hub.tokens and set(hub.tokens) == {None}


def test_a_stored_token_is_not_sent_either(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text(SECRET)
    hub.refuse = {"resolve": 401}
    done = models_pull(hub, tmp_path, HF_TOKEN="")
    assert done.returncode == 6 and hub.requests
    assert set(hub.tokens) == {None}


class Refused(OSError):
    """What the client raises where the hub wants to know who asks."""

    def __init__(self, status: int) -> None:
        super().__init__("who asks?")
        self.response = SimpleNamespace(status_code=status)


@pytest.mark.parametrize(
    ("endpoint", "named", "sent"),
    [
        ("https://huggingface.co", "", True),
        ("https://HUGGINGFACE.co", "", True),
        ("http://huggingface.co", "", False),
        ("http://huggingface.co", "huggingface.co", False),
        ("https://mirror.example", "", False),
        ("https://mirror.example", "other.example", False),
        ("https://mirror.example", "other.example, Mirror.example", True),
        ("http://mirror.example", "mirror.example", False),
        ("https://huggingface.co.evil.example", "", False),
        ("https://huggingface.co@evil.example", "", False),
        ("https://evil.example/huggingface.co", "", False),
        ("https://[huggingface.co", "", False),
        ("ftp://huggingface.co", "", False),
    ],
)
@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_who_is_asked_again_with_the_token(
    endpoint: str,
    named: str,
    sent: bool,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("NLPCLI_TOKEN_HOST", named)
    again = [SECRET] if sent and status in (401, 403) else []
    assert tokens_sent(endpoint, status, monkeypatch, tmp_path) == [False, *again]


def test_who_forbids_implicit_tokens_sends_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    sent = tokens_sent("https://huggingface.co", 401, monkeypatch, tmp_path)
    assert sent == [False]


def tokens_sent(
    endpoint: str, status: int, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> list[Any]:
    """What the client is given, in order, for a hub that answers ``status``."""
    from huggingface_hub import HfApi, constants

    tokens: list[Any] = []

    def model_info(*_: Any, token: Any, **__: Any) -> None:
        tokens.append(token)
        raise Refused(status)

    monkeypatch.setattr(HfApi, "model_info", model_info)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setenv("NLPCLI_MODELS", str(folder / "models"))
    monkeypatch.setenv("HF_TOKEN", SECRET)
    with pytest.raises(NotFoundError, match="cannot be downloaded"):
        pull("bge-small-zh")
    return tokens


@pytest.mark.parametrize("words", [[], ["--debug"], ["--log-format", "json"]])
@pytest.mark.parametrize("status", [None, 401, 404, "nobody"])
def test_the_password_of_a_mirror_is_never_printed(
    status: Any, words: list[str], hub: Hub, tmp_path: Path
) -> None:
    """Not in progress, errors, the client's warnings or the traceback of --debug."""
    hub.refuse = {} if status is None else {".": status}
    address = hub.url if status != "nobody" else "http://127.0.0.1:9"
    if status == "nobody":
        hub.refuse = {}
    coded = "geheim%40%2F1"
    done = models_pull(
        hub,
        tmp_path,
        *words,
        HF_ENDPOINT=address.replace("://", f"://anna:{coded}@"),
        HF_HUB_DOWNLOAD_TIMEOUT="1",
    )
    assert done.returncode == (0 if status is None else 6)
    told = done.stdout + done.stderr
    assert address in told or (status is None and "--debug" not in words)
    for secret in ("geheim", "anna"):
        assert secret not in told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://a:b@host:1/x", "http://host:1/x"),
        ("https://anna@host", "https://host"),
        ("tcp://a:p@ss@host:19530/faq", "tcp://host:19530/faq"),
        ("http://a:p/w@host/x", "http://host/x"),
        ("for url 'http://a:b@host/x' (401)", "for url 'http://host/x' (401)"),
        ("https://cdn/x?Signature=abc", "https://cdn/x?…"),
        ("http://a:b@one/ and http://c:d@two/", "http://one/ and http://two/"),
        ("http://host:1/x", "http://host:1/x"),
        ("faq@home.idx", "faq@home.idx"),
    ],
)
def test_what_is_shown_of_an_address(text: str, shown: str) -> None:
    assert show_address(text) == shown
    assert has_password(text) == ("@" in text and "://" in text)
    assert not has_password(shown)


def test_a_listing_leads_to_no_other_folder() -> None:
    names = ["config.json", "model.safetensors.index.json"]
    names += ["model-../../x-of-1.safetensors", "model-1-of-1.safetensors"]
    assert needed_files(names) == [
        *("config.json", "model-1-of-1.safetensors", "model.safetensors.index.json"),
    ]
