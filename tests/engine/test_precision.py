"""Precision, XLA and seeds through the whole training."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from nlpcli.config.loader import resolve
from nlpcli.engine.train import train
from tests.slow import first_is_quick


def run(out, **flags):
    names = {"train.max_steps": 30, "train.lr": 1e-3, "data.limit": 160, **flags}
    result = train(resolve("ner", flags=names), out=out)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    return result, [row for row in rows if "loss" in row]


@pytest.mark.parametrize("precision", first_is_quick(["bfloat16", "float16"]))
def test_half_precision_learns(tmp_path, precision):
    result, rows = run(tmp_path / "run", **{"runtime.precision": precision})
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    weights = load_file(result.run / "best/model.safetensors")
    assert all(v.dtype == np.float32 and np.isfinite(v).all() for v in weights.values())
    environment = json.loads((result.run / "environment.json").read_text())
    assert environment["precision"] == precision


@pytest.mark.slow
def test_xla_compiles_no_more_programs_than_buckets(tmp_path):
    flags = {"runtime.xla": "on", "runtime.buckets": 2, "train.max_steps": 20}
    _, rows = run(tmp_path / "run", **flags)
    assert rows[-1]["programs"] <= 2
    _, dynamic = run(tmp_path / "plain", **{"runtime.xla": "off"})
    assert dynamic[-1]["programs"] == 1


@pytest.mark.slow
def test_same_seed_same_bits_other_seed_others(tmp_path):
    results = [
        run(tmp_path / str(i), seed=seed, **{"train.max_steps": 8})[0].run
        for i, seed in enumerate((1, 1, 2))
    ]
    first, second, other = (
        (path / "last/model.safetensors").read_bytes() for path in results
    )
    assert first == second != other


def test_tensorboard_reads_the_events(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result, rows = run(tmp_path / "run", **{"train.max_steps": 10})
    events = EventAccumulator(str(result.run / "tensorboard"))
    events.Reload()
    assert {"train/loss", "dev/f1"} <= set(events.Tags()["scalars"])
    (loss,) = events.Scalars("train/loss")
    assert loss.step == 10 and loss.value == pytest.approx(rows[-1]["loss"], rel=1e-5)
