"""How long commands that need no model take to start.

    python benchmarks/startup.py [--repeat 10] [--json]

Prints, for each command, the least and the median wall seconds of its process beyond
those of ``python -c pass``, measured in turns so that a busy moment hits them all.
The goal is 0.3 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOAL = 0.3
COMMANDS = {
    "nlpcli --help": ["--help"],
    "nlpcli train ner --help": ["train", "ner", "--help"],
    "nlpcli recipes": ["recipes"],
    "nlpcli config ner": ["config", "ner"],
    "nlpcli data check": ["data", "check", "data/ner/dev.jsonl", "--task", "ner"],
    "nlpcli models list": ["models", "list"],
    "nlpcli runs": ["runs"],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seconds = measure(options.repeat)
    bare = seconds.pop("python -c pass")
    rows = [
        {
            "command": name,
            "least": round(min(times) - min(bare), 3),
            "median": round(statistics.median(times) - statistics.median(bare), 3),
        }
        for name, times in seconds.items()
    ]
    if options.json:
        print(json.dumps({"python": min(bare), "commands": rows}, indent=2))
        return
    print(f"python -c pass: least {min(bare):.3f} s; goal beyond it: {GOAL} s\n")
    print("| command | least, s | median, s |\n|---|---|---|")
    for row in rows:
        print(f"| `{row['command']}` | {row['least']:.3f} | {row['median']:.3f} |")


def measure(repeat: int) -> dict[str, list[float]]:
    """Wall seconds of each process; the first turn warms the file cache."""
    lines = {"python -c pass": [sys.executable, "-c", "pass"]}
    for name, words in COMMANDS.items():
        lines[name] = [sys.executable, "-m", "nlpcli", *words]
    seconds: dict[str, list[float]] = {name: [] for name in lines}
    for turn in range(repeat + 1):
        for name, line in lines.items():
            started = time.perf_counter()
            done = subprocess.run(line, cwd=ROOT, capture_output=True, check=False)
            taken = time.perf_counter() - started
            if done.returncode != 0:
                sys.exit(f"{name}: exit {done.returncode}: {done.stderr.decode()}")
            if turn > 0:
                seconds[name].append(taken)
    return seconds


if __name__ == "__main__":
    main()
