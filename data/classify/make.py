"""Write train.jsonl and dev.jsonl of classify from templates.txt, always the same.

A template belongs to one side: no sentence of dev has a pattern that train fills.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

FOLDER = Path(__file__).parent
FILLED = 7  # sentences of a template, at most
PLEASE = ("", "", "", "请", "麻烦", "那个，")
ENDS = ("", "", "？", "。", "呢", "吧")


def main() -> None:
    """Fill the templates and part them."""
    rng = random.Random(7)
    templates: list[tuple[str, str]] = []
    fillings: dict[str, list[str]] = {}
    for line in (FOLDER / "templates.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, text = line.split("\t")
        if name.startswith("="):
            fillings[name.removeprefix("= ")] = text.split()
        else:
            templates.append((name, text))
    sides: dict[str, list[dict[str, str]]] = {"train": [], "dev": []}
    for number, (label, template) in enumerate(templates):
        side = "dev" if number % 10 in (4, 9) else "train"
        slots = re.findall(r"\{(\w+)\}", template)
        texts: list[str] = []
        for _ in range(4 * FILLED):
            text = template
            for slot in slots:
                text = text.replace(f"{{{slot}}}", rng.choice(fillings[slot]), 1)
            text = rng.choice(PLEASE) + text.rstrip("吗吧")
            text += "吗" * template.endswith("吗") or rng.choice(ENDS)
            if text not in texts:
                texts.append(text)
        sides[side] += [{"text": text, "label": label} for text in texts[:FILLED]]
    for side, rows in sides.items():
        rng.shuffle(rows)
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (FOLDER / f"{side}.jsonl").write_text("".join(lines), "utf-8")
        print(f"{side}: {len(rows)} sentences")


if __name__ == "__main__":
    main()
