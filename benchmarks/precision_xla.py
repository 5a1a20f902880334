"""Precision by XLA: tokens a second of a training step, on whatever device runs it.

    python benchmarks/precision_xla.py [--layers 4 --hidden 384 --batch 16 --length 64]

Random weights, one shape, ner's CRF on top; the first step (tracing and compiling)
apart. Each cell runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

PRECISIONS = ("float32", "bfloat16", "float16")


def main() -> None:
    """Run every cell and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--cell", nargs=2, metavar=("PRECISION", "XLA"))
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(measure(options, *options.cell)))
        return
    print(f"{'precision':10}{'xla':>5}{'tokens/s':>10}{'first step':>12}{'loss':>9}")
    for precision in PRECISIONS:
        for xla in ("off", "on"):
            command = [
                sys.executable, __file__, *sys.argv[1:], "--cell", precision, xla
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1][:60]
                print(f"{precision:10}{xla:>5}  failed: {reason}")
                continue
            row = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{precision:10}{xla:>5}{row['tokens']:10.0f}{row['first']:11.1f}s"
                f"{row['loss']:9.3f}",
                flush=True,
            )
    print(row["device"])


def measure(options: argparse.Namespace, precision: str, xla: str) -> dict[str, object]:
    """One cell."""
    import numpy as np
    import tensorflow as tf

    from nlpcli.backbones.config import TransformerConfig
    from nlpcli.backbones.transformer import Transformer
    from nlpcli.config import RuntimeOptions, TrainOptions
    from nlpcli.heads.crf import CrfHead
    from nlpcli.heads.task_model import TaskModel
    from nlpcli.runtime.device import open_device
    from nlpcli.runtime.loss import model_loss, tape
    from nlpcli.runtime.optimizer import AdamW
    from nlpcli.runtime.step import LossScale, TrainStep

    runtime = RuntimeOptions(precision=precision, xla=xla, deterministic=False)
    device = open_device(runtime, 0)
    config = TransformerConfig(
        vocab_size=8000,
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 32,
        intermediate_size=4 * options.hidden,
    )
    head = CrfHead(7, name="tags")
    head.build((None, None, options.hidden))
    model = TaskModel(Transformer(config), {"tags": head}, {"tags": "tags"})
    train = TrainOptions(lr=1e-4)
    optimizer = AdamW(model.parameters(), train)
    gradient = tape(model_loss(model), optimizer.variables)
    step = TrainStep(gradient, optimizer, device.strategy, 1.0, device.xla)
    rng = np.random.default_rng(0)
    shape = (options.batch, options.length)
    batch = {
        "token_ids": tf.constant(rng.integers(0, 8000, shape), tf.int32),
        "padding_mask": tf.ones(shape, tf.bool),
        "tags": tf.constant(rng.integers(0, 7, shape), tf.int32),
    }
    scale = LossScale(precision == "float16")

    def run(number: int) -> float:
        result = step([batch], 1e-3, optimizer.host_scalars(number), scale.value)
        scale.update(result.finite)
        return result.loss

    started = time.perf_counter()
    run(1)
    first = time.perf_counter() - started
    run(2)
    started = time.perf_counter()
    for number in range(options.steps):
        loss = run(3 + number)
    seconds = (time.perf_counter() - started) / options.steps
    tokens = options.batch * options.length / seconds
    name = ", ".join(d.name for d in tf.config.list_logical_devices())
    return {"tokens": tokens, "first": first, "loss": loss, "device": name}


if __name__ == "__main__":
    main()
