"""What ``data check`` found, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nlpcli.cli.table import pairs, table
from nlpcli.files.json_text import in_a_cell

BAR = 40
SHOWN_PLACES = 10


def report_text(report: Mapping[str, Any]) -> str:
    """Counts, label table, length histogram, long texts, repeated and bad lines.

    Sections follow the shapes of the values, so a recipe adds its own by returning
    them: a mapping of counts stands among the counts, rows make a table, a
    ``histogram`` inside makes bars. What becomes of long texts ``windows`` says
    under ``then``, where they are not cut in windows.
    """
    counts = {k: v for k, v in report.items() if _is_count(v)}
    parts = [pairs(counts)]
    if labels := report.get("labels"):
        parts.append(table(labels, list(labels[0])))
    for name in ("lengths", "tokens"):
        if lengths := report.get(name):
            unit = "characters" if name == "lengths" else "tokens"
            parts.append(_lengths(unit, lengths))
    if windows := report.get("windows"):
        longer = windows["longer"] or "no"
        told = f"{longer} texts exceed {windows['max_length']} {windows['unit']}"
        then = windows.get("then", "train cuts those in windows")
        parts.append(f"{told}, special tokens included ({then})")
    left = report.get("unlisted", {})
    for name in ("duplicates", "conflicts"):
        if rows := report.get(name):
            parts.append(_places(name, rows, len(rows) + left.get(name, 0)))
    if bad := report["bad_lines"]:
        count = len(bad) + left.get("bad_lines", 0)
        lines = [f"{count} bad lines", *(f"  {in_a_cell(it)}" for it in bad)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _is_count(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value) and all(isinstance(x, (int, float)) for x in value.values())
    return isinstance(value, (str, int, float))


def _lengths(unit: str, lengths: Mapping[str, Any]) -> str:
    known = {k: v for k, v in lengths.items() if k != "histogram"}
    lines = [unit, pairs(known, "  ")]
    bins = lengths["histogram"]
    most = max((row["count"] for row in bins), default=0) or 1
    ranges = [f"{row['from']}-{row['to']}" for row in bins]
    wide = max((len(text) for text in ranges), default=0)
    digits = len(str(most))
    for text, row in zip(ranges, bins, strict=True):
        bar = "█" * round(BAR * row["count"] / most)
        lines.append(f"  {text:>{wide}}  {row['count']:>{digits}}  {bar}".rstrip())
    return "\n".join(lines)


def _places(name: str, rows: Sequence[Mapping[str, Any]], count: int) -> str:
    lines = [f"{count} {name}"]
    for row in rows[:SHOWN_PLACES]:
        lines.append(in_a_cell(f"  {row['line']} repeats {row['first']}"))
    if count > SHOWN_PLACES:
        lines.append(f"  and {count - SHOWN_PLACES} more (--json lists them all)")
    return "\n".join(lines)
