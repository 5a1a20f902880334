"""Downloads through the real client from a hub on loopback."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlpcli.checkpoints import storage
from nlpcli.checkpoints.download import _bar, needed_files, pull, resolve_model
from nlpcli.checkpoints.storage import locate, remove
from nlpcli.errors import NlpcliError, NotFoundError, UsageError
from tests.checkpoints.hub import COMMIT, Hub, serve

WEIGHTS = bytes(range(256)) * 4096  # 1 MiB
SAFE = "BAAI/bge-small-zh-v1.5"
TORCH = "junnyu/wobert_chinese_base"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, and this process's client pointed at it with an empty cache."""
    from huggingface_hub import constants

    files = {"config.json": b"{}", "vocab.txt": b"[PAD]\n", "README.md": b"# x"}
    made = Hub(
        {
            SAFE: {
                **files,
                "tokenizer.json": b"{ }",
                "model.safetensors": WEIGHTS,
                "pytorch_model.bin": b"not wanted",
                "onnx/model.onnx": b"not wanted",
            },
            TORCH: {**files, "pytorch_model.bin": WEIGHTS, "flax_model.msgpack": b"x"},
        }
    )
    with serve(made):
        monkeypatch.setenv("NLPCLI_MODELS", str(tmp_path / "plain"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", made.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            made.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield made


class Recorder:
    """A progress that remembers."""

    def __init__(self):
        self.calls = []

    def start(self, title, total):
        self.calls.append(("start", title, total))

    def update(self, done, **stats):
        self.calls.append(("update", done))

    def finish(self):
        self.calls.append(("finish",))


def test_a_name_is_downloaded_once(hub):
    progress = Recorder()
    folder = resolve_model("bge-small-zh", progress=progress)
    assert folder.name == COMMIT
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "vocab.txt",
    ]  # fmt: skip
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert progress.calls[0] == ("start", f"downloading {SAFE}", total)
    assert progress.calls[-2:] == [("update", total), ("finish",)]
    assert [name for name, _ in hub.bodies()] == [
        "config.json", "vocab.txt", "tokenizer.json", "model.safetensors",
    ]  # fmt: skip

    before = len(hub.requests)
    assert resolve_model("bge-small-zh") == locate("bge-small-zh") == folder
    assert resolve_model("bge-small-zh", offline=True) == folder
    assert len(hub.requests) == before


def test_a_repository_with_a_torch_file_only(hub):
    folder = pull("wobert")
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json", "pytorch_model.bin", "vocab.txt",
    ]  # fmt: skip


