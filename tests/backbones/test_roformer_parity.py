"""RoFormer and its second version: transformers, bert4keras and plain numpy."""

import json

import numpy as np
import pytest

from nlpcli.backbones import family_of, recognise
from nlpcli.checkpoints.safetensors import SafetensorsSource
from nlpcli.engine.convert import convert_model
from nlpcli.engine.inspect import inspect
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError
from tests.backbones.opened import (
    Opened,
    batch_of,
    bert4keras,
    write_google,
    write_vocab,
)

CONFIG = {
    "vocab_size": 70,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    # Larger than in life, so that a wrong formula shows.
    "initializer_range": 0.2,
}
TOLD = {"model_type": "roformer"}
ROFORMER, V2 = family_of("roformer"), family_of("roformer_v2")
PARTS = ("backbone", "pooler", "mlm")


@pytest.fixture
def transformers():
    pytest.importorskip("torch")
    return pytest.importorskip("transformers")


def theirs(model, batch, mask=True):
    """Hidden states and, where it has a head, logits of transformers' model."""
    import torch

    with torch.no_grad():
        found = model.eval()(
            torch.tensor(batch["token_ids"], dtype=torch.long),
            token_type_ids=torch.tensor(batch["segment_ids"], dtype=torch.long),
            attention_mask=torch.tensor(batch["padding_mask"]).long() if mask else None,
            output_hidden_states=True,
        )
    return found.hidden_states[-1].numpy(), found.get("logits")


@pytest.mark.parity
@pytest.mark.parametrize("width", [48, 24])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_hugging_face_files_and_back(transformers, tmp_path, width, activation):
    config = transformers.RoFormerConfig(
        **{**CONFIG, "hidden_act": activation}, embedding_size=width
    )
    model = transformers.RoFormerForMaskedLM(config)
    for name, value in model.named_parameters():
        if name.endswith("bias"):
            value.data.normal_(0.0, 0.3)
    folder = tmp_path / "theirs"
    model.save_pretrained(folder)
    write_vocab(folder, 70)
    batch = batch_of(70)
    expected, logits = theirs(model, batch)
    alone, _ = theirs(model, batch, mask=False)
    convert_model(folder, tmp_path / "ours")
    real = batch["padding_mask"]
    for source in (folder, tmp_path / "ours"):
        ours = Opened(source)
        assert ours.family is ROFORMER and ours.has_head
        states = ours.states(batch)
        np.testing.assert_allclose(states[real], expected[real], atol=1e-4)
        np.testing.assert_allclose(
            ours.logits(states)[real], logits.numpy()[real], atol=5e-4
        )
        np.testing.assert_allclose(ours.states(batch, mask=False), alone, atol=1e-4)
    back, told = transformers.RoFormerForMaskedLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not told["missing_keys"] and not told["unexpected_keys"]
    assert not told["mismatched_keys"]
    np.testing.assert_allclose(theirs(back, batch)[0], expected, atol=1e-5)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("width", [48, 24])
def test_google_names_equal_bert4keras(transformers, tmp_path, width):
    pytest.importorskip("bert4keras")
    folder = tmp_path / "google"
    write_google(folder, ROFORMER, CONFIG, PARTS, embedding_size=width, **TOLD)
    batch = batch_of(70)
    real = batch["padding_mask"]
    name = 'roformer?{"gelu": "erf"}'
    expected = bert4keras(folder, batch, name, "encoder", "mlm", "pool")
    ours = Opened(folder)
    states = ours.states(batch)
    np.testing.assert_allclose(states[real], expected["encoder"][real], atol=1e-4)
    np.testing.assert_allclose(
        ours.logits(states)[real], expected["mlm"][real], atol=5e-4
    )
    pooled = np.asarray(ours.pooler(states[:, :1]))[:, 0]
    np.testing.assert_allclose(pooled, expected["pool"], atol=5e-4)
    # The same in transformers, which leaves the pooler.
    convert_model(folder, tmp_path / "hf")
    back, told = transformers.RoFormerForMaskedLM.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not told["missing_keys"]
    assert all("pooler" in name for name in told["unexpected_keys"])
    found, logits = theirs(back, batch)
    np.testing.assert_allclose(found[real], expected["encoder"][real], atol=1e-4)
    np.testing.assert_allclose(logits.numpy()[real], expected["mlm"][real], atol=5e-4)


