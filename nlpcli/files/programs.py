"""Where compiled programs are kept, so that a second process need not compile again.

TensorFlow runs what it finds there and fails on a file that is cut short or damaged.
So the folder is used only where nobody else can write into it, nor into one above it;
each program has a seal, its digest in a file beside it, and at the start those go whose
seal is missing or wrong.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import platform
import stat
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from nlpcli.errors import NlpcliError
from nlpcli.files.atomic import write_atomic
from nlpcli.files.cache import own_cache
from nlpcli.files.owners import is_trusted

logger = logging.getLogger("nlpcli")

MOST_BYTES = 2**28  # newest first; about a hundred programs
_FLAG = "--tf_xla_persistent_cache_directory"
_PREFIX = "--tf_xla_persistent_cache_prefix=nlpcli"
_SEAL = ".sha256"


def keep_programs() -> Path | None:
    """Have TensorFlow keep XLA's programs in the user's cache; call before its import.

    The folder is the user's own (0700) and named by TensorFlow's version and the
    processor, whose instructions the programs use. Damaged programs in it go, with a
    warning. Nothing is changed where TF_XLA_FLAGS names a folder already, where none
    can be made, or where another user can change it.
    """
    flags = os.environ.get("TF_XLA_FLAGS", "")
    if _FLAG in flags:
        return None
    folder = own_cache("programs", _machine())
    if folder is None or " " in str(folder):  # the flags are cut at spaces
        return None
    _drop_unsound(folder)
    os.environ["TF_XLA_FLAGS"] = f"{flags} {_FLAG}={folder} {_PREFIX}".strip()
    atexit.register(seal_programs)
    return folder


def seal_programs() -> None:
    """Seal the programs that this process, or another, has added by now.

    TensorFlow renames a program into place, so it is whole, but need not have reached
    the disk: what a power cut leaves of it will not match its seal.
    """
    words = os.environ.get("TF_XLA_FLAGS", "").split()
    folder = next((w.split("=", 1)[1] for w in words if w.startswith(_FLAG + "=")), "")
    if not folder or _PREFIX not in words:
        return
    for program in Path(folder).glob("*.pb"):
        seal = _seal_of(program)
        # a disk that is full, or a neighbour who was quicker: it is compiled again
        with suppress(OSError, NlpcliError):
            if not seal.exists():
                write_atomic(seal, _digest(program))


def _drop_unsound(folder: Path) -> None:
    """Take away programs without their seal or beyond MOST_BYTES, and lone seals."""
    damaged, room = 0, MOST_BYTES
    with suppress(OSError):
        for program in sorted(folder.glob("*.pb"), key=_age):
            seal = _seal_of(program)
            status = program.lstat()
            room -= status.st_size
            own = stat.S_ISREG(status.st_mode) and is_trusted(status)
            sealed = own and seal.exists()
            if sealed and room >= 0 and _digest(program) == seal.read_bytes():
                continue
            damaged += sealed and room >= 0
            program.unlink(missing_ok=True)
            seal.unlink(missing_ok=True)
        for seal in folder.glob("*" + _SEAL):
            if not seal.with_name(seal.name.removesuffix(_SEAL)).exists():
                seal.unlink(missing_ok=True)
    if damaged:
        logger.warning(
            "%s: %d compiled programs were damaged; they are compiled again",
            folder,
            damaged,
        )


def _age(program: Path) -> float:
    return -program.lstat().st_mtime


def _seal_of(program: Path) -> Path:
    return program.with_name(program.name + _SEAL)


def _digest(program: Path) -> bytes:
    return hashlib.sha256(program.read_bytes()).hexdigest().encode()


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
