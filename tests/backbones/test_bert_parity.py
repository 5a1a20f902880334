"""The BERT backbone against transformers and bert4keras, from both file formats."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.rules import dump, load
from nlpcli.engine.published import backbone_variables, open_published, open_source
from nlpcli.errors import CheckpointError
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint
from tests.bert_family import POOLER_RULES, RULES, load_folder
from tests.checkpoints.tiny_bert import CONFIG, write_hf

SIZES = [
    {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2},
    {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4},
    {"hidden_size": 96, "num_hidden_layers": 5, "num_attention_heads": 12},
]


def config_of(size, activation="gelu"):
    return {
        "vocab_size": 70,
        "intermediate_size": 3 * size["hidden_size"],
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
        "hidden_act": activation,
        # Larger than in life, so that a wrong formula shows.
        "initializer_range": 0.2,
        **size,
    }


def batch(seed=0, rows=4, length=17):
    rng = np.random.default_rng(seed)
    lengths = np.array([length, 9, 3, 1])[:rows]
    mask = np.arange(length) < lengths[:, None]
    token_ids = np.where(mask, rng.integers(1, 70, (rows, length)), 0)
    segments = np.where(mask, rng.integers(0, 2, (rows, length)), 0)
    return token_ids.astype(np.int32), segments.astype(np.int32), mask


@pytest.mark.parity
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_hidden_states_and_pooler_equal_transformers(tmp_path, size, activation):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(**config_of(size, activation))
    theirs = transformers.BertModel(config).eval()
    theirs.save_pretrained(tmp_path)
    token_ids, segment_ids, mask = batch()
    source = open_source(tmp_path)
    backbone = Transformer(open_published(tmp_path).config, pooler=True)
    variables = backbone_variables(backbone)
    shapes = {path: tuple(v.shape) for path, v in variables.items()}
    for path, value in load(RULES["hf"] + POOLER_RULES["hf"], shapes, source).items():
        variables[path].assign(value)
    ours = backbone(token_ids, segment_ids=segment_ids, padding_mask=mask)
    with torch.no_grad():
        reference = theirs(
            torch.tensor(token_ids, dtype=torch.long),
            token_type_ids=torch.tensor(segment_ids, dtype=torch.long),
            attention_mask=torch.tensor(mask).long(),
        )
    expected = reference.last_hidden_state.numpy()
    np.testing.assert_allclose(np.asarray(ours)[mask], expected[mask], atol=1e-4)
    np.testing.assert_allclose(
        np.asarray(backbone.pool(ours)), reference.pooler_output.numpy(), atol=1e-4
    )


def write_google_folder(folder, config):
    """A random Google checkpoint with optimizer slots, and its configuration."""
    keras.utils.set_random_seed(7)
    values = {
        path: np.asarray(variable)
        for path, variable in backbone_variables(
            Transformer(TransformerConfig.from_dict(config, "test"))
        ).items()
    }
    rng = np.random.default_rng(1)
    for path, value in values.items():
        if path.endswith(("bias", "beta")):
            values[path] = rng.normal(size=value.shape).astype(np.float32)
    tensors = dump(RULES["tf"], values)
    slots = {f"{name}/adam_m": value * 0 for name, value in tensors.items()}
    write_tf_checkpoint(folder / "bert_model.ckpt", {**tensors, **slots})
    (folder / "bert_config.json").write_text(json.dumps(config))
    return values


@pytest.mark.parity
def test_google_checkpoint_equals_bert4keras(tmp_path):
    pytest.importorskip("bert4keras")
    write_google_folder(tmp_path, {**config_of(SIZES[1]), "initializer_range": 0.02})
    token_ids, segment_ids, mask = batch()
    np.savez(tmp_path / "in.npz", token_ids=token_ids, segment_ids=segment_ids)
    script = Path(__file__).parent / "bert4keras_states.py"
    done = subprocess.run(
        [
            sys.executable,
            str(script),
            str(tmp_path),
            str(tmp_path / "in.npz"),
            str(tmp_path / "out.npz"),
            "bert",
            "encoder",
        ],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ours = load_folder(tmp_path)(token_ids, segment_ids=segment_ids, padding_mask=mask)
    expected = np.load(tmp_path / "out.npz")["encoder"]
    np.testing.assert_allclose(np.asarray(ours)[mask], expected[mask], atol=1e-4)


def test_google_and_hugging_face_files_of_one_model_agree(tmp_path):
    from nlpcli.checkpoints.hf_folder import write_hf_folder

    google = tmp_path / "google"
    google.mkdir()
    config = config_of(SIZES[0])
    values = write_google_folder(google, config)
    # Google's "gelu" is the tanh form, so its Hugging Face twin says gelu_new.
    hf_config = {**config, "model_type": "bert", "hidden_act": "gelu_new"}
    write_hf_folder(tmp_path / "hf", values, RULES["hf"], hf_config)
    token_ids, segment_ids, mask = batch()
    one, other = (
        np.asarray(model(token_ids, segment_ids=segment_ids, padding_mask=mask))
        for model in (load_folder(google), load_folder(tmp_path / "hf"))
    )
    np.testing.assert_array_equal(one, other)


def test_padding_changes_nothing():
    keras.utils.set_random_seed(0)
    backbone = Transformer(TransformerConfig.from_dict(config_of(SIZES[0]), "test"))
    token_ids, _, mask = batch()
    together = np.asarray(backbone(token_ids, padding_mask=mask))
    for row, length in enumerate(mask.sum(1)):
        alone = np.asarray(backbone(token_ids[row : row + 1, :length]))
        np.testing.assert_allclose(together[row, :length], alone[0], atol=2e-5)


def test_attention_equals_ten_lines_of_numpy():
    from nlpcli.layers.attention import SelfAttention
    from nlpcli.layers.look import Look

    keras.utils.set_random_seed(1)
    layer = SelfAttention(12, 3, initializer_range=0.5)
    layer.build()
    x = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    bias = np.where(mask, 0.0, -1e9)
    q, k, v = np.split(x @ layer.qkv.kernel.numpy().T, 3, axis=-1)
    out = np.zeros_like(x)
    for b in range(2):
        for h in range(3):
            part = slice(4 * h, 4 * h + 4)
            scores = q[b, :, part] @ k[b, :, part].T / 2.0 + bias[b]
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            out[b, :, part] = weights @ v[b, :, part]
    expected = out @ layer.projection.kernel.numpy().T
    rows, _ = layer.walk(x, Look(mask[:, None, None]))
    found = np.asarray(layer.projection.finish(rows, x))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "missing key hidden_size"),
        ({"hidden_size": "24"}, "hidden_size: expected int, got '24'"),
        ({"vocab_size": -1}, "vocab_size: expected a positive size, got -1"),
        ({"num_attention_heads": 5}, "is not a multiple of num_attention_heads 5"),
        ({"hidden_act": "mish"}, "hidden_act: expected one of"),
    ],
)
def test_an_absurd_configuration_is_explained(change, message):
    values = {k: v for k, v in (config_of(SIZES[0]) | change).items() if v is not None}
    with pytest.raises(CheckpointError, match=message):
        TransformerConfig.from_dict(values, "config.json")


def test_another_family_is_refused(tmp_path):
    write_hf(tmp_path / "x", config={**CONFIG, "model_type": "big_bird"})
    with pytest.raises(CheckpointError, match=r"found big_bird .*not supported yet"):
        open_published(tmp_path / "x")