@pytest.mark.parity
@pytest.mark.slow
def test_the_second_version_equals_bert4keras(tmp_path):
    pytest.importorskip("bert4keras")
    folder = tmp_path / "google"
    write_google(folder, V2, {**CONFIG, "hidden_act": "relu"}, ["backbone"])
    batch = batch_of(70)
    real = batch["padding_mask"]
    applications = ("encoder", "mlm", "unilm")
    expected = bert4keras(folder, batch, "roformer_v2", *applications)
    convert_model(folder, tmp_path / "hf")
    for source in (folder, tmp_path / "hf"):
        ours = Opened(source)
        assert ours.family is V2 and ours.has_head
        states = ours.states(batch)
        np.testing.assert_allclose(states[real], expected["encoder"][real], atol=1e-4)
        np.testing.assert_allclose(
            ours.logits(states)[real], expected["mlm"][real], atol=5e-4
        )


@pytest.mark.parity
def test_the_second_version_equals_a_few_lines_of_numpy(tmp_path):
    sizes = {**CONFIG, "hidden_act": "relu", "num_hidden_layers": 2}
    tensors = write_google(tmp_path / "google", V2, sizes, ["backbone"])
    batch = batch_of(70)
    ids, segments, real = batch.values()

    def root_mean_square(x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-7)

    def turned(x):  # (batch, length, heads, size)
        size = x.shape[-1]
        places = np.arange(x.shape[1])[:, None, None]
        turns = np.exp(1j * places / 10000 ** (np.arange(0, size, 2) / size))
        both = (x[..., ::2] + 1j * x[..., 1::2]) * turns
        return np.stack([both.real, both.imag], -1).reshape(x.shape)

    table = tensors["bert/embeddings/word_embeddings"]
    x = table[ids] + tensors["bert/embeddings/token_type_embeddings"][segments]
    x = root_mean_square(x)
    for layer in range(2):
        own = f"bert/encoder/layer_{layer}"
        q, k, v = (
            (x @ tensors[f"{own}/attention/self/{p}/kernel"]).reshape(4, -1, 4, 12)
            for p in ("query", "key", "value")
        )
        scores = np.einsum("bqhd,bkhd->bhqk", turned(q), turned(k)) / np.sqrt(12)
        scores = np.where(real[:, None, None], scores, -1e9)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        gathered = np.einsum("bhqk,bkhd->bqhd", shares, v).reshape(x.shape)
        x = root_mean_square(
            x + gathered @ tensors[f"{own}/attention/output/dense/kernel"]
        )
        inner = np.maximum(x @ tensors[f"{own}/intermediate/dense/kernel"], 0)
        x = root_mean_square(x + inner @ tensors[f"{own}/output/dense/kernel"])
    ours = Opened(tmp_path / "google")
    states = ours.states(batch)
    np.testing.assert_allclose(states[real], x[real], atol=1e-4)
    np.testing.assert_allclose(
        ours.logits(states)[real], (x @ table.T)[real], atol=5e-4
    )


# -- how they are recognised


def test_what_names_and_configurations_say(tmp_path):
    roformer = ["roformer.embeddings.word_embeddings.weight"]
    assert recognise({}, roformer).family is ROFORMER
    assert recognise(TOLD, []).family is ROFORMER
    assert recognise({**TOLD, "norm_type": "rms_norm"}, []).family is V2
    google = write_google(tmp_path / "one", ROFORMER, CONFIG, ["backbone"])
    assert recognise({}, google).name == "nezha-or-roformer"
    assert recognise(TOLD, google).family is ROFORMER
    assert recognise({"use_relative_position": True}, google).name == "nezha"
    second = write_google(tmp_path / "two", V2, CONFIG, ["backbone"])
    assert recognise({}, second).family is V2


