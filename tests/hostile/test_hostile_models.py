"""Model folders of strangers: one line and exit code 5, in bounded memory and time."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.safetensors import SafetensorsSource
from nlpcli.engine.inspect import inspect
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import NotJson, parse_json_object
from nlpcli.text.tokenizers.load import load_tokenizer
from tests.checkpoints.tiny_bert import CONFIG, hf_tensors, write_hf
from tests.hostile.faked import ROOT, assert_one_line, nlpcli
from tests.hostile.tf_table import checksum, entry, write_index

GIB = 2**30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_hf(tmp_path / "model")


def look(folder: Path) -> None:
    """All that is read of a model folder before a model is made of it."""
    load_tokenizer(folder)
    open_published(folder)
    source = open_checkpoint(folder)
    for name in source.describe():
        source.read(name)


def refused(act: Callable[[], Any], told: str = "") -> None:
    with pytest.raises(CheckpointError, match=told) as caught:
        act()
    line = str(caught.value)
    assert "\n" not in line and len(line) < 600
    assert caught.value.exit_code == 5


# -- files that are none, or too much


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(GIB)  # nothing but a size


KINDS = {pipe: "a pipe", device: "a device", Path.mkdir: "a folder"}
READ = (
    *("vocab.txt", "config.json", "tokenizer_config.json", "added_tokens.json"),
    *("tokenizer.json", "model.safetensors", "model.safetensors.index.json"),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", READ)
def test_what_never_ends_is_not_read(
    name: str, kind: Callable[[Path], None], folder: Path
) -> None:
    """A pipe would be waited for, a device read for ever."""
    (folder / name).unlink(missing_ok=True)
    kind(folder / name)
    refused(lambda: look(folder), rf"{name}: expected a plain file, got {KINDS[kind]}")


@pytest.mark.parametrize("name", [*READ, "pytorch_model.bin"])
def test_a_file_of_a_gibibyte_is_not_read(name: str, folder: Path) -> None:
    if name == "pytorch_model.bin":
        pytest.importorskip("torch")
        (folder / "model.safetensors").unlink()
    (folder / name).unlink(missing_ok=True)
    huge(folder / name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(lambda: look(folder), name)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400 * 1024, "64 MiB and what they become, not the whole"


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_says_so_in_one_line(
    kind: Callable[[Path], None], folder: Path
) -> None:
    (folder / "vocab.txt").unlink()
    kind(folder / "vocab.txt")
    done = nlpcli("models", "inspect", folder, memory=GIB)
    assert_one_line(done, 5, f"vocab.txt: expected a plain file, got {KINDS[kind]}")


def test_a_vocabulary_of_empty_lines(folder: Path) -> None:
    (folder / "vocab.txt").write_bytes(b"\n" * 2_000_000)
    refused(lambda: look(folder), "vocab.txt: expected at most 1000000 tokens")


# -- JSON


def test_many_small_values_take_no_memory(folder: Path) -> None:
    """Values take up to a hundred times their text."""
    for text in (b'{"a": [' + b"[]," * 20_000_000 + b"0]}", b"[" + b"[]," * 20_000_000):
        (folder / "config.json").write_bytes(text)
        done = nlpcli("models", "inspect", folder, memory=GIB)
        assert_one_line(done, 5, "config.json: expected ")


def test_a_safetensors_header_of_small_values(folder: Path) -> None:
    """Of 90 MB, which were 4.5 GB of lists."""
    header = b'{"a": [' + b"[]," * 30_000_000 + b"0]}"
    raw = len(header).to_bytes(8, "little") + header
    (folder / "model.safetensors").write_bytes(raw)
    done = nlpcli("models", "inspect", folder, memory=GIB)
    assert_one_line(done, 5, "not a whole safetensors file: expected JSON of at most")


def test_a_name_that_stands_twice_is_found_in_linear_time() -> None:
    names = [f'"{number}":0,' for number in range(300_000)]
    with pytest.raises(NotJson, match="the name '299999' stands twice"):
        parse_json_object(("{" + "".join(names) + '"299999":0}').encode())


# -- safetensors


def packed(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


ONE = b'"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
LIES = {
    "a name twice": packed(b"{" + ONE + b"," + ONE + b"}", b"0000"),
    "a long name": packed(b"{" + ONE.replace(b"x", b"x" * 2000) + b"}", b"0000"),
    "truncated": packed(b"{" + ONE + b"}", b"000"),
    "overlapping": packed(
        b"{" + ONE + b"," + ONE.replace(b'"x"', b'"y"') + b"}", b"0000"
    ),
    "outside": packed(b"{" + ONE.replace(b"[0,4]", b"[4,8]") + b"}", b"0000"),
    "far outside": packed(
        b"{"
        + ONE.replace(b"[0,4]", b"[9223372036854775800,9223372036854775804]")
        + b"}"
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies(lie: str, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(LIES[lie])
    refused(lambda: look(folder), "not a whole safetensors file")


# -- torch files


def test_a_torch_file_that_unfolds(folder: Path) -> None:
    """Packed members, a buffer by its length, one number as 10^14: a KB each."""
    torch = pytest.importorskip("torch")
    path = folder / "pytorch_model.bin"
    (folder / "model.safetensors").unlink()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for zipped in (True, False):
        for maker in (bytearray, torch.FloatTensor):
            torch.save(
                {"a": torch.ones(1), "b": Made(maker)},
                path,
                _use_new_zipfile_serialization=zipped,
            )
            refused(lambda: look(folder), "expected a pickle of tensors, it asks for")
        one = torch.ones(1).expand(10**7, 10**7)
        torch.save({"a": one}, path, _use_new_zipfile_serialization=zipped)
        refused(lambda: look(folder), "shape .10000000, 10000000. in a file of")

    torch.save({"a": torch.zeros(1000)}, folder / "whole")
    with (
        zipfile.ZipFile(folder / "whole") as whole,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name))
    refused(lambda: look(folder), "got packed ones")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400 * 1024


class Made:
    """Two billion of something, when unpickled."""

    def __init__(self, maker: Any) -> None:
        self.maker = maker

    def __reduce__(self) -> Any:
        return self.maker, (2 * 10**9,)


@pytest.mark.parametrize("layout", ["sparse", "meta"])
def test_a_torch_tensor_without_numbers(layout: str, folder: Path) -> None:
    torch = pytest.importorskip("torch")
    (folder / "model.safetensors").unlink()
    if layout == "meta":
        tensor = torch.empty(10**7, 10**7, device="meta")
    else:
        tensor = torch.zeros(3, 3).to_sparse()
    torch.save({"a": tensor}, folder / "pytorch_model.bin")
    refused(lambda: look(folder), "pytorch_model.bin: ")


# -- TensorFlow checkpoints

INDEXES = {
    "10^14 numbers": entry([10**7, 10**7]),
    "10^14 numbers, and as many bytes": entry([10**7, 10**7], 4 * 10**14),
    "more than can be counted": entry([2**62, 2**62]),
    "a negative size": entry([-5, 3]),
    "three hundred axes": entry([1] * 300),
    "a type that is none": entry([1], kind=999),
    "a reference": entry([1], kind=101),
    "cut short": entry([1])[:-1],
    "a field that cannot be": entry([1], more=b"\0\2"),
    "no rank": b"\x08\x01\x12\x02\x18\x01\x28\x04",
}
READ_THEM = """
import sys
from pathlib import Path
from nlpcli.errors import CheckpointError
from nlpcli.runtime.tf_checkpoint import open_tf_checkpoint
for path in map(Path, sys.argv[1:]):
    try:
        source = open_tf_checkpoint(path)
        values = {name: source.read(name).tolist() for name in source.describe()}
        print(path.name, values)
    except CheckpointError as error:
        line = str(error)
        print(path.name, "not a whole" in line and chr(10) not in line)
