"""Scores as a table: one row a label, the whole at the end, facts below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlpcli.cli.table import pairs, table
from nlpcli.files.json_text import in_a_cell

WIDEST = 12  # columns of a matrix that is shown whole
# what is said about the scoring rather than scored
FACTS = ("examples", "skipped", "seconds", "run", "data")


def score_table(scores: Mapping[str, Any]) -> str:
    """Render what ``evaluate_run`` returns, whatever its recipe measures."""
    facts = {name: scores[name] for name in FACTS if name in scores}
    labels = scores.get("per_label") or {}
    tables = [_matrix(k, v) for k, v in scores.items() if _is_matrix(k, v)]
    whole = {
        name: value
        for name, value in scores.items()
        if name not in facts and name != "per_label" and not _is_matrix(name, value)
    }
    if not labels:
        return "\n\n".join([*tables, pairs({**whole, **facts})])
    columns = list(dict.fromkeys(key for row in labels.values() for key in row))
    rows: list[Mapping[str, Any]] = [
        {**row, "label": label} for label, row in labels.items()
    ]
    rows.append({**{name: whole.get(name) for name in columns}, "label": "all"})
    others = {name: value for name, value in whole.items() if name not in columns}
    below = pairs({**others, **facts})
    tables.insert(0, table(rows, ["label", *columns]))
    return "\n\n".join([*tables, *([below] if below else [])])


def _is_matrix(name: str, value: Any) -> bool:
    """Counts by two labels."""
    return (
        name != "per_label"
        and isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(row, Mapping) for row in value.values())
    )


def _matrix(name: str, rows: Mapping[str, Mapping[str, int]]) -> str:
    """A row for each gold label; of a large matrix the errors made most often."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    if len(columns) <= WIDEST:
        # no label is empty, but one may be called gold
        shown = [{**row, "": label} for label, row in rows.items()]
        return f"{in_a_cell(name)}\n" + table(shown, ["", *columns], ["gold", *columns])
    errors: list[dict[str, Any]] = [
        {"gold": gold, "predicted": found, "count": count}
        for gold, row in rows.items()
        for found, count in row.items()
        if found != gold and count
    ]
    errors.sort(key=lambda row: -row["count"])
    told = f"{in_a_cell(name)}: the most frequent errors (--json has all)\n"
    return told + table(errors[:WIDEST], ["gold", "predicted", "count"])
