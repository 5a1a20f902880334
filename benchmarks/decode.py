"""Tokens a second of decoding, beside transformers' generate and CTranslate2.

    python benchmarks/decode.py [--family gpt2] [--quantize int8] [--rounds 2]
        [--cache FOLDER] [--tiny]

Every side has a random causal decoder of the same sizes (12 layers of 768, vocabulary
21,128). --family gpt2 or llama (12 query and 4 key heads): all sides have the same
weights. t5: 1.1, 12 layers on each side, of which the encoder reads the prompts. bert,
the default: the peers share one GPT-2, ours is a BERT under the causal
mask, which has one 768 x 768 product more. All get the same prompts of 64 tokens and
write 64 that do not end early, float32, the same threads, each in a process of its own.
With --quantize int8 ours and CTranslate2 also in int8.
Prints tokens a second of the answers with ratios, the seconds of our first calls, and
how far all this is from what the machine allows. With --cache: the first calls of a
process that fills TensorFlow's folder of compiled programs, and of one that finds it
full. --tiny is only to see that it works.
Needs torch, transformers, ctranslate2.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import decode_sides
from decode_sides import CASES, MEASURES, PEERS
from machine import measure_machine, named_processor

SIDES = ("nlpcli", "transformers", "ctranslate2", "nlpcli-int8", "ctranslate2-int8")
RATIOS = (
    ("nlpcli", "transformers"),
    ("nlpcli", "ctranslate2"),
    ("nlpcli-int8", "ctranslate2-int8"),
    ("nlpcli-int8", "nlpcli"),
)


def main() -> None:
    """Run each side in a process of its own and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="processes of each side")
    parser.add_argument("--repeats", type=int, default=2, help="runs in a process")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES[:3]))
    parser.add_argument("--quantize", choices=("int8",), help="int8 sides, too")
    parser.add_argument("--family", choices=("bert", *PEERS), default="bert")
    parser.add_argument("--tiny", action="store_true", help="only to see that it works")
    parser.add_argument("--cache", help="folder of compiled programs, to be filled")
    parser.add_argument("--side", choices=(*SIDES, "convert"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tiny:
        decode_sides.make_tiny()
    if options.quantize:
        options.sides += [side for side in SIDES[3:] if side not in options.sides]
    if options.side:
        print(json.dumps(MEASURES[options.side](options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = compare(options, folder)
    report(options, results)
    if options.cache:
        report_cache(options)


def compare(options: argparse.Namespace, folder: str) -> dict[str, dict[str, Any]]:
    """Best speed, least first call, and peak of each side over the rounds."""
    ours_alone = all(side.startswith("nlpcli") for side in options.sides)
    if not ours_alone or options.family != "bert":
        run_side("convert", ["--folder", folder])
    results: dict[str, dict[str, Any]] = {}
    for _ in range(options.rounds):
        for side in options.sides:
            row = run_side(side, ["--folder", folder])
            best = results.setdefault(side, row)
            for case in options.cases:
                best["speed"][case] = max(best["speed"][case], row["speed"][case])
                best["first"][case] = min(best["first"][case], row["first"][case])
            best["peak"] = max(best["peak"], row["peak"])
            best["held"] = max(best["held"], row["held"])
    return results


def run_side(
    side: str, extra: list[str], environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """What one side prints, in a new process."""
    command = [sys.executable, __file__, *sys.argv[1:], *extra, "--side", side]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"} | (environment or {}),
    )
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def report(options: argparse.Namespace, results: dict[str, dict[str, Any]]) -> None:
    """The speeds, ours beside each peer, and the bounds."""
    of = decode_sides
    print(
        f"{options.family}: {of.LAYERS} layers of {of.HIDDEN}, vocabulary "
        f"{of.VOCAB:,}, prompt {of.PROMPT}, {of.NEW} new tokens, {options.threads} "
        f"threads; best of {options.rounds} processes x {options.repeats} runs, "
        f"tokens/s\n{named_processor()}"
    )
    print(
        f"{'':30}"
        + "".join(f"{case:>10}" for case in options.cases)
        + "  peak MiB  held"
    )
    for side, row in results.items():
        speeds = "".join(f"{row['speed'][case]:10.1f}" for case in options.cases)
        print(f"{side:30}{speeds}{row['peak']:10.0f}{row['held']:6.0f}")
    for side, other in RATIOS:
        if side in results and other in results:
            both = (results[side]["speed"], results[other]["speed"])
            cells = "".join(f"{both[0][c] / both[1][c]:10.2f}" for c in options.cases)
            print(f"{side + ' / ' + other:30}{cells}")
    ours = results.get("nlpcli")
    if ours is None:
        return
    cells = "".join(f"{ours['first'][case]:10.1f}" for case in options.cases)
    print(f"{'nlpcli, first call (s)':30}{cells}")
    machine = measure_machine(options.threads)
    weights = ours["weights"]
    reading = {case: reading_bound(case, weights, machine) for case in options.cases}
    both = {
        case: min(reading[case], arithmetic_bound(case, weights, machine))
        for case in options.cases
    }
    for name, bound in (("reading weights", reading), ("reading, arithmetic", both)):
        cells = "".join(f"{bound[case]:10.1f}" for case in options.cases)
        shares = [ours["speed"][case] / bound[case] for case in options.cases]
        print(f"{'bound: ' + name:30}{cells}")
        print(f"{'  nlpcli reaches':30}" + "".join(f"{x:10.0%}" for x in shares))
    print(
        f"the machine: reads {machine['read'] / 1e9:.1f} GB/s, copies "
        f"{machine['copy'] / 1e9:.1f} GB/s (numpy, 400 MB), multiplies "
        f"{machine['flops'] / 1e9:.0f} GFLOP/s; weights of a step "
        f"{4 * weights / 1e6:.0f} MB"
    )


def report_cache(options: argparse.Namespace) -> None:
    """First calls of two processes over one folder of compiled programs."""
    folder = Path(options.cache).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    flags = os.environ.get("TF_XLA_FLAGS", "").split()
    flags += [
        f"--tf_xla_persistent_cache_directory={folder}",
        "--tf_xla_persistent_cache_prefix=nlpcli",
    ]
    for name in ("filling the cache", "finding it full"):
        row = run_side("nlpcli", ["--repeats", "0"], {"TF_XLA_FLAGS": " ".join(flags)})
        cells = "".join(f"{row['first'][case]:10.1f}" for case in options.cases)
        print(f"{'first call, ' + name:30}{cells}  seconds")
    files = [item for item in folder.rglob("*") if item.is_file()]
    size = sum(item.stat().st_size for item in files)
    print(f"{len(files)} compiled programs, {size / 2**20:.1f} MiB")


def reading_bound(case: str, weights: int, machine: dict[str, float]) -> float:
    """Tokens/s if a step took the time to read all weights once."""
    return CASES[case][1] * machine["read"] / (4 * weights)


def arithmetic_bound(case: str, weights: int, machine: dict[str, float]) -> float:
    """Tokens/s if a step took the time of its products, without attention."""
    return machine["flops"] / (2 * weights * CASES[case][0])


if __name__ == "__main__":
    main()
