"""Bad input through the real command: one clear line, its exit code, nothing lost."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.config.loader import resolve
from nlpcli.engine.export import export_run
from nlpcli.engine.train import train
from nlpcli.runtime.step import TrainStep

GOOD = {"text": "王小明在北京", "entities": [{"start": 0, "end": 3, "label": "PER"}]}
QUICK = ["--max-steps", "2", "--set", "data.limit=64"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run, good enough to find some entities."""
    config = resolve("ner", flags={"train.max_steps": 80, "train.lr": 1e-3})
    return train(config, out=tmp_path_factory.mktemp("runs") / "run").run


@pytest.fixture(scope="module")
def model_folder(run, tmp_path_factory):
    """A small published model: the run's encoder as a Hugging Face folder."""
    folder = tmp_path_factory.mktemp("models") / "model"
    export_run(run, folder)
    return folder


def nlpcli(*words, stdin=None):
    return CliRunner().invoke(app, [str(w) for w in words], input=stdin)


def assert_fails(done, code, *needles, lines=1):
    assert done.exit_code == code, done.output
    errors = [
        line for line in done.stderr.splitlines() if line.startswith("nlpcli: error")
    ]
    assert len(errors) == lines, done.stderr
    for needle in needles:
        assert needle in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def data_file(tmp_path, *rows, name="train.jsonl"):
    path = tmp_path / name
    path.write_text(
        "".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in rows),
        encoding="utf-8",
    )
    return path


def entity(start, end, label="PER"):
    return {"start": start, "end": end, "label": label}


