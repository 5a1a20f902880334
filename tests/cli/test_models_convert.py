"""``models convert`` as a process: the report on stdout, what it does on stderr."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.checkpoints.tiny_bert import write_hf

ROOT = Path(__file__).resolve().parents[2]


def test_it_says_what_it_does_on_stderr(tmp_path):
    write_hf(tmp_path / "bert")
    done = subprocess.run(
        [sys.executable, "-m", "nlpcli", "models", "convert", "bert", "out", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "0"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    report = json.loads(done.stdout)
    assert report["parts"] == ["backbone", "pooler", "mlm", "nsp"]
    assert done.stderr.splitlines() == [
        "reading bert/model.safetensors (safetensors): backbone, pooler, mlm, nsp; "
        "wordpiece tokenizer of 30 tokens",
        f"out: written, {report['parameters']} parameters in float32",
    ]


def test_the_one_form_is_named(tmp_path):
    write_hf(tmp_path / "bert")
    asked = ["models", "convert", "bert", "out", "--to", "onnx"]
    done = subprocess.run(
        [sys.executable, "-m", "nlpcli", *asked],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 2 and "'hf'" in done.stderr