@pytest.mark.parametrize(
    ("family", "parts", "more"),
    [(ROFORMER, PARTS, TOLD), (ROFORMER, PARTS[:1], TOLD), (V2, PARTS[:1], {})],
    ids=["sim", "encoder", "v2"],
)
def test_inspection_says_what_is_there(tmp_path, family, parts, more):
    write_google(tmp_path / "google", family, CONFIG, parts, **more)
    convert_model(tmp_path / "google", tmp_path / "hf")
    for folder, dialect in (("google", "tf"), ("hf", "hf")):
        report = inspect(tmp_path / folder)
        assert (report.family, report.dialect) == (family.name, dialect)
        assert report.loads and not report.missing_tensors and not report.unused
        found = {part for part, state in report.parts.items() if state == "complete"}
        assert found == set(parts)


def test_files_without_a_prefix_and_with_the_buffer(tmp_path):
    write_google(tmp_path / "google", ROFORMER, CONFIG, ["backbone"], **TOLD)
    convert_model(tmp_path / "google", tmp_path / "hf")
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "hf" / "model.safetensors"
    tensors = {k.removeprefix("roformer."): v for k, v in load_file(path).items()}
    tensors["encoder.embed_positions.weight"] = np.zeros((40, 12), np.float32)
    save_file(tensors, path)
    report = inspect(tmp_path / "hf")
    assert report.family == "roformer" and report.loads and not report.unused
    batch = batch_of(70)
    one, other = (Opened(tmp_path / x).states(batch) for x in ("google", "hf"))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("family", "change", "told"),
    [
        (ROFORMER, {"rotary_value": True}, "rotary_value: expected false, got True"),
        (ROFORMER, {"add_cross_attention": True}, "add_cross_attention: expected f"),
        (ROFORMER, {"norm_type": "rms_norm"}, "norm_type: expected layer_norm"),
        (V2, {"norm_type": "layer_norm"}, "norm_type: expected rms_norm"),
        (V2, {"embedding_size": 24}, "embedding_size: expected 48"),
        (ROFORMER, {"num_attention_heads": 16}, "3 numbers cannot be turned in pairs"),
    ],
)
def test_a_configuration_that_cannot_be_is_one_line(tmp_path, family, change, told):
    write_google(tmp_path / "google", family, CONFIG, ["backbone"], **TOLD)
    path = tmp_path / "google" / "bert_config.json"
    path.write_text(json.dumps({**CONFIG, **TOLD, **change}))
    with pytest.raises(CheckpointError, match=told) as caught:
        open_published(tmp_path / "google")
    assert "\n" not in str(caught.value)
    (note,) = inspect(tmp_path / "google").notes
    assert told in note


def test_only_transformers_own_decoders_are_causal():
    """RoFormer-Sim says is_decoder and reads its prompts both ways."""
    own = {**CONFIG, **TOLD, "is_decoder": True}
    assert ROFORMER.read(own, "x", "hf").causal
    sim = ROFORMER.read({**own, "pooler_activation": "linear"}, "x", "hf")
    assert not sim.causal
    assert not ROFORMER.publish(sim, PARTS)["is_decoder"]


def test_a_width_that_the_tensors_have_not(tmp_path):
    write_google(tmp_path / "google", ROFORMER, CONFIG, ["backbone"], **TOLD)
    path = tmp_path / "google" / "bert_config.json"
    path.write_text(json.dumps({**CONFIG, **TOLD, "embedding_size": 24}))
    with pytest.raises(CheckpointError, match="embedding_projection/kernel: expected"):
        open_published(tmp_path / "google").check_sizes()


def test_written_files_are_those_of_transformers(tmp_path):
    write_google(tmp_path / "g", ROFORMER, CONFIG, PARTS, embedding_size=24, **TOLD)
    convert_model(tmp_path / "g", tmp_path / "hf")
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["architectures"] == ["RoFormerForMaskedLM"]
    assert config["embedding_size"] == 24 and config["hidden_act"] == "gelu"
    assert not {"positions", "max_relative_position"} & set(config)
    names = SafetensorsSource(tmp_path / "hf" / "model.safetensors").describe()
    assert "roformer.embeddings_project.weight" in names
    assert "roformer.pooler.dense.bias" in names
    assert "cls.predictions.transform.LayerNorm.weight" in names
