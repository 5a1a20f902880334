"""Curves in plain text: braille dots, two by four in a character."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nlpcli.files.json_text import in_a_cell

# the bit of each dot of a braille character, by row from the top and by column
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def curve(
    title: str,
    points: Sequence[tuple[float, float]],
    columns: int,
    rows: int = 8,
    unicode: bool = True,
) -> str:
    """Draw ``points`` (x, y), x rising, as a line within ``columns`` characters.

    Values that are not finite are left out. Without ``unicode`` a star marks each
    cell the line touches.
    """
    title = in_a_cell(title)
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not finite:
        return f"{title}: nothing to draw"
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    labels = {0: f"{high:.4g}", rows - 1: f"{low:.4g}"}
    if low == high:
        labels = {rows - 1: f"{low:.4g}"}
    margin = max(len(text) for text in labels.values())
    across = max(columns - margin - 3, 8)
    grid = _draw(finite, low, high, across, rows)
    lines = [title]
    for number, bits in enumerate(grid):
        label = labels.get(number, "")
        line = "".join(_character(cell, unicode) for cell in bits).rstrip()
        lines.append(f"{label:>{margin}} {'│' if unicode else '|'} {line}".rstrip())
    first, last = f"{finite[0][0]:g}", f"{finite[-1][0]:g}"
    space = " " * max(across - len(first) - len(last), 1)
    lines.append(f"{'':>{margin}}   {first}{space}{last}")
    return "\n".join(lines)


def _character(bits: int, unicode: bool) -> str:
    if not bits:
        return " "
    return chr(0x2800 + bits) if unicode else "*"


def _draw(
    points: Sequence[tuple[float, float]],
    low: float,
    high: float,
    columns: int,
    rows: int,
) -> list[list[int]]:
    left, right = points[0][0], points[-1][0]
    places = [
        (
            round((x - left) / ((right - left) or 1.0) * (2 * columns - 1)),
            round((high - y) / ((high - low) or 1.0) * (4 * rows - 1)),
        )
        for x, y in points
    ]
    if low == high:
        places = [(x, 4 * rows - 1) for x, _ in places]
    grid = [[0] * columns for _ in range(rows)]
    for (x0, y0), (x1, y1) in zip(places, [*places[1:], places[-1]], strict=True):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            x = round(x0 + (x1 - x0) * step / steps)
            y = round(y0 + (y1 - y0) * step / steps)
            grid[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
    return grid