"""


def test_indexes_that_end_tensorflow(tmp_path: Path) -> None:
    """TensorFlow aborts the process at most of them."""
    good = entry([1], more=checksum(b"\0\0\0\0"))
    names = [f"ckpt{number}" for number in range(len(INDEXES) + 1)]
    for name, found in zip(names, [*INDEXES.values(), good], strict=True):
        write_index(tmp_path / name, {"a": found})
    done = subprocess.run(
        [sys.executable, "-c", READ_THEM, *(tmp_path / name for name in names)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        encoding="utf-8",
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *bad, last = done.stdout.splitlines()
    assert bad == [f"{name} True" for name in names[:-1]]
    assert last == f"{names[-1]} {{'a': [0.0]}}", "the hand-made table is a table"


def test_inspection_survives_all_of_it(folder: Path) -> None:
    """It notes what it meets, also where other commands would stop."""
    absurd = dict.fromkeys(("hidden_size", "vocab_size", "num_hidden_layers"), 10**15)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **absurd}))
    report = inspect(folder)
    assert report.loads is False and report.tensors == len(hf_tensors())
    assert any("does not tell its sizes" in note for note in report.notes)


def test_a_whole_folder_is_read_as_ever(folder: Path) -> None:
    look(folder)
    save_file({"x": np.ones(3, np.float32)}, folder / "other.safetensors")
    assert SafetensorsSource(folder / "other.safetensors").read("x").sum() == 3
