"""Where compiled programs are kept, so that a second process need not compile again."""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path

_FLAG = "--tf_xla_persistent_cache_directory"


def keep_programs() -> Path | None:
    """Have TensorFlow keep XLA's programs in the user's cache; call before its import.

    The folder is the user's own (0700) and named by TensorFlow's version and the
    processor, whose instructions the programs use. Nothing is changed where
    TF_XLA_FLAGS names a folder already, or where none can be made.
    """
    flags = os.environ.get("TF_XLA_FLAGS", "")
    if _FLAG in flags:
        return None
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser() / "nlpcli" / "programs" / _machine()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    if " " in str(folder):  # the flags are cut at spaces
        return None
    own = f"{_FLAG}={folder} --tf_xla_persistent_cache_prefix=nlpcli"
    os.environ["TF_XLA_FLAGS"] = f"{flags} {own}".strip()
    return folder


def _machine() -> str:
    """TensorFlow's version and a digest of what the processor can do."""
    known = platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        known += next((line for line in lines if line.startswith("flags")), "")
    digest = hashlib.sha256(known.encode()).hexdigest()[:12]
    try:
        version = metadata.version("tensorflow")
    except metadata.PackageNotFoundError:
        version = "unknown"
    return f"tensorflow-{version}-{digest}"
