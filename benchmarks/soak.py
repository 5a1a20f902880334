"""One process fed for long: its memory at the end against that after a tenth.

    python benchmarks/soak.py predict [--lines 1000000] [--run DIR] [--seed 1]
    python benchmarks/soak.py generate [--lines 10000] [--seed 1]

The real command line is fed through a pipe and read through another: `predict ner` with
a small run that is trained first (or ``--run``), `generate couplet` with the model that
ships. Lines are JSON with a number, cut and put together at random from the shipped
samples, some long, some empty. After each tenth, when all its answers have come, memory
(VmRSS) and threads are read from /proc. Prints JSON; exits with 1 where an answer is
missing or out of order, where memory grew by more than 5 % since the first tenth, or
threads are more than then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PARTS, MOST = 10, 1.05
NLPCLI = [sys.executable, "-m", "nlpcli"]


def main() -> None:
    """Feed, watch and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["predict", "generate"])
    parser.add_argument("--lines", type=int)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        if options.verb == "predict":
            run = options.run or trained(Path(scratch) / "run")
            words = ["predict", "ner", "--run", str(run)]
            told = soak(words, sentences(rng), options.lines or 1_000_000)
        else:
            words = ["generate", "couplet"]
            words += ["--run", str(options.run)] if options.run else []
            told = soak(words, first_lines(rng), options.lines or 10_000)
    print(json.dumps(told))
    sys.exit(0 if told["memory, last / first"] <= MOST and told["threads kept"] else 1)


def soak(words: list[str], texts: Iterator[str], count: int) -> dict[str, Any]:
    """Feed ``count`` texts to a command in tenths; what it took after each."""
    started = time.monotonic()
    process = subprocess.Popen(
        [*NLPCLI, "-q", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin and process.stdout
    memory, threads, answered = [], [], 0
    for part in range(1, PARTS + 1):
        wanted = range(answered, count * part // PARTS)
        rows = [{"id": number, "text": next(texts)} for number in wanted]
        writer = threading.Thread(target=write, args=(process.stdin, rows), daemon=True)
        writer.start()
        for row in rows:
            check(process.stdout.readline(), row)
            answered += 1
        writer.join()
        status = read_status(process.pid)
        memory.append(round(status["VmRSS"] / 1024, 1))
        threads.append(status["Threads"])
        print(f"{answered}: {memory[-1]} MiB, {threads[-1]} threads", file=sys.stderr)
    process.stdin.close()
    rest = process.stdout.read()
    code = process.wait(timeout=60)
    if rest or code:
        sys.exit(f"expected the end, got exit {code} and {rest[:200]!r}")
    return {
        "command": " ".join(words[:2]),
        "lines": answered,
        "seconds": round(time.monotonic() - started),
        "memory MiB": memory,
        "memory, last / first": round(memory[-1] / memory[0], 3),
        "threads": threads,
        "threads kept": threads[-1] <= threads[0],
    }


def write(stream: Any, rows: list[dict[str, Any]]) -> None:
    """Send rows as lines."""
    for row in rows:
        stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    stream.flush()


def check(line: bytes, row: dict[str, Any]) -> None:
    """End with a word unless a line answers a row."""
    answer = json.loads(line) if line else {}
    if (answer.get("id"), answer.get("text")) != (row["id"], row["text"]):
        sys.exit(f"expected the answer of {row}, got {line[:200]!r}")


def read_status(number: int) -> dict[str, int]:
    """VmRSS (KiB) and Threads of a process."""
    rows = Path(f"/proc/{number}/status").read_text().splitlines()
    fields = dict(row.split(":", 1) for row in rows)
    return {name: int(fields[name].split()[0]) for name in ("VmRSS", "Threads")}


def trained(out: Path) -> Path:
    """A run of ner on the shipped sample, with an encoder of one narrow layer."""
    words = ["train", "ner", "--epochs", "3", "--out", str(out)]
    for size in ("hidden_size=32", "num_hidden_layers=1"):
        words += ["--set", f"backbone.{size}"]
    subprocess.run([*NLPCLI, "-q", *words], check=True, stdout=subprocess.DEVNULL)
    return out


def sentences(rng: random.Random) -> Iterator[str]:
    """Texts for ner: clauses of the sample put together anew."""
    pool = texts_of("ner", "text")
    clauses = [c for text in pool for c in text.replace("。", "，").split("，") if c]
    while True:
        few = rng.random()
        if few < 0.01:
            yield ""
        elif few < 0.012:
            yield "".join(rng.choice(pool) for _ in range(rng.randint(10, 30)))
        else:
            yield (
                "，".join(rng.choice(clauses) for _ in range(rng.randint(1, 3))) + "。"
            )


def first_lines(rng: random.Random) -> Iterator[str]:
    """First lines of couplets, some of their characters taken from others."""
    pool = texts_of("couplet", "first")
    characters = "".join(pool)
    while True:
        line = list(rng.choice(pool))
        for _ in range(rng.randint(0, 3)):
            line[rng.randrange(len(line))] = rng.choice(characters)
        yield "".join(line) if rng.random() > 0.01 else ""


def texts_of(recipe: str, key: str) -> list[str]:
    """One text of each line of a shipped sample."""
    files = [ROOT / "data" / recipe / f"{name}.jsonl" for name in ("train", "dev")]
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    return [json.loads(line)[key] for line in lines]


if __name__ == "__main__":
    main()
