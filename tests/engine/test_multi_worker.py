"""Two worker processes on loopback end with the weights of one process."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

COMMON = [
    *("--max-steps", "5", "--batch-size", "8", "--set", "backbone.dropout=0"),
    *("--set", "data.limit=64", "--set", "data.max_length=64"),
]


def command(out, *more):
    return [
        *(sys.executable, "-m", "nlpcli", "train", "ner", "--out", str(out)),
        *(*COMMON, *more),
    ]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.mark.slow
def test_two_workers_make_the_weights_of_one(tmp_path):
    subprocess.run(command(tmp_path / "one"), check=True, timeout=200)
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = [
        subprocess.Popen(
            command(tmp_path / "two", "--strategy", "multi-worker"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "TF_CONFIG": json.dumps(
                    {
                        "cluster": {"worker": hosts},
                        "task": {"type": "worker", "index": index},
                    }
                ),
            },
        )
        for index in range(2)
    ]
    outputs = [worker.communicate(timeout=250) for worker in workers]
    for worker, (_, errors) in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, errors[-2000:]
    one = load_file(tmp_path / "one/last/model.safetensors")
    two = load_file(tmp_path / "two/last/model.safetensors")
    assert one.keys() == two.keys()
    # Adam divides a gradient by its size: where that is rounding, so is the step.
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], rtol=2e-3, atol=1e-4, err_msg=name)
    written = json.loads((tmp_path / "two/environment.json").read_text())
    assert written["replicas"] == 2
    # The run that the user named is the chief's; the others leave none behind.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]
