"""A killed training goes on where it was and ends with the same bits."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

STEPS = 40
COMMON = [
    *("--max-steps", str(STEPS), "--batch-size", "8", "--set", "data.limit=120"),
    *("--set", "train.save_every=3", "--set", "train.accumulate=2"),
    *("--set", "train.ema=0.9", "--set", "train.eval_every=10"),
]


def nlpcli(*words):
    return [sys.executable, "-m", "nlpcli", "train", "ner", *words]


def start(out):
    return subprocess.Popen(
        nlpcli("--out", str(out), *COMMON),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def wait_for_step(run, step, process):
    state = run / "last" / "state.json"
    for _ in range(4000):  # a loaded machine takes a minute to begin
        try:
            if json.loads(state.read_text())["step"] >= step:
                return
        except (OSError, ValueError):
            pass
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        time.sleep(0.05)
    raise AssertionError("the training never got that far")


def weights_of(run):
    return [
        (run / part / "model.safetensors").read_bytes() for part in ("best", "last")
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    process = start(out)
    assert process.wait(timeout=250) == 0, process.stderr.read().decode()[-2000:]
    return weights_of(out)


CODES = {
    signal.SIGKILL: -signal.SIGKILL,
    signal.SIGINT: 130,
    signal.SIGTERM: 143,
    signal.SIGHUP: 129,
}


@pytest.mark.slow
@pytest.mark.parametrize("sent", CODES)
def test_same_weights_after_a_kill(tmp_path, undisturbed, sent):
    run = tmp_path / "run"
    process = start(run)
    wait_for_step(run, random.Random().randint(3, STEPS // 2), process)
    process.send_signal(sent)
    assert process.wait(timeout=120) == CODES[sent]
    status = json.loads((run / "run.json").read_text())["status"]
    assert status == ("running" if sent == signal.SIGKILL else "interrupted")
    done = subprocess.run(
        nlpcli("--resume", str(run)), capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert weights_of(run) == undisturbed
    steps = [
        json.loads(line).get("step")
        for line in (run / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps) and steps[-1] == STEPS

    again = subprocess.run(
        nlpcli("--resume", str(run)), capture_output=True, text=True, timeout=100
    )
    assert again.returncode == 2
    assert "finished; nothing to resume" in again.stderr


def test_a_folder_that_is_no_run(tmp_path):
    done = subprocess.run(
        nlpcli("--resume", str(tmp_path)), capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 6
    assert done.stderr.count("\n") == 1
