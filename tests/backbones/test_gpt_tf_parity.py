"""GPT2_ML, and the TensorFlow names of CDial-GPT and CPM-LM, against bert4keras."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from nlpcli.backbones import family_of, recognise
from nlpcli.checkpoints.rules import dump
from nlpcli.engine.convert import convert_model
from nlpcli.engine.inspect import inspect
from nlpcli.engine.published import open_published
from nlpcli.engine.shapes import part_shapes
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint
from tests.backbones.decoder_forms import (
    POSITIONS,
    SPECIAL,
    VOCAB,
    our_logits,
    random_batch,
    write_vocab,
    writing_model,
)

CONFIG = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_hidden_layers": 12,  # layers of two digits
    "num_attention_heads": 4,
    "intermediate_size": 192,
    "max_position_embeddings": POSITIONS,
    "hidden_act": "gelu",
    "initializer_range": 0.02,
}
MODELS = {"gpt2_ml": "gpt2_ml", "gpt": "openai-gpt", "gpt2": "gpt2"}
MARKS = {
    "gpt2_ml": "newslm/layer11/context_projection_layer/kernel",
    "gpt": "gpt/transformer/layer_11/attention/output/LayerNorm/gamma",
    "gpt2": "gpt/transformer/layer_11/attention/input/LayerNorm/gamma",
}


def write_folder(folder, name):
    """A random checkpoint of TensorFlow, its configuration and a vocabulary."""
    folder.mkdir(exist_ok=True)
    raw = {**CONFIG, "model_type": MODELS[name]}
    (folder / "config.json").write_text(json.dumps(raw))
    family = family_of(MODELS[name])
    shapes = part_shapes(family, family.read(raw, "config.json", "tf"))
    rng = np.random.default_rng(1)
    values = {
        path: (path.endswith("gamma") + 0.2 * rng.normal(size=shape)).astype(np.float32)
        for path, shape in shapes.items()
    }
    tensors = dump(family.tables["backbone"]["tf"], values)
    assert MARKS[name] in tensors
    write_tf_checkpoint(folder / "model.ckpt-100", tensors)
    write_vocab(folder)
    return values


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_logits_equal_bert4keras(tmp_path, name):
    pytest.importorskip("bert4keras")
    write_folder(tmp_path, name)
    token_ids, real = random_batch()
    speakers = np.array([SPECIAL.index("[speaker1]"), SPECIAL.index("[speaker2]")])
    segments = np.random.default_rng(2).integers(0, 2, token_ids.shape)
    np.savez(
        tmp_path / "in.npz",
        token_ids=token_ids,
        segment_ids=speakers[segments],
        vocab_size=VOCAB,
    )
    script = Path(__file__).parent / "bert4keras_gpt.py"
    words = [tmp_path, tmp_path / "in.npz", tmp_path / "out.npz", name]
    done = subprocess.run(
        [sys.executable, script, *words], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = np.load(tmp_path / "out.npz")["logits"]
    model = writing_model(open_published(tmp_path))
    ours = our_logits(model, token_ids, real, segments if name == "gpt" else None)
    np.testing.assert_allclose(ours[real], expected[real], atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_tf_names_are_known_and_become_those_of_hugging_face(tmp_path, name):
    values = write_folder(tmp_path / "tf", name)
    report = inspect(tmp_path / "tf")
    assert (report.family, report.dialect, report.loads) == (MODELS[name], "tf", True)
    assert recognise({}, open_published(tmp_path / "tf").source.describe()).family
    convert_model(tmp_path / "tf", tmp_path / "hf")
    report = inspect(tmp_path / "hf")
    assert (report.family, report.dialect, report.loads) == (MODELS[name], "hf", True)
    token_ids, real = random_batch()
    one, other = (
        our_logits(writing_model(open_published(tmp_path / form)), token_ids, real)
        for form in ("tf", "hf")
    )
    np.testing.assert_array_equal(one, other)
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    fused = tensors["transformer.h.11.attn.c_attn.weight"]
    assert (values["layer_11/attention/qkv/kernel"] == fused.T).all()


@pytest.mark.parity
def test_a_pytorch_copy_of_gpt2_ml_says_gpt2_and_is_told_by_its_names(tmp_path):
    """Such as ghosthamlet/gpt2-ml-torch: GPT-2's keys, and no norm at the end."""
    write_folder(tmp_path / "tf", "gpt2_ml")
    convert_model(tmp_path / "tf", tmp_path / "hf")
    path = tmp_path / "hf" / "config.json"
    keys = {
        "model_type": "gpt2",
        "vocab_size": VOCAB,
        "n_embd": 48,
        "n_layer": 12,
        "n_head": 4,
        "n_inner": 192,
        "n_positions": POSITIONS,
    }
    told = json.loads(path.read_text())
    assert open_published(tmp_path / "hf").config.norm_place == "between"
    path.write_text(json.dumps(keys))
    assert open_published(tmp_path / "hf").family.name == told["model_type"]
    token_ids, real = random_batch()
    one, other = (
        our_logits(writing_model(open_published(tmp_path / form)), token_ids, real)
        for form in ("tf", "hf")
    )
    np.testing.assert_array_equal(one, other)
