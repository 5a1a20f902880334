"""Scores as a table: one row a label, the whole at the end, facts below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlpcli.cli.table import pairs, table

# what is said about the scoring rather than scored
FACTS = ("examples", "skipped", "seconds", "run", "data")


def score_table(scores: Mapping[str, Any]) -> str:
    """Render what ``evaluate_run`` returns, whatever its recipe measures."""
    facts = {name: scores[name] for name in FACTS if name in scores}
    labels = scores.get("per_label") or {}
    whole = {
        name: value
        for name, value in scores.items()
        if name not in facts and name != "per_label"
    }
    if not labels:
        return pairs({**whole, **facts})
    columns = list(dict.fromkeys(key for row in labels.values() for key in row))
    rows: list[Mapping[str, Any]] = [
        {**row, "label": label} for label, row in labels.items()
    ]
    rows.append({**{name: whole.get(name) for name in columns}, "label": "all"})
    others = {name: value for name, value in whole.items() if name not in columns}
    below = pairs({**others, **facts})
    return "\n\n".join([table(rows, ["label", *columns]), *([below] if below else [])])
