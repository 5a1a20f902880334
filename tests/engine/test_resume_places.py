"""Wherever a training stops, it ends as if it had not: weights, scores and curves."""

import json
import os
import signal

import pytest

from nlpcli.config.loader import resolve
from nlpcli.engine.loop import Loop
from nlpcli.engine.train import train
from nlpcli.runtime.step import TrainStep
from tests.slow import first_is_quick

STEPS = 12  # 40 sentences in batches of 8: an epoch ends at 5 and at 10
COMMON = {
    "data.limit": 40,
    "data.dev_limit": 16,
    "data.max_length": 64,
    "backbone.hidden_size": 32,
    "backbone.num_hidden_layers": 1,
    "train.batch_size": 8,
    "train.max_steps": STEPS,
    "train.save_every": 3,
    "train.lr": 3e-3,
    "runtime.tensorboard": False,
}
BY_TOKENS = {"train.batch_size": None, "train.batch_tokens": 300}
PLANS = {
    "plain": {},
    "by tokens": BY_TOKENS,
    "by tokens, streamed, accumulated": {
        **BY_TOKENS,
        "train.accumulate": 2,
        "data.cache_examples": 9,
        "data.shuffle_buffer": 17,
    },
    "by tokens, in islands": {
        **BY_TOKENS,
        "train.batch_tokens": 96,
        "data.max_length": 16,  # few lengths to compile for
        "data.stride": 4,
        "backbone.num_hidden_layers": 6,
    },
    "evaluated inside epochs": {"train.eval_every": 4},
    "accumulated and averaged": {"train.accumulate": 2, "train.ema": 0.9},
    "streamed": {"data.cache_examples": 9, "data.shuffle_buffer": 17},
    "float16": {"runtime.precision": "float16"},
    "global pointer": {"task.head": "global-pointer"},
}
TIMED = {"seconds", "tokens_per_second", "eval_seconds", "programs"}


class Killed(BaseException):
    """Ends a training in the middle of whatever it does."""


def options(plan):
    return resolve("ner", flags={**COMMON, **PLANS[plan]})


def outcome(run):
    """Everything of a run that does not depend on the clock."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    state = json.loads((run / "last/state.json").read_text())
    return {
        **{
            name: (run / name).read_bytes()
            for name in (
                "best/model.safetensors",
                "last/model.safetensors",
                "last/optimizer.safetensors",
                "scores.json",
            )
        },
        "state": {k: v for k, v in state.items() if k not in TIMED},
        "metrics": [{k: v for k, v in row.items() if k not in TIMED} for row in rows],
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The outcome of a plan that nothing disturbs, trained once."""
    known = {}

    def find(plan):
        if plan not in known:
            out = tmp_path_factory.mktemp("undisturbed") / "run"
            assert train(options(plan), out=out).status == "finished"
            known[plan] = outcome(out)
        return known[plan]

    return find


def stop_in_step(monkeypatch, step, stop):
    """Have ``stop`` called inside a training step, after the update."""
    whole, calls = TrainStep.__call__, []

    def disturbed(self, *values):
        result = whole(self, *values)
        calls.append(1)
        if len(calls) == step:
            stop()
        return result

    monkeypatch.setattr(TrainStep, "__call__", disturbed)


def stop_in_evaluation(monkeypatch, number):
    whole, calls = Loop._evaluate, []

    def disturbed(self):
        calls.append(1)
        if len(calls) == number:
            raise Killed
        return whole(self)

    monkeypatch.setattr(Loop, "_evaluate", disturbed)


def kill():
    raise Killed


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def assert_resumes(run, expected):
    assert train(options("plain"), resume=run).status == "finished"
    found = outcome(run)
    for name, value in expected.items():
        assert found[name] == value, name


@pytest.mark.parametrize("plan", first_is_quick(list(PLANS)))
def test_killed_in_a_step(plan, undisturbed, tmp_path, monkeypatch):
    expected = undisturbed(plan)
    with monkeypatch.context() as patched:
        stop_in_step(patched, 8, kill)
        with pytest.raises(Killed):
            train(options(plan), out=tmp_path / "run")
    assert_resumes(tmp_path / "run", expected)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("plan", ["plain", "evaluated inside epochs"])
def test_killed_in_an_evaluation(plan, number, undisturbed, tmp_path, monkeypatch):
    expected = undisturbed(plan)
    with monkeypatch.context() as patched:
        stop_in_evaluation(patched, number)
        with pytest.raises(Killed):
            train(options(plan), out=tmp_path / "run")
    assert_resumes(tmp_path / "run", expected)


@pytest.mark.parametrize("step", first_is_quick([4, 5, 7, STEPS]))
@pytest.mark.parametrize("plan", first_is_quick(["plain", "evaluated inside epochs"]))
def test_interrupted_after_a_step(plan, step, undisturbed, tmp_path, monkeypatch):
    expected = undisturbed(plan)
    with monkeypatch.context() as patched:
        stop_in_step(patched, step, interrupt)
        assert train(options(plan), out=tmp_path / "run").status == "interrupted"
    assert_resumes(tmp_path / "run", expected)