BAD_LINES = {
    "broken JSON": ('{"text": "王\n', "expected a JSON object"),
    "span outside": ({"text": "王", "entities": [entity(0, 9)]}, "9"),
    "overlap": (
        {"text": "王小明在", "entities": [entity(0, 3), entity(2, 4, "LOC")]},
        "task.head=global-pointer",
    ),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_named_by_its_number(tmp_path, case):
    bad, needle = BAD_LINES[case]
    path = data_file(tmp_path, *[GOOD] * 1041, bad, GOOD)
    done = nlpcli("train", "ner", "--data", path, "--out", tmp_path / "out", *QUICK[:2])
    assert_fails(done, 4, "train.jsonl:1042", needle)
    assert not (tmp_path / "out").exists()


def test_bad_lines_are_skipped_and_counted_when_asked(tmp_path):
    path = data_file(tmp_path, *[GOOD] * 40, BAD_LINES["overlap"][0], '{"text"\n')
    done = nlpcli(
        *("train", "ner", "--data", path, "--dev", data_file(tmp_path, GOOD, name="d")),
        *("--skip-bad", "--out", tmp_path / "out", *QUICK[:2]),
    )
    assert done.exit_code == 0, done.output
    assert "2 bad lines skipped" in done.stderr


def test_missing_and_empty_files(tmp_path):
    done = nlpcli("train", "ner", "--data", tmp_path / "no.jsonl")
    assert_fails(done, 6, "no.jsonl: no such file")
    empty = data_file(tmp_path)
    assert_fails(nlpcli("train", "ner", "--data", empty), 4, "train.jsonl")
    done = nlpcli("predict", "ner", "--run", tmp_path, "王")
    assert_fails(done, 6)


def test_a_dev_label_that_training_lacks(tmp_path):
    dev = data_file(
        tmp_path,
        GOOD,
        {"text": "王", "entities": [entity(0, 1, "X")]},
        name="dev.jsonl",
    )
    done = nlpcli(
        *("train", "ner", "--data", data_file(tmp_path, *[GOOD] * 9), "--dev", dev)
    )
    assert_fails(done, 4, "dev.jsonl:2", "PER", "'X'")


def test_all_configuration_errors_at_once():
    done = nlpcli("train", "ner", "--set", "train.epoch=3", "--set", "train.lr=fast")
    assert_fails(done, 3, "did you mean train.epochs?", "expected number", lines=2)


def test_an_unknown_model_and_a_longer_window_than_positions(model_folder):
    done = nlpcli("train", "ner", "--model", "robert-wwm-ext", "--offline", *QUICK)
    assert_fails(done, 6, "roberta-wwm-ext")
    done = nlpcli(
        *("train", "ner", "--model", model_folder, "--set", "data.max_length=513"),
        *QUICK,
    )
    assert_fails(done, 3, "513", "512")


def spoil_tensor(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def missing(folder):
    spoil_tensor(
        folder, lambda t: t.pop(next(n for n in t if "layer.1.output.dense.w" in n))
    )


def reshaped(folder):
    def change(tensors):
        name = next(n for n in tensors if "layer.0.intermediate.dense.bias" in n)
        tensors[name] = np.zeros(7, np.float32)

    spoil_tensor(folder, change)


def other_vocabulary(folder):
    with (folder / "vocab.txt").open("a", encoding="utf-8") as out:
        out.write("新词\n")


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def absurd(folder):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")


SPOILERS = {
    missing: "layer_1/feed_forward/output/kernel",
    reshaped: "(7,)",
    other_vocabulary: "vocabulary",
    truncated: "model.safetensors",
    absurd: "model.safetensors",
}


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda f: f.__name__)
def test_a_checkpoint_that_does_not_fit(model_folder, tmp_path, spoil):
    folder = tmp_path / "model"
    folder.mkdir()
    for path in model_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    spoil(folder)
    out = tmp_path / "out"
    done = nlpcli("train", "ner", "--model", folder, "--out", out, *QUICK)
    assert_fails(done, 5, SPOILERS[spoil])
    assert not out.exists()


def test_an_output_that_holds_a_run_is_refused_at_once(run):
    before = (run / "best" / "model.safetensors").read_bytes()
    done = nlpcli("train", "ner", "--out", run, *QUICK)
    assert_fails(done, 2, "--force", "--resume")
    assert (run / "best" / "model.safetensors").read_bytes() == before


def test_memory_and_divergence_have_their_codes(tmp_path, monkeypatch):
    done = nlpcli(
        *("train", "ner", "--out", tmp_path / "a", "--lr", "1e30"),
        *("--set", "train.head_lr=1e30", "--set", "train.warmup=0", *QUICK),
        *("--max-steps", "9"),
    )
    assert_fails(done, 8, "step ", "first non-finite value")

    def exhausted(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(TrainStep, "__call__", exhausted)
    done = nlpcli("train", "ner", "--out", tmp_path / "b", *QUICK)
    assert_fails(done, 7, "16 rows of", "train.batch_size", "train.accumulate")


@pytest.mark.slow
def test_disk_full_keeps_the_last_checkpoint_whole(tmp_path):
    script = (
        "import resource, sys;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, 8_000_000));"
        "sys.argv = ['nlpcli', *sys.argv[1:]];"
        "from nlpcli.cli.main import run; run()"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", script, "train", "ner", "--out", tmp_path / "out"),
            *("--max-steps", "4", "--set", "train.save_every=2"),
        ],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("nlpcli: error") and "space" in last, done.stderr
    assert not list((tmp_path / "out").glob("*/optimizer.safetensors"))


STRANGE = [
    "",
    "王小明在北京大学读书。" * 9100,
    "😀👩‍👩‍👧‍👦🎉",
    "ＡＢＣ１２３在北京",
    "北\x00京",
    "\ud800在北京\udfff",
    "a" * 100_000,
    "   \t",
]


def test_strange_lines_are_answered_and_the_stream_goes_on(run):
    lines = "".join(
        json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(STRANGE)
    )
    done = nlpcli("predict", "ner", "--run", run, "--batch-size", "4", stdin=lines)
    assert done.exit_code == 0, done.output
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == list(range(len(STRANGE)))
    for text, answer in zip(STRANGE, answers, strict=True):
        assert answer["text"] == text
        for found in answer["entities"]:
            assert text[found["start"] : found["end"]] == found["text"]
    long = answers[1]["entities"]
    assert len(long) > 1000, "windows of a long text are answered to its end"
    assert long[-1]["end"] > len(STRANGE[1]) - 20
    # Away from the borders, each repetition is answered as every other.
    per_sentence = {}
    for found in long:
        place = found["start"] % 11, found["end"] % 11, found["label"]
        per_sentence[place] = per_sentence.get(place, 0) + 1
    assert max(per_sentence.values()) > 9000
    assert answers[0]["entities"] == answers[7]["entities"] == []


def test_a_line_that_does_not_decode(run, tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes("在北京\n".encode() + b"\xff\xfe\n" + "在上海\n".encode())
    done = nlpcli("predict", "ner", "--run", run, "--input", path)
    assert_fails(done, 4, "in.txt:2")
    done = nlpcli("predict", "ner", "--run", run, "--input", path, "--on-error", "skip")
    assert done.exit_code == 4
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [("error" in row) for row in rows] == [False, True, False]
