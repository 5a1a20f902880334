"""Compiled programs are kept in the user's own cache, and only where they may be."""

import os
import stat

import pytest

from nlpcli.program_cache import keep_programs


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
