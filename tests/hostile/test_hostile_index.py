"""Indexes, lines and servers of strangers: told in one line, nothing written elsewhere.

A holder whose lock is taken away writes nothing more; a token goes to no machine that
was not meant.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lancedb")

from nlpcli.engine.index import lance, store
from nlpcli.engine.index.search import fill, remove
from nlpcli.engine.index.store import Meta, create_store, open_store, told
from nlpcli.errors import DataError, NlpcliError, NotFoundError, UsageError
from tests.hashed_words import WIDTH, HashedWords
from tests.hostile.faked import assert_one_line, nlpcli

WORDS = ["怎么还花呗", "花呗如何还款", "今天天气怎么样"]


def line(text: str, name: Any = None) -> Any:
    return SimpleNamespace(origin="in:1", text=text, id=name, error=None)


@pytest.fixture
def address(tmp_path: Path) -> str:
    """An index of three texts."""
    made = str(tmp_path / "faq.idx")
    embedder = HashedWords()
    with create_store(made, Meta(embedder.fingerprint, WIDTH, "a model")) as index:
        fill(index, embedder, [[line(word) for word in WORDS]])
        index.remember(building=False)
    return made


def count(address: str) -> int:
    with open_store(address) as index:
        return index.count()


# -- lines


def test_half_of_a_surrogate_pair_is_no_id(address: str) -> None:
    embedder = HashedWords()
    bad = [line("一", "\ud800"), line("二", "a\udfffb")]
    with open_store(address) as index:
        for one in bad:
            with pytest.raises(DataError, match="in:1: expected UTF-8 as id"):
                fill(index, embedder, [[one]])
        filled = fill(index, embedder, [[*bad, line("三", "好")]], on_error="skip")
        assert (filled.bad, filled.added, index.count()) == (2, 1, 4)
        assert remove(index, ["\ud800", "好", "\udcff"]) == (1, ["\ud800", "\udcff"])


def test_the_command_says_so(address: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "seed").write_text("1")
    rows = b'{"id": "\\ud800", "text": "x"}\n'
    new = str(tmp_path / "new.idx")
    words = ["index", "build", new, "--input", "-", "--model", tmp_path / "model"]
    done = nlpcli(*words, stdin=rows)
    assert_one_line(done, 4, "stdin:1: expected UTF-8 as id")
    done = nlpcli("index", "remove", address, "--id", os.fsdecode(b"\xff"))
    assert done.returncode == 6 and b"no entry has the id" in done.stderr


# -- what an index says of itself

CHANGES: dict[str, Any] = {
    "source": 5,
    "fingerprint": None,
    "dimension": "16",
    "pooling": ["cls"],
    "prefix": {},
    "building": 0,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_value_of_another_type(name: str, address: str) -> None:
    path = Path(address, lance.META)
    values = {**json.loads(path.read_text()), name: CHANGES[name]}
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=f"not an index of nlpcli: {name}: expected"):
        open_store(address)
    assert_one_line(nlpcli("index", "info", address), 4, f"{name}: expected")


@pytest.mark.parametrize("dimension", [0, -1, 10**12, True, 1e300])
def test_a_width_that_cannot_be(dimension: Any, address: str) -> None:
    path = Path(address, lance.META)
    values = {**json.loads(path.read_text()), "dimension": dimension}
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="dimension: expected"):
        open_store(address)


@pytest.mark.parametrize("text", ["[" * 99_999, '{"a": NaN}', "[]", "", '{"b": 1}'])
def test_what_is_no_memory_of_an_index(text: str, address: str) -> None:
    Path(address, lance.META).write_text(text)
    with pytest.raises(DataError, match="not an index of nlpcli") as caught:
        open_store(address)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_memory_of_a_gibibyte_is_not_read(address: str) -> None:
    with Path(address, lance.META).open("r+b") as stream:
        stream.truncate(2**30)
    done = nlpcli("index", "info", address)
    assert_one_line(done, 4, "index.json: expected at most 1048576 bytes")


def test_a_table_with_other_columns(address: str) -> None:
    import lancedb

    shutil.rmtree(Path(address, "vectors.lance"))
    lancedb.connect(address).create_table("vectors", [{"id": 1, "words": "x"}])
    with pytest.raises(DataError, match="not an index of nlpcli: columns id int64"):
        open_store(address)


def test_a_panic_of_the_store_is_one_line() -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
    with (
        pytest.raises(DataError, match="damaged or not an index"),
        told("faq.idx"),
    ):
        raise panic("index out of bounds")


# -- links


@pytest.mark.parametrize(
    "name", ["index.json", "vectors.lance", "vectors.lance/data", "vectors.lance/x"]
)
@pytest.mark.parametrize("act", ["open", "replace"])
def test_an_index_writes_and_deletes_through_no_link(
    act: str, name: str, address: str, tmp_path: Path
) -> None:
    """A stranger's index may name any folder of its user."""
    inner, mine = Path(address, name), tmp_path / "mine"
    if name.endswith("x"):
        mine.mkdir()
    else:
        inner.rename(mine)
    inner.symlink_to(mine)
    if mine.is_dir():
        (mine / "thesis.lance").write_text("mine")
    before = sorted(
        (path, path.stat().st_mtime_ns) for path in tmp_path.rglob("mine/**/*")
    )
    with pytest.raises(DataError, match="expected no link inside an index"):
        if act == "open":
            open_store(address)
        else:
            create_store(address, Meta("m", WIDTH, "s"), force=True)
    after = sorted(
        (path, path.stat().st_mtime_ns) for path in tmp_path.rglob("mine/**/*")
    )
    assert before == after


