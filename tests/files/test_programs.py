"""Compiled programs are kept in the user's own cache, and only where they may be."""

import logging
import os
import stat
import subprocess
import sys

import pytest

from nlpcli.files import programs
from nlpcli.files.programs import keep_programs, seal_programs


@pytest.fixture(autouse=True)
def own_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")


def test_adds_to_the_flags_and_keeps_the_folder_private():
    folder = keep_programs()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    flags = os.environ["TF_XLA_FLAGS"].split()
    assert flags[0] == "--tf_xla_auto_jit=0"
    assert f"--tf_xla_persistent_cache_directory={folder}" in flags


def test_a_folder_that_the_user_chose_stays(monkeypatch):
    chosen = "--tf_xla_persistent_cache_directory=/elsewhere"
    monkeypatch.setenv("TF_XLA_FLAGS", chosen)
    assert keep_programs() is None
    assert os.environ["TF_XLA_FLAGS"] == chosen


def test_no_cache_where_no_folder_can_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert keep_programs() is None
    assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_auto_jit=0"


@pytest.fixture
def opened(monkeypatch):
    """The folder as a process finds it that starts now."""

    def start():
        monkeypatch.setenv("TF_XLA_FLAGS", "")
        return keep_programs()

    return start


def stems(folder):
    return sorted(path.name.split(".")[0] for path in folder.glob("*.pb"))


def test_damaged_programs_go_and_good_ones_stay(opened, caplog):
    folder = opened()
    for name in ("good", "short", "empty", "flipped", "gone"):
        (folder / f"{name}.pb").write_bytes(name.encode() * 1000)
    seal_programs()
    (folder / "unsealed.pb").write_bytes(b"written when the power went")
    (folder / "short.pb").write_bytes(b"short" * 500)
    (folder / "empty.pb").write_bytes(b"")
    (folder / "flipped.pb").write_bytes(b"flIpped" * 1000)
    (folder / "gone.pb").unlink()
    with caplog.at_level(logging.WARNING, logger="nlpcli"):
        assert opened() == folder
    assert stems(folder) == ["good"]
    assert len(list(folder.iterdir())) == 2
    assert "3 compiled programs were damaged" in caplog.text
    caplog.clear()
    opened()
    assert (stems(folder), caplog.text) == (["good"], "")


def test_the_oldest_make_room(opened, monkeypatch):
    folder = opened()
    for age, name in enumerate(("new", "older", "oldest")):
        (folder / f"{name}.pb").write_bytes(b"x" * 100)
        os.utime(folder / f"{name}.pb", (10**9 - age, 10**9 - age))
    seal_programs()
    monkeypatch.setattr(programs, "MOST_BYTES", 250)
    opened()
    assert stems(folder) == ["new", "older"]


def test_only_our_own_folder_is_sealed(tmp_path, monkeypatch):
    (tmp_path / "theirs.pb").write_bytes(b"x")
    chosen = f"--tf_xla_persistent_cache_directory={tmp_path}"
    monkeypatch.setenv("TF_XLA_FLAGS", chosen)
    assert keep_programs() is None
    seal_programs()
    assert [path.name for path in tmp_path.glob("*.pb*")] == ["theirs.pb"]


PROGRAM = """
from nlpcli.files.programs import keep_programs
keep_programs()
import tensorflow as tf
print(tf.function(lambda x: tf.sin(x) + x @ x, jit_compile=True)(tf.ones((4, 4))))
"""


@pytest.mark.slow
def test_a_process_answers_over_a_damaged_program(opened):
    """TensorFlow by itself fails on the file that the second process finds."""

    def answer():
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            timeout=250,
            env={**os.environ, "TF_XLA_FLAGS": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    folder, first = opened(), answer()
    (program,) = folder.glob("*.pb")
    whole = program.read_bytes()
    program.write_bytes(whole[: len(whole) // 2])
    assert answer() == first
    (program,) = folder.glob("*.pb")
    assert len(program.read_bytes()) == len(whole)
