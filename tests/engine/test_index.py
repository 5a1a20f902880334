"""An index against numpy: the same answers, whatever was added, changed, removed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from nlpcli.engine.index import lance
from nlpcli.engine.index.search import fill, id_of, remove, search
from nlpcli.engine.index.store import Meta, create_store, exists, open_store
from nlpcli.errors import (
    CheckpointError,
    DataError,
    NlpcliError,
    NotFoundError,
    UsageError,
)
from tests.hashed_words import WIDTH, HashedWords

pytest.importorskip("lancedb")
WORDS = ["怎么还花呗", "花呗如何还款", "今天天气怎么样", "明天下雨吗", "借呗能提前还吗"]


def lines(*texts, ids=None):
    return [
        SimpleNamespace(
            origin=f"in:{n}", text=text, id=ids[n - 1] if ids else None, error=None
        )
        for n, text in enumerate(texts, 1)
    ]


def meta_of(embedder):
    return Meta(embedder.fingerprint, WIDTH, "a model")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server that speaks Milvus's protocol."""
    pytest.importorskip("milvus_lite")
    port = free_port()
    words = ["-m", "milvus_lite", "server", "--port", str(port), "--data-dir"]
    folder = tmp_path_factory.mktemp("milvus")
    process = subprocess.Popen(
        [sys.executable, *words, str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture(params=["folder", "server"])
def address(request, tmp_path):
    """An address for an index: both kinds do the same."""
    if request.param == "folder":
        return str(tmp_path / "faq.idx")
    return f"{request.getfixturevalue('server')}/t{time.monotonic_ns()}"


def test_answers_are_those_of_numpy(address):
    embedder = HashedWords()
    with create_store(address, meta_of(embedder)) as store:
        fill(store, embedder, [lines(*WORDS)])
    asked = ["花呗还款", "", "天气"]
    with open_store(address) as store:
        for exact in (True, False):
            found = search(store, embedder, asked, top=3, exact=exact)
            assert found[1] == []
            for text, hits in zip(asked, found, strict=True):
                if not text:
                    continue
                scores = embedder.encode([text])[0] @ embedder.encode(WORDS).T
                best = np.argsort(-scores)[:3]
                assert [hit.text for hit in hits] == [WORDS[i] for i in best]
                np.testing.assert_allclose(
                    [hit.score for hit in hits], scores[best], atol=1e-5
                )


def test_again_is_the_same_as_once(address):
    embedder = HashedWords()
    with create_store(address, meta_of(embedder)) as store:
        first = fill(store, embedder, [lines(*WORDS[:3]), lines(*WORDS[2:], "  ", "")])
        assert (first.lines, first.added, first.same, first.empty) == (8, 5, 1, 2)
        embedder.embedded.clear()
        again = fill(store, embedder, [lines(*WORDS)])
        assert (again.added, again.same, store.count()) == (0, 5, 5)
        assert embedder.embedded == [], "what is there is not embedded again"


def test_an_equal_id_takes_the_place(address):
    embedder = HashedWords()
    odd = 'it\'s; -- "x" 花'
    with create_store(address, meta_of(embedder)) as store:
        fill(store, embedder, [lines("一", "二", "三", ids=[1, "b", odd])])
        told = fill(store, embedder, [lines("四", "五", "六", ids=[odd, "c", "c"])])
        assert (told.updated, told.added, store.count()) == (2, 1, 4)
        texts = {"1": "一", "b": "二", odd: "四", "c": "六"}
        assert store.texts_of([*texts, "none"]) == texts
        assert search(store, embedder, ["四"], top=1)[0][0].id == odd
        assert remove(store, [odd, "b", "none"]) == (2, ["none"])
        assert store.texts_of([*texts]) == {"1": "一", "c": "六"}
        left = search(store, embedder, ["四"], top=9)[0]
        assert {hit.id for hit in left} == {"1", "c"}


def test_another_model_is_refused(address):
    embedder, other = HashedWords(), HashedWords(seed=7)
    with create_store(address, meta_of(embedder)) as store:
        fill(store, embedder, [lines(*WORDS)])
        for act in (
            lambda: fill(store, other, [lines("四")]),
            lambda: search(store, other, ["四"]),
        ):
            with pytest.raises(CheckpointError, match="made by another model"):
                act()
        assert store.count() == 5


def test_what_is_there_is_kept_unless_forced(address):
    embedder = HashedWords()
    assert not exists(address)
    with create_store(address, meta_of(embedder)) as store:
        fill(store, embedder, [lines(*WORDS)])
    assert exists(address)
    with pytest.raises(UsageError, match="--resume"):
        create_store(address, meta_of(embedder))
    with open_store(address) as store:
        assert store.count() == 5
    with create_store(address, meta_of(HashedWords(3)), force=True) as store:
        assert store.count() == 0
        assert store.meta.fingerprint == HashedWords(3).fingerprint


def test_bad_lines_stop_after_those_before_or_are_counted(tmp_path):
    embedder = HashedWords()
    bad = {
        "long": lines("长" * 30_000)[0],
        "half": lines("\ud800")[0],
        "number": lines("一", ids=[1.5])[0],
        "id": lines("一", ids=["x" * 300])[0],
        "told": SimpleNamespace(
            origin="in:9", text="", id=1, error=DataError("in:9: x")
        ),
    }
    with create_store(str(tmp_path / "a"), meta_of(embedder)) as store:
        with pytest.raises(DataError, match="at most 65535 bytes of text, got 90000"):
            fill(store, embedder, [[*lines("前"), bad["long"], *lines("后")]])
        assert store.texts_of([id_of("前"), id_of("后")]) == {id_of("前"): "前"}
        told = fill(store, embedder, [[*bad.values(), *lines("后")]], on_error="skip")
        assert (told.bad, told.added, told.lines) == (5, 1, 6)


@pytest.mark.parametrize("width", [16, 256])
def test_clusters_find_what_exact_search_finds(tmp_path, monkeypatch, width):
    monkeypatch.setattr(lance, "WORTH_CLUSTERING", 2000)
    random = np.random.default_rng(0)
    centres = random.standard_normal((100, width))
    rows = centres.repeat(30, 0) + random.standard_normal((3000, width))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    names = {str(i): f"文本{i}" for i in range(3000)}
    with create_store(str(tmp_path / "a"), Meta("m", width, "s")) as store:
        store.put(names, rows, {})
        assert store.kind() == "flat"
        store.settle()
        assert store.kind().startswith("ivf")
        store.put({"new": "新的"}, -rows[:1], {})  # not in any cluster yet
        assert store.search(-rows[:1], 1)[0][0].id == "new"
        store.settle()
        assert store.search(-rows[:1], 1)[0][0].id == "new"
        store.remove(["new"])
        asked = rows[:50]
        truth = np.argsort(-(asked @ rows.T), axis=1)[:, :5]
        exact = store.search(asked, 5, exact=True)
        assert [[int(h.id) for h in hits] for hits in exact] == truth.tolist()
        near = store.search(asked, 5)
        shared = sum(
            len({int(hit.id) for hit in hits} & {*row})
            for hits, row in zip(near, truth.tolist(), strict=True)
        )
        assert shared >= 0.95 * truth.size


def test_places_that_are_no_index(tmp_path):
    with pytest.raises(NotFoundError, match="no index here"):
        open_store(str(tmp_path / "none"))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="not an index"):
        open_store(str(foreign))
    for force in (False, True):
        with pytest.raises(UsageError, match="something else"):
            create_store(str(foreign), Meta("m", 2, "s"), force)
        with pytest.raises(UsageError, match="got a file"):
            create_store(str(foreign / "notes.txt"), Meta("m", 2, "s"), force)
    assert (foreign / "notes.txt").read_text() == "mine"
    with pytest.raises(NotFoundError, match="there is no folder"):
        create_store(str(tmp_path / "no" / "x"), Meta("m", 2, "s"))


def test_addresses_that_are_no_index(server):
    with pytest.raises(NotFoundError, match="no index here"):
        open_store(f"{server}/none")
    with pytest.raises(UsageError, match="HOST:PORT/NAME"):
        open_store(f"{server}/")
    with pytest.raises(NotFoundError, match="no Milvus server answers"):
        exists(f"http://127.0.0.1:{free_port()}/faq")


@pytest.mark.parametrize("what", ["data", "_versions"])
def test_a_truncated_file_is_one_clear_line(tmp_path, what):
    embedder, address = HashedWords(), str(tmp_path / "a")
    with create_store(address, meta_of(embedder)) as store:
        fill(store, embedder, [lines(*WORDS)])
    for path in (tmp_path / "a" / "vectors.lance" / what).iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(NlpcliError) as raised, open_store(address) as store:
        search(store, embedder, ["花呗"])
    assert str(raised.value).startswith(f"{address}: damaged"), raised.value
    assert raised.value.exit_code == 4
    assert "\n" not in str(raised.value)


def test_one_process_at_a_time(tmp_path):
    address = str(tmp_path / "a")
    store = create_store(address, Meta("m", 2, "s"))
    with store, pytest.raises(UsageError, match="in use by process"):
        open_store(address)
    open_store(address).close()


@pytest.mark.parametrize("begun", [False, True])
def test_what_a_kill_left_goes(begun, tmp_path):
    """A kill while index.json is written: the build is begun again, or goes on."""
    embedder = HashedWords()
    address = tmp_path / "faq.idx"
    if begun:
        create_store(str(address), meta_of(embedder)).close()
    address.mkdir(exist_ok=True)
    left = address / ".index.json.0123456789abcdef.partial"
    left.write_text('{"fingerpr')
    opened = open_store if begun else lambda x: create_store(x, meta_of(embedder))
    with opened(str(address)) as store:
        fill(store, embedder, [lines(*WORDS)])
        assert store.count() == len(WORDS)
    assert not left.exists()


def test_a_file_of_others_is_no_leftover(tmp_path):
    other = tmp_path / "faq.idx" / ".notes.0123456789abcdef.partial"
    other.parent.mkdir()
    other.write_text("mine")
    with pytest.raises(UsageError, match="a folder of something else"):
        create_store(str(other.parent), meta_of(HashedWords()))
    assert other.read_text() == "mine"