# -- the lock


def acts(index: Any) -> dict[str, Callable[[], Any]]:
    row = np.ones((1, WIDTH), np.float32)
    return {
        "add": lambda: index.put({"new": "新"}, row, {}),
        "replace": lambda: index.put({"a": "新"}, row, {"a": "旧"}),
        "remove": lambda: index.remove(["a"]),
        "settle": lambda: index.settle(),
        "remember": lambda: index.remember(source="x"),
    }


@pytest.mark.parametrize("act", ["add", "replace", "remove", "settle", "remember"])
@pytest.mark.parametrize("again", [False, True])
def test_a_holder_without_its_lock_writes_nothing_more(
    act: str, again: bool, address: str
) -> None:
    """The next process gets another lock of the same name, and both would write."""
    lock = Path(address, ".lock")
    with open_store(address) as holder:
        lock.unlink()
        if again:
            with open_store(address) as other:
                other.put({"theirs": "他们的"}, np.ones((1, WIDTH), np.float32), {})
        with pytest.raises(NlpcliError, match="its lock was taken away") as caught:
            acts(holder)[act]()
        assert "\n" not in str(caught.value)
        assert holder.count() >= 3, "it may still be read"
    with open_store(address) as index:
        assert index.count() == 3 + again
        assert index.meta.source == "a model"


