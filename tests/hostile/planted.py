"""What attacks plant, and how a test sees that nothing of it was touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PRECIOUS = "别人的文件,不是 JSON\n"


def precious(folder: Path, name: str = "precious.txt") -> Path:
    """Somebody's file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PRECIOUS, encoding="utf-8")
    return path


def picture(folder: Path) -> list[tuple[str, str, object]]:
    """All that is in a folder: names, what links say, contents, times of change."""
    return sorted(_lines(folder), key=lambda line: line[0])


def _lines(folder: Path) -> Iterator[tuple[str, str, object]]:
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        status = path.lstat()
        if path.is_symlink():
            yield name, "link", str(path.readlink())
        elif path.is_file():
            yield name, "file", (path.read_bytes(), status.st_mtime_ns, status.st_ino)
        else:
            yield name, "other", (status.st_mode, status.st_mtime_ns)