def test_a_broken_connection_is_resumed(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    hub.cut = ("pytorch_model.bin", 300_000)
    folder = pull("wobert")
    assert (folder / "pytorch_model.bin").read_bytes() == WEIGHTS
    ranges = [asked for name, asked in hub.bodies() if name == "pytorch_model.bin"]
    assert ranges == [None, f"bytes={300_000 // (1 << 16) * (1 << 16)}-"]


def test_only_the_missing_file_is_fetched_again(hub):
    folder = pull("wobert")
    weights = folder / "pytorch_model.bin"
    weights.resolve().unlink()
    assert locate("wobert") is None
    hub.requests.clear()
    assert pull("wobert") == folder
    assert hub.bodies() == [("pytorch_model.bin", None)]
    assert weights.read_bytes() == WEIGHTS


def test_offline_says_what_to_fetch_and_where_to_put_it(hub, tmp_path, monkeypatch):
    with pytest.raises(NotFoundError) as caught:
        resolve_model("wobert", offline=True)
    assert str(caught.value) == (
        "wobert: is not on disk and --offline forbids to download it; fetch "
        f"config.json, vocab.txt, pytorch_model.bin from {hub.url}/{TORCH} and put "
        f"them into {tmp_path / 'plain' / 'wobert'}, or set HF_ENDPOINT to a mirror"
    )
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(NotFoundError, match="HF_HUB_OFFLINE forbids"):
        resolve_model("wobert")
    assert not hub.requests


def test_the_folder_of_that_message_is_found(hub, tmp_path):
    folder = tmp_path / "plain" / "wobert"
    folder.mkdir(parents=True)
    for name in ("config.json", "vocab.txt", "pytorch_model.bin"):
        (folder / name).write_bytes(b"x")
    assert resolve_model("wobert", offline=True) == folder == locate("wobert")
    (mine := tmp_path / "plain" / "my-own").mkdir()
    assert resolve_model("my-own") == mine
    assert not hub.requests


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_a_refusal_is_explained(hub, monkeypatch, status):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.refuse = {".": status}
    with pytest.raises(NotFoundError, match=r"cannot be downloaded: .*; fetch config"):
        pull("wobert")


def test_a_repository_that_is_gone(hub):
    del hub.repositories[TORCH]
    with pytest.raises(NotFoundError, match="cannot be downloaded") as caught:
        pull("wobert")
    assert "\n" not in str(caught.value)


def test_nobody_listens(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NotFoundError, match=r"cannot be downloaded.*refused"):
        pull("wobert")


def test_a_full_disk(hub, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(NlpcliError, match="no space left for wobert") as caught:
        pull("wobert")
    assert caught.value.exit_code == 1


def test_a_bug_stays_a_bug(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pull("wobert")


def test_a_repository_without_weights(hub):
    del hub.repositories[TORCH]["pytorch_model.bin"]
    with pytest.raises(NotFoundError, match=r"has no model.safetensors or tf_model.h5"):
        pull("wobert")


def test_what_is_on_disk_can_be_found_and_removed(hub, tmp_path):
    pull("wobert")
    pull("bge-small-zh")
    assert locate("wobert") is not None and locate("bge-small-zh") is not None
    assert remove("wobert") >= len(WEIGHTS)
    assert locate("wobert") is None and locate("bge-small-zh") is not None
    with pytest.raises(NotFoundError, match="is not on disk"):
        remove("wobert")
    (tmp_path / "plain" / "wobert").mkdir(parents=True)
    with pytest.raises(UsageError, match="remove it by hand"):
        remove("wobert")


def test_folders_and_names_that_are_none(hub, tmp_path):
    assert resolve_model(tmp_path) == tmp_path
    assert resolve_model(str(tmp_path)) == tmp_path
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="got a file"):
        resolve_model(tmp_path / "file")
    for name in ("./nowhere", str(tmp_path / "nowhere")):
        with pytest.raises(NotFoundError, match="no such model folder"):
            resolve_model(name)
    for name in ("", "wobret", "someone/else"):
        with pytest.raises(NotFoundError, match="unknown model"):
            resolve_model(name)
    assert not hub.requests


def test_two_bars_of_one_file_count_once():
    progress = Recorder()
    bar = _bar(progress, 1000)
    rebuilt, received = bar(total=100, initial=10), bar(total=100)
    rebuilt.update(20)
    received.update(15)
    rebuilt.update(70)
    assert [done for _, done in progress.calls] == [1030, 1030, 1100]


def test_only_the_best_weights_are_chosen():
    small = ["config.json", "vocab.txt"]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = "model.safetensors.index.json"
    bins = ["pytorch_model.bin", "tf_model.h5", "onnx/model.safetensors"]
    assert needed_files([*small, *bins, "model.safetensors"]) == [
        *small, "model.safetensors",
    ]  # fmt: skip
    assert needed_files([*small, *bins, index, *shards]) == [*small, *shards, index]
    assert needed_files([*small, *bins]) == [*small, "tf_model.h5"]
    del bins[1]
    assert needed_files([*small, *bins]) == [*small, "pytorch_model.bin"]


def test_a_folder_with_any_weights_is_whole(tmp_path):
    for name in ("config.json", "vocab.txt", "tf_model.h5.index.json"):
        (tmp_path / name).write_bytes(b"{}")
    assert not storage.is_whole(tmp_path), "shards of it are not read"
    (tmp_path / "tf_model.h5").write_bytes(b"")
    assert storage.is_whole(tmp_path)


def test_the_folder_of_plain_models(monkeypatch, tmp_path):
    monkeypatch.delenv("NLPCLI_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert storage.models_folder() == tmp_path / "nlpcli" / "models"


def test_the_variables_of_the_hub_are_honoured(hub, tmp_path):
    """A process of its own: HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE by environment."""
    code = (
        "import json, sys\n"
        "from nlpcli.checkpoints.download import resolve_model\n"
        "from nlpcli.errors import NlpcliError\n"
        "assert 'huggingface_hub' not in sys.modules\n"
        "try: print(resolve_model('bge-small-zh'))\n"
        "except NlpcliError as error: print(error.exit_code)\n"
    )

    def run(**variables):
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HF_")},
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, text=True,
            capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        return done.stdout.strip()

    assert run(HF_HUB_OFFLINE="1") == "6" and not hub.requests
    folder = Path(run())
    assert folder.is_relative_to(tmp_path / "home" / "hub")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert run(HF_HUB_OFFLINE="1") == str(folder)
    assert json.loads((folder / "config.json").read_text()) == {}