def test_a_build_whose_lock_goes_is_gone_on_with(address: str, tmp_path: Path) -> None:
    embedder = HashedWords()
    new = str(tmp_path / "new.idx")

    def chunks() -> Iterator[list[Any]]:
        yield [line("一")]
        Path(new, ".lock").unlink()
        yield [line("二")]

    with (
        create_store(new, Meta(embedder.fingerprint, WIDTH, "s")) as index,
        pytest.raises(NlpcliError, match="its lock was taken away"),
    ):
        fill(index, embedder, chunks())
    with open_store(new) as index:
        assert index.meta.building and index.count() == 1
        assert fill(index, embedder, [[line("一"), line("二")]]).added == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(
    number: int, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("filelock.lock_descriptor", refuse)
    with pytest.raises(NlpcliError, match="its file system has no locks") as caught:
        open_store(address)
    assert "\n" not in str(caught.value) and address in str(caught.value)


# -- servers

SERVER = "http://127.0.0.1:{}/faq"


@pytest.fixture
def refusing() -> Iterator[tuple[str, list[Any]]]:
    """A server that refuses whoever asks, and what it was told of who asks."""
    grpc = pytest.importorskip("grpc")
    tokens: list[Any] = []

    def refuse(request: Any, context: Any) -> None:
        tokens.append(dict(context.invocation_metadata()).get("authorization"))
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield SERVER.format(port), tokens
    server.stop(0)


def test_a_wrong_token_is_told_as_one(
    refusing: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, tokens = refusing
    monkeypatch.setenv("MILVUS_TOKEN", "root:wrong")
    with pytest.raises(UsageError, match="the server refuses MILVUS_TOKEN"):
        store.exists(address)
    assert any(tokens)
    monkeypatch.delenv("MILVUS_TOKEN")
    with pytest.raises(NotFoundError, match="no Milvus server answers there"):
        store.exists(SERVER.format(9))


@pytest.mark.parametrize(
    ("server", "token", "named", "outcome"),
    [
        ("http://db.example:19530", "t", "", "refused"),
        ("HTTP://db.example:19530", "t", "", "refused"),
        ("tcp://db.example:19530", "t", "", "refused"),
        ("http://127.0.0.1.example:19530", "t", "", "refused"),
        ("http://localhost@db.example:19530", "t", "", "refused"),
        ("http://db.example:19530", "t", "other.example", "refused"),
        ("http://db.example:19530", "t", "db.example", "warned"),
        ("http://anna:geheim@db.example:19530", "", "", "warned"),
        ("http://db.example:19530", "", "", "sent"),
        ("https://db.example:19530", "t", "", "sent"),
        ("http://localhost:19530", "t", "", "sent"),
        ("http://127.0.0.1:19530", "t", "", "sent"),
        ("http://[::1]:19530", "t", "", "sent"),
    ],
)
def test_a_token_is_not_sent_readable_to_another_machine(
    server: str,
    token: str,
    named: str,
    outcome: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    milvus = pytest.importorskip("nlpcli.engine.index.milvus")
    sent: list[str] = []

    class Client:
        def __init__(self, uri: str, token: str, **_: Any) -> None:
            sent.append(token)

        def has_collection(self, name: str) -> bool:
            return False

        def close(self) -> None:
            pass

    monkeypatch.setattr(milvus, "MilvusClient", Client)
    monkeypatch.setenv("MILVUS_TOKEN", token)
    monkeypatch.setenv("NLPCLI_TOKEN_HOST", named)
    with caplog.at_level(logging.WARNING, "nlpcli"):
        if outcome == "refused":
            with pytest.raises(UsageError, match="would go unencrypted") as caught:
                store.exists(f"{server}/faq")
            assert "https" in str(caught.value) and "\n" not in str(caught.value)
        else:
            assert store.exists(f"{server}/faq") is False
    assert sent == ([] if outcome == "refused" else [token])
    warned = [record.getMessage() for record in caplog.records]
    assert ["unencrypted" in text for text in warned] == [True] * (outcome == "warned")
    assert not any("geheim" in text or "anna" in text for text in warned)


@pytest.mark.parametrize(
    "verb",
    [
        ["build", "--model", "."],
        ["add", "一"],
        ["search", "一"],
        ["remove", "--id", "1"],
        ["info"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("end", ["127.0.0.1:9/faq", "127.0.0.1:9/", "127.0.0.1:x/faq"])
def test_the_password_of_an_address_is_never_printed(
    verb: list[str], end: str, tmp_path: Path
) -> None:
    address = f"http://anna:geheim@{end}"
    for debug in ([], ["--debug"]):
        words = [*debug, "index", verb[0], address, *verb[1:]]
        done = nlpcli(*words, cwd=tmp_path, stdin=b"x\n")
        shown = done.stdout + done.stderr
        assert done.returncode in (1, 2, 6), shown
        assert b"geheim" not in shown and b"anna" not in shown
        assert f"http://{end}".encode() in shown


def test_an_address_that_ends_in_db_starts_no_server(tmp_path: Path) -> None:
    """The client would make a file of it."""
    with pytest.raises(UsageError, match="expected http://HOST:PORT/NAME"):
        store.exists(f"http://{tmp_path}/x.db/faq")
