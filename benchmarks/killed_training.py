"""A training that is killed and resumed until it ends, as often as is asked."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from forked import KILLED, PAUSE, command, end, finish, start
from safetensors.numpy import load_file

from nlpcli.files.swap import find_whole

STEPS = 200
COMMON = [
    *("--max-steps", str(STEPS), "--batch-size", "8", "--lr", "3e-3"),
    *("--set", "data.limit=120", "--set", "data.dev_limit=16"),
    *("--set", "data.max_length=64", "--set", "backbone.hidden_size=32"),
    *("--set", "backbone.num_hidden_layers=1", "--set", "train.ema=0.9"),
    *("--set", "train.save_every=2", "--set", "train.eval_every=7"),
]
TIMED = {"seconds", "tokens_per_second", "eval_seconds", "programs"}
FILES = (
    "best/model.safetensors",
    "best/scores.json",
    "last/model.safetensors",
    "last/optimizer.safetensors",
    "scores.json",
)


def kill_training(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Kill until ``kills`` have come; raises AssertionError for what is not kept."""
    expected = undisturbed(folder / "undisturbed")
    out, log = folder / "out", folder / "log"
    forked = folder / "forked"
    life = finish(command("train", "ner", "--out", forked, *COMMON), out, log)
    assert outcome(forked) == expected
    print(f"a life: {life:.1f} s of CPU", file=sys.stderr, flush=True)
    counts: Counter[str] = Counter()
    while counts["kills"] < kills:
        run = folder / f"run-{counts['trainings']}"
        seen = {"last": 0, "best": 0}
        while not is_finished(run):
            words: list[str | Path] = ["--resume", run]
            if not seen["last"]:
                words = ["--out", run, "--force", *COMMON]
                counts["begun anew"] += run.exists()
            after = rng.uniform(0, life) if counts["kills"] < kills else None
            number = start(command("train", "ner", *words), out, log)
            pause = rng.uniform(0, PAUSE)
            code, _ = end(number, after, pause, lambda: watch(run, seen))  # noqa: B023
            assert code in (0, KILLED), f"exit {code}: {log.read_text()[-2000:]}"
            if code == KILLED:
                counts["kills"] += 1
                look(run, seen, counts, folder)
                print(f"{dict(counts)}, steps {seen}", file=sys.stderr, flush=True)
        assert outcome(run) == expected, f"{run}: not as undisturbed"
        assert not leftovers(run), f"{run}: {leftovers(run)}"
        counts["trainings"] += 1
    return {
        **counts,
        "with the same bits": counts["trainings"],
        "life, CPU s": round(life, 1),
    }


def undisturbed(run: Path) -> dict[str, Any]:
    """The outcome of a process of its own."""
    words = ["train", "ner", "--out", str(run), *COMMON]
    line = [sys.executable, "-m", "nlpcli", "-q", *words]
    subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
    return outcome(run)


def outcome(run: Path) -> dict[str, Any]:
    """Everything of a run that does not depend on the clock."""
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    state = json.loads((run / "last/state.json").read_text())
    return {
        **{name: (run / name).read_bytes() for name in FILES},
        "state": untimed(state),
        "metrics": [untimed(row) for row in rows],
    }


def untimed(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in TIMED}


def watch(run: Path, seen: dict[str, int]) -> None:
    """Note the steps that a reader sees saved."""
    for name, value in saved(run).items():
        seen[name] = max(seen[name], value)


def saved(run: Path) -> dict[str, int]:
    """The step of each checkpoint, 0 where there is none."""
    steps = {}
    for name, file in (("last", "state.json"), ("best", "scores.json")):
        steps[name] = 0
        folder = find_whole(run / name)
        if folder is not None:
            try:
                steps[name] = json.loads((folder / file).read_text())["step"]
            except FileNotFoundError:  # replaced in this moment
                continue
    return steps


def look(run: Path, seen: dict[str, int], counts: Counter[str], folder: Path) -> None:
    """See that a killed run opens and has what was seen; count where it was hit."""
    steps = saved(run)
    for name, step in seen.items():
        assert steps[name] >= step, f"{run}: {name} was at {step}, is {steps}"
        seen[name] = steps[name]
        if (whole := find_whole(run / name)) is not None:
            load_file(whole / "model.safetensors")
    if seen["last"]:
        load_file(find_whole(run / "last") / "optimizer.safetensors")  # type: ignore[operator]
    counts["in a save"] += bool(leftovers(run))
    if (run / "config.yaml").exists():
        finish(command("runs", "show", run, "--json"), folder / "shown", folder / "log")
        told = json.loads((folder / "shown").read_text())
        assert told["status"] in ("interrupted", "finished"), told["status"]


def is_finished(run: Path) -> bool:
    file = run / "run.json"
    return file.exists() and json.loads(file.read_text())["status"] == "finished"


def leftovers(run: Path) -> list[str]:
    """What a save that was cut short has left."""
    ends = (".partial", ".new", ".old")
    return [path.name for path in run.rglob(".*") if path.name.endswith(ends)]
