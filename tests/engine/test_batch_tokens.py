"""Training by tokens: what it tells, keeps and compiles."""

import json
import logging

import pytest

from nlpcli.config.loader import load_config, resolve
from nlpcli.engine.train import train

SMALL = {
    "data.limit": 80,
    "data.dev_limit": 8,
    "data.max_length": 64,
    "backbone.hidden_size": 32,
    "backbone.num_hidden_layers": 1,
    "train.batch_tokens": 400,
    "train.epochs": 1,
    "runtime.tensorboard": False,
}


def run(out, **flags):
    result = train(resolve("ner", flags={**SMALL, **flags}), out=out)
    environment = json.loads((out / "environment.json").read_text())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    (last,) = (line for line in lines if "loss" in line and line["step"] % 10)
    return result, environment, last


def test_the_share_of_padding_is_told_and_kept(tmp_path, caplog):
    caplog.set_level(logging.INFO, "nlpcli")
    result, environment, _ = run(tmp_path / "run")
    assert result.status == "finished"
    share = environment["padding"]
    assert 0.0 < share < 0.2
    assert f"padding {100 * share:.0f} % of tokens" in caplog.messages
    options = load_config(tmp_path / "run/config.yaml").train
    assert (options.batch_size, options.batch_tokens) == (None, 400)


@pytest.mark.slow
def test_whole_programs_are_no_more_than_buckets(tmp_path):
    flags = {"runtime.xla": "on", "runtime.buckets": 2}
    _, environment, last = run(tmp_path / "run", **flags)
    assert last["programs"] <= len(environment["buckets"]) == 2
