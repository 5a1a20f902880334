"""Rebuild the couplet model that ships in data/couplet/model.

    python data/couplet/build_model.py POEMS.jsonl [MORE.jsonl ...] --out runs/poems

POEMS: pairs of lines of Tang and Song regulated verse, {"first", "second"} a line,
made from github.com/chinese-poetry/chinese-poetry (MIT). Trains, scores on 2,000
couplets held out, and copies the best weights, as float16, beside this script. An
--out that already holds the finished run is only copied.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).resolve().parent
HELD_OUT = 2000
SEED = 13
SETTINGS = (
    "--batch-size 256 --epochs 3 --seed 42 --set backbone.hidden_size=192 "
    "--set backbone.num_hidden_layers=4 --set data.dev_limit=500 "
    "--set train.eval_every=430"
)


def main() -> None:
    """Split, train where that is still to be done, copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("poems", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/couplet-poems"))
    options = parser.parse_args()
    if not (options.out / "scores.json").is_file():
        train(options.poems, options.out)
    ship(options.out, HERE / "model")


def train(poems: list[Path], out: Path) -> None:
    """Hold out couplets whose first line is in neither part twice, and train."""
    by_first = {}
    for path in poems:
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            by_first[row["first"]] = {k: row[k] for k in ("first", "second")}
    rows = list(by_first.values())
    random.Random(SEED).shuffle(rows)
    parts = {"dev": rows[:HELD_OUT], "train": rows[HELD_OUT:][:220_000]}
    data = out.parent / "poems"
    data.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        (data / f"{name}.jsonl").write_text(text, "utf-8")
    command = [sys.executable, "-m", "nlpcli", "train", "couplet", *SETTINGS.split()]
    files = ["--data", f"{data}/train.jsonl", "--dev", f"{data}/dev.jsonl"]
    subprocess.run([*command, *files, "--out", str(out)], check=True)


def ship(run: Path, target: Path) -> None:
    """Copy what answering needs; weights in float16, no path of this machine."""
    best = target / "best"
    best.mkdir(parents=True, exist_ok=True)
    for name in ("run.json", "scores.json"):
        (target / name).write_bytes((run / name).read_bytes())
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    config["data"]["train"] = config["data"]["dev"] = None
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (target / "config.yaml").write_text(text, "utf-8")
    for path in (run / "best").iterdir():
        if path.suffix != ".safetensors":
            (best / path.name).write_bytes(path.read_bytes())
    weights = load_file(run / "best" / "model.safetensors")
    half = {name: value.astype(np.float16) for name, value in weights.items()}
    save_file(half, best / "model.safetensors")
    size = (best / "model.safetensors").stat().st_size
    print(f"{best}: {sum(v.size for v in half.values())} parameters, {size} bytes")


if __name__ == "__main__":
    main()
