"""BERT's tables against a fabricated checkpoint and against transformers."""

import json

import numpy as np
import pytest

from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.rules import dump, load, resolve
from tests.bert_family import (
    MLM_RULES,
    NSP_RULES,
    POOLER_RULES,
    RULES,
    expected_shapes,
)
from tests.checkpoints.tiny_bert import (
    CONFIG,
    HIDDEN,
    hf_tensors,
    tf_tensors,
    write_hf,
)

WHOLE = {
    dialect: RULES[dialect]
    + POOLER_RULES[dialect]
    + MLM_RULES[dialect]
    + NSP_RULES[dialect]
    for dialect in ("hf", "tf")
}
SHAPES = {p: s for part in expected_shapes(CONFIG).values() for p, s in part.items()}


def test_every_tensor_finds_its_place(tmp_path):
    source = open_checkpoint(write_hf(tmp_path / "bert"))
    plan = resolve(WHOLE["hf"], SHAPES, source)
    assert not plan.gaps and not plan.unused and not plan.notes
    values = load(WHOLE["hf"], SHAPES, source)
    theirs = hf_tensors()
    x = np.random.default_rng(1).normal(size=HIDDEN).astype(np.float32)
    for name, path in (
        ("bert.encoder.layer.1.output.dense", "layer_1/feed_forward/output"),
        ("bert.pooler.dense", "pooler"),
        ("cls.predictions.transform.dense", "mlm/transform"),
        ("cls.seq_relationship", "nsp"),
    ):
        y = np.resize(x, theirs[f"{name}.weight"].shape[1])
        np.testing.assert_allclose(
            values[f"{path}/kernel"] @ y + values[f"{path}/bias"],
            theirs[f"{name}.weight"] @ y + theirs[f"{name}.bias"],
            rtol=1e-4,
            atol=1e-5,
        )
    np.testing.assert_array_equal(
        values["layer_2/attention/qkv/kernel"][HIDDEN : 2 * HIDDEN],
        theirs["bert.encoder.layer.2.attention.self.key.weight"],
    )
    np.testing.assert_array_equal(
        values["layer_0/attention_norm/gamma"],
        theirs["bert.encoder.layer.0.attention.output.LayerNorm.weight"],
    )


def test_the_dialects_are_two_spellings_of_one_model(tmp_path):
    values = load(WHOLE["hf"], SHAPES, open_checkpoint(write_hf(tmp_path / "bert")))
    written = dump(WHOLE["tf"], values)
    expected = tf_tensors()
    assert written.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(written[name], value, err_msg=name)
    again = dump(WHOLE["hf"], values)
    assert all(np.array_equal(again[n], v) for n, v in hf_tensors().items())


def test_a_layer_too_few_is_a_gap_for_each_of_its_variables(tmp_path):
    source = open_checkpoint(write_hf(tmp_path / "bert"))
    shapes = expected_shapes({**CONFIG, "num_hidden_layers": 4})["backbone"]
    gaps = resolve(RULES["hf"], shapes, source).gaps
    assert len(gaps) == 16 and all(gap.startswith("layer_3/") for gap in gaps)


def test_bare_names_and_gamma_beta(tmp_path):
    tensors = {
        name.removeprefix("bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in hf_tensors().items()
        if name.startswith("bert.") and "pooler" not in name
    }
    tensors["embeddings.position_ids"] = np.arange(12)[None]
    source = open_checkpoint(write_hf(tmp_path / "bert", tensors))
    plan = resolve(RULES["hf"], expected_shapes(CONFIG)["backbone"], source)
    assert not plan.gaps and not plan.unused and len(plan.notes) == 3


@pytest.mark.parity
@pytest.mark.parametrize(
    "model", ["BertForPreTraining", "BertModel", "BertForMaskedLM"]
)
@pytest.mark.parametrize("sharded", [False, True])
def test_what_transformers_saves_fits(tmp_path, model, sharded):
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(**CONFIG)
    theirs = getattr(transformers, model)(config)
    theirs.save_pretrained(tmp_path, max_shard_size="4KB" if sharded else "5GB")
    assert (tmp_path / "model.safetensors").exists() != sharded
    parts = expected_shapes(json.loads((tmp_path / "config.json").read_text()))
    wanted = {
        "BertForPreTraining": ("backbone", "pooler", "mlm", "nsp"),
        "BertModel": ("backbone", "pooler"),
        "BertForMaskedLM": ("backbone", "mlm"),
    }[model]
    targets = {path: shape for part in wanted for path, shape in parts[part].items()}
    plan = resolve(WHOLE["hf"], targets, open_checkpoint(tmp_path))
    assert not plan.gaps and not plan.unused
    values = load(WHOLE["hf"], targets, open_checkpoint(tmp_path))
    state = theirs.state_dict()
    prefix = "" if model == "BertModel" else "bert."
    np.testing.assert_array_equal(
        values["layer_1/feed_forward/output/kernel"],
        state[f"{prefix}encoder.layer.1.output.dense.weight"].numpy(),
    )


@pytest.mark.parity
def test_transformers_reads_what_we_write(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from nlpcli.checkpoints.hf_folder import write_hf_folder

    source = open_checkpoint(write_hf(tmp_path / "bert"))
    values = load(WHOLE["hf"], SHAPES, source)
    config = {**CONFIG, "architectures": ["BertForPreTraining"]}
    folder = write_hf_folder(tmp_path / "out", values, WHOLE["hf"], config)
    model, info = transformers.BertForPreTraining.from_pretrained(
        folder, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    state = model.state_dict()
    for name, value in hf_tensors().items():
        assert torch.equal(state[name], torch.from_numpy(value)), name
