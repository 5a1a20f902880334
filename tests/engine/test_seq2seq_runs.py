"""Recipes that write, trained from encoder-decoders through the command line."""

import json
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.text.tokenizers.load import tiny_tokenizer
from tests.t5_family import write_t5

SMALL = {
    "train.max_steps": 2,
    "train.batch_size": 4,
    "data.limit": 24,
    "data.dev_limit": 1,
    "data.max_length": 128,
    "runtime.tensorboard": False,
}
SHORT = {
    "task.passage_length": 80,
    "task.answer_length": 12,
    "task.question_length": 24,
}
CASES = [
    ("couplet", "t5-1.1", "hf", {}, "春风"),
    ("math-qa", "t5-1.0", "hf", {"task.expression_length": 12}, "小明有3个苹果和5个梨"),
    ("qa-gen", "pegasus", "tf", SHORT, "北京是中国的首都。"),
    ("couplet", "mt5", "tf", {"backbone.prune_vocab": False, "task.r_drop": 1.0}, "山"),
    (
        "couplet",
        "t5-1.0",
        "hf",
        {"task.corruption": 0.2, "task.tea_forn.n": 2, "backbone.num_hidden_layers": 1},
        "水",
    ),
]


def call(*words):
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done


def train(folder, out, recipe, flags):
    sets = [f"--set={key}={value}" for key, value in {**SMALL, **flags}.items()]
    return call("train", recipe, "--model", folder, "--no-xla", *sets, "--out", out)


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "form", "dialect", "flags", "text"), CASES)
def test_two_steps_then_scored_and_asked(tmp_path, recipe, form, dialect, flags, text):
    write_t5(tmp_path / "model", form, dialect, 0.05, tiny_tokenizer())
    done = train(tmp_path / "model", tmp_path / "run", recipe, flags)
    assert "starts fresh" not in done.stderr
    cut = "backbone.num_hidden_layers" in flags
    assert ("not used: encoder.block" in done.stderr) == cut
    scores = json.loads((tmp_path / "run/scores.json").read_text("utf-8"))
    assert scores["perplexity"] > 1
    kept = json.loads((tmp_path / "run/best/config.json").read_text("utf-8"))
    assert kept["num_decoder_layers"] == (2 if form == "pegasus" else 3)
    told = call("generate", recipe, "--run", tmp_path / "run", text)
    assert json.loads(told.stdout.splitlines()[0])["outputs"]
    if form != "pegasus":
        call("export", recipe, tmp_path / "hf", "--run", tmp_path / "run")
        assert_transformers_reads(tmp_path / "hf")


def assert_transformers_reads(folder):
    transformers = pytest.importorskip("transformers")
    model, told = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        folder, output_loading_info=True
    )
    assert not told["missing_keys"] and not told["unexpected_keys"]
    assert model.config.decoder_start_token_id == 0


@pytest.mark.parametrize(
    ("recipe", "flags", "told"),
    [
        ("couplet", {"task.model": "unilm"}, "task.model: expected auto"),
        ("dialog", {}, "an encoder and a decoder, which dialog does not take"),
        ("simbert", {}, "which simbert does not take"),
        ("ner", {}, "expected one stack, got an encoder and a decoder, which ner"),
    ],
)
def test_what_does_not_go_together_is_told(tmp_path, recipe, flags, told):
    write_t5(tmp_path / "model", "t5-1.1", "hf", 0.05, tiny_tokenizer())
    sets = [f"--set={key}={value}" for key, value in {**SMALL, **flags}.items()]
    words = ["train", recipe, "--model", tmp_path / "model", *sets]
    done = CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / "run")])
    assert done.exit_code == 3 and told in done.stderr
    assert not (tmp_path / "run").exists()


def test_one_stack_is_no_encoder_decoder(tmp_path):
    words = ["train", "couplet", "--set=task.model=seq2seq", "--out", tmp_path / "run"]
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 3 and "backbone.model has no decoder" in done.stderr


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    write_t5(tmp_path / "model", "t5-1.1", "hf", 0.05, tiny_tokenizer())
    sets = {**SMALL, "train.max_steps": 40, "train.save_every": 3, "train.epochs": 9}
    words = [sys.executable, "-m", "nlpcli", "train", "couplet", "--no-xla"]
    words += [f"--set={key}={value}" for key, value in sets.items()]
    words += ["--model", str(tmp_path / "model"), "--out"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert subprocess.run([*words, str(whole)], capture_output=True).returncode == 0
    killed = subprocess.Popen([*words, str(run)], stderr=subprocess.DEVNULL)
    while not (run / "last/state.json").exists():
        assert killed.poll() is None
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    done = subprocess.run(
        [*words[:5], "--resume", str(run)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for part in ("best", "last"):
        name = f"{part}/model.safetensors"
        assert (whole / name).read_bytes() == (run / name).read_bytes()
