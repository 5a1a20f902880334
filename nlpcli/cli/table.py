"""Plain tables for people: columns aligned by what a terminal really shows."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nlpcli.files.json_text import in_a_cell


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    header: Sequence[str] | None = None,
) -> str:
    """Rows under a header; numbers to the right, None as ``-``, floats to 4 places.

    ``header``: how the columns are called, otherwise by their names without ``_``.
    """
    cells = [[cell(row.get(name)) for name in columns] for row in rows]
    numeric = [
        any(_is_number(row.get(name)) for row in rows)
        and all(row.get(name) is None or _is_number(row.get(name)) for row in rows)
        for name in columns
    ]
    header = header or [name.replace("_", " ") for name in columns]
    header = [in_a_cell(name) for name in header]
    widths = [
        max(width(line[i]) for line in [header, *cells]) for i in range(len(columns))
    ]
    return "\n".join(
        "  ".join(
            _pad(text, widths[i], numeric[i]) for i, text in enumerate(line)
        ).rstrip()
        for line in [header, *cells]
    )


def pairs(values: Mapping[str, Any], indent: str = "") -> str:
    """``key  value`` lines; a mapping inside is indented under its key."""
    shown = [(in_a_cell(str(key)), value) for key, value in values.items()]
    longest = max((width(key) for key, _ in shown), default=0)
    lines = []
    for key, value in shown:
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{key}", pairs(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            lines.append(f"{indent}{key}")
            lines += [f"{indent}  {cell(item)}" for item in value]
        else:
            lines.append(f"{indent}{_pad(key, longest, False)}  {cell(value)}")
    return "\n".join(line.rstrip() for line in lines)


def key_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Configuration keys as ``config_loader.schema`` gives them."""
    return table(
        [{**row, "default": _as_yaml(row["default"])} for row in rows],
        ["key", "type", "default", "doc"],
    )


def listing(values: Mapping[str, Any], shown: int = 20) -> str:
    """``key  value`` lines without what is empty; long lists one item a line."""
    short = {k: v for k, v in values.items() if not _is_list(v) and v not in (None, {})}
    parts = [pairs(short)]
    for name, items in values.items():
        if _is_list(items) and items:
            lines = [f"{in_a_cell(name)} ({len(items)})"]
            lines += [f"  {in_a_cell(str(item))}" for item in items[:shown]]
            if len(items) > shown:
                lines.append(f"  and {len(items) - shown} more")
            parts.append("\n".join(lines))
    return "\n".join(parts)


def cell(value: Any) -> str:
    """A value as a table shows it, in one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return (
            f"{value:.4f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:g}"
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value) or "-"
    if isinstance(value, Mapping):
        shown = (f"{in_a_cell(str(k))} {cell(v)}" for k, v in value.items())
        return ", ".join(shown) or "-"
    return in_a_cell(str(value))


def width(text: str) -> int:
    """Terminal columns of ``text``: a Chinese character takes two."""
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def _as_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _pad(text: str, columns: int, right: bool) -> str:
    space = " " * (columns - width(text))
    return space + text if right else text + space
