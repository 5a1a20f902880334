"""Writes train.jsonl and dev.jsonl of this folder from templates.txt.

    python data/simbert/make.py

A group of train is a frame with one of its fillers. Dev has fillers that train lacks
in that frame: pairs of the same frame and filler (label 1), and of the same filler in
another frame or another filler in the same frame (label 0).
"""

from __future__ import annotations

import json
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEV_FILLERS = 2


def main() -> None:
    """Write both files, the same each time."""
    rng = random.Random(4)
    frames = read_frames()
    train, dev = [], []
    taken: list[set[str]] = []  # a pair is not asked again the other way round
    for fillers, ways in frames:
        for filler in fillers[:-DEV_FILLERS]:
            texts = fill(ways, filler)
            rng.shuffle(texts)
            train.append({"text": texts[0], "synonyms": texts[1:]})
        for place, filler in enumerate(fillers[-DEV_FILLERS:]):
            one, other = rng.sample(fill(ways, filler), 2)
            dev.append(pair(one, other, 1))
            # what it is mistaken for: the same words about something else
            away = fillers[-DEV_FILLERS:][1 - place]
            rest = [
                other_ways
                for others, other_ways in frames
                if filler in others[-DEV_FILLERS:] and other_ways is not ways
            ]
            wrong = fill(rng.choice(rest), filler) if rest else fill(ways, away)
            wrong = [text for text in wrong if {one, text} not in taken]
            taken.append({one, rng.choice(wrong)})
            dev.append(pair(one, *(taken[-1] - {one}), 0))
    rng.shuffle(train)
    rng.shuffle(dev)
    for name, rows in (("train", train), ("dev", dev)):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (HERE / f"{name}.jsonl").write_text("".join(lines), "utf-8")
        print(f"{name}.jsonl: {len(rows)}")


def read_frames() -> list[tuple[list[str], list[str]]]:
    """Fillers and ways to ask, of each block."""
    text = (HERE / "templates.txt").read_text("utf-8")
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    frames: list[tuple[list[str], list[str]]] = []
    for line in lines:
        if line.startswith("="):
            frames.append((line[1:].split(), []))
        else:
            frames[-1][1].append(line)
    return frames


def fill(ways: list[str], filler: str) -> list[str]:
    """Every way to ask about one thing, as people type it, with a full-width comma."""
    return [way.format(filler).replace(",", "，") for way in ways]


def pair(text_a: str, text_b: str, label: int) -> dict[str, object]:
    """One line of dev."""
    return {"text_a": text_a, "text_b": text_b, "label": label}


if __name__ == "__main__":
    main()
