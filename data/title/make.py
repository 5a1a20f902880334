"""Write train.jsonl and dev.jsonl of title from templates.txt, always the same.

A template belongs to one side: no text of dev has a pattern that train fills.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

FOLDER = Path(__file__).parent
EVERY = 5  # of so many templates the last is one of dev
FILLED = 4  # rows of a template


def main() -> None:
    """Fill the templates and part them."""
    rng = random.Random(11)
    templates, fillings = read_templates((FOLDER / "templates.txt").read_text("utf-8"))
    sides: dict[str, list[dict[str, str]]] = {"train": [], "dev": []}
    for number, (title, text) in enumerate(templates):
        side = "dev" if number % EVERY == EVERY - 1 else "train"
        rows: list[dict[str, str]] = []
        while len(rows) < FILLED:
            row = fill(title, text, fillings, rng)
            if row not in rows:
                rows.append(row)
        sides[side] += rows
    for side, rows in sides.items():
        rng.shuffle(rows)
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (FOLDER / f"{side}.jsonl").write_text("".join(lines), "utf-8")
        print(f"{side}: {len(rows)} texts")


def read_templates(content: str) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """Pairs of title and text, and the ways to fill each slot."""
    templates: list[tuple[str, str]] = []
    fillings: dict[str, list[str]] = {}
    for line in content.splitlines():
        if line and not line.startswith("#"):
            name, text = line.split("\t")
            if name.startswith("="):
                fillings[name.removeprefix("= ")] = text.split()
            else:
                templates.append((name, text))
    return templates, fillings


def fill(
    title: str, text: str, fillings: dict[str, list[str]], rng: random.Random
) -> dict[str, str]:
    """A slot has one filling in a title and its text; ``{town2}`` is another town."""
    row = {"text": text, "title": title}
    used: set[str] = set()
    for slot in sorted(set(re.findall(r"\{(\w+)\}", title + text))):
        ways = [way for way in fillings[slot.rstrip("23")] if way not in used]
        way = rng.choice(ways)
        used.add(way)
        row = {key: value.replace(f"{{{slot}}}", way) for key, value in row.items()}
    return row


if __name__ == "__main__":
    main()
