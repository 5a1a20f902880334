"""What is kept of a timing, and what auto takes of it."""

import json
import os

import pytest

from nlpcli.runtime import timing
from nlpcli.runtime.timing import Timing, auto_precision, keep_timing, kept_timing


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The file of a machine that multiplies bfloat16."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(timing, "multiplies_bfloat16", lambda processor: True)
    path = keep_timing(Timing(2.0, 1.0))
    assert path is not None and path.parent == tmp_path / "nlpcli" / "timings"
    return path


def test_what_is_kept_is_found_again(place):
    assert kept_timing() == Timing(2.0, 1.0)
    assert auto_precision() == "bfloat16"
    keep_timing(Timing(1.1, 1.0))
    assert auto_precision() == "float32"


def test_without_a_timing_or_the_instructions_it_is_float32(place, monkeypatch):
    monkeypatch.setattr(timing, "multiplies_bfloat16", lambda processor: False)
    assert auto_precision() == "float32"
    monkeypatch.setattr(timing, "multiplies_bfloat16", lambda processor: True)
    place.unlink()
    assert kept_timing() is None
    assert auto_precision() == "float32"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\x00",
        b'{"float32": 2.0}',
        b'{"float32": "2", "bfloat16": 1}',
        b'{"float32": true, "bfloat16": 1}',
        b'{"float32": 2.0, "bfloat16": 0}',
        b'{"float32": 2.0, "bfloat16": -1}',
        b'{"float32": NaN, "bfloat16": 1.0}',
        b'{"float32": 1e999, "bfloat16": 1.0}',
        b'{"float32": ' + b"9" * 400 + b', "bfloat16": 1.0}',
    ],
)
def test_a_damaged_file_is_as_none(place, content):
    place.write_bytes(content)
    assert kept_timing() is None


def test_a_link_and_a_folder_of_others_are_as_none(place, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(json.dumps(Timing(9.0, 1.0)._asdict()))
    place.unlink()
    place.symlink_to(other)
    assert kept_timing() is None
    place.unlink()
    os.mkfifo(place)
    assert kept_timing() is None
    place.unlink()
    keep_timing(Timing(2.0, 1.0))
    place.parent.chmod(0o777)
    assert kept_timing() is None
    assert keep_timing(Timing(2.0, 1.0)) is None


def test_another_processor_has_a_timing_of_its_own(place, monkeypatch):
    found = timing.read_processor("model name: another\nflags: avx512_bf16\n")
    monkeypatch.setattr(timing, "read_processor", lambda: found)
    assert kept_timing() is None
