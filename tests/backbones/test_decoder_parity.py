"""GPT-2, the first GPT and LLaMA's relatives against transformers."""

import json

import numpy as np
import pytest

from nlpcli.backbones import family_of, recognise
from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.convert import convert_model
from nlpcli.engine.inspect import inspect
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.text.sequences import prompt_features, sequence_fields
from tests.backbones.decoder_forms import (
    END,
    FORMS,
    HIDDEN,
    LAYERS,
    SPECIAL,
    VOCAB,
    open_pair,
    our_logits,
    random_batch,
    save_form,
    their_outputs,
    writing_model,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Each form, saved and opened when it is first asked for."""
    known = {}

    def find(name):
        if name not in known:
            known[name] = open_pair(name, tmp_path_factory.mktemp(name))
        return known[name]

    yield find


@pytest.mark.parametrize("name", FORMS)
def test_states_and_logits_equal_transformers(pairs, name):
    pair = pairs(name)
    token_ids, real = random_batch()
    hidden, logits = their_outputs(pair.theirs, token_ids, real)
    states = np.asarray(pair.ours.backbone(token_ids, padding_mask=real))
    np.testing.assert_allclose(states[real], hidden[real], atol=1e-4)
    ours = our_logits(pair.ours, token_ids, real)
    np.testing.assert_allclose(ours[real], logits[real], atol=1e-4)
    alone = np.asarray(pair.ours.backbone(token_ids[1:2, :9]))
    np.testing.assert_allclose(alone[0], states[1, :9], atol=2e-5)


@pytest.mark.parametrize("name", FORMS)
def test_a_converted_folder_is_the_same_model_in_transformers(pairs, tmp_path, name):
    pair = pairs(name)
    told = convert_model(pair.folder, tmp_path / "out")
    own = pair.published.config.output == "own"
    assert told["parts"] == (["backbone", "mlm"] if own else ["backbone"])
    again, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    assert type(again).__name__ == (
        "LlamaForCausalLM" if name == "mistral" else type(pair.theirs).__name__
    )
    assert again.config.eos_token_id == END
    token_ids, real = random_batch()
    for ours, theirs in zip(
        their_outputs(again.eval(), token_ids, real),
        their_outputs(pair.theirs, token_ids, real),
        strict=True,
    ):
        np.testing.assert_allclose(ours[real], theirs[real], atol=1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_cached_is_uncached(pairs, name):
    """Each token written is the likeliest by the whole sequence read anew."""
    model = pairs(name).ours
    model.backbone.segment_rows = None
    decode = Decoding(Forward(model, xla=False), sequence_fields(0), END, 4, False)
    token_ids, real = random_batch(3, (11, 6, 3, 1))
    prompts = [
        prompt_features(row[mask], np.zeros(mask.sum()), 0)
        for row, mask in zip(token_ids, real, strict=True)
    ]
    options = GenerateOptions(beam=1, num=1, min_length=13, max_length=12)
    for prompt, (found,) in zip(prompts, decode(prompts, options), strict=True):
        whole = np.concatenate([prompt["token_ids"], found.token_ids])[None]
        logits = our_logits(model, whole.astype(np.int32), np.ones(whole.shape, bool))
        logits = logits[0, len(prompt["token_ids"]) - 1 : -1].copy()
        total = float(np.sum(log_softmax(logits)[np.arange(12), found.token_ids]))
        assert abs(total - found.score) < 1e-3
        logits[:, END] = -1e9  # min_length
        best = np.take_along_axis(logits, found.token_ids[:, None], axis=1)[:, 0]
        np.testing.assert_allclose(best, logits.max(axis=1), atol=1e-4)


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize("name", FORMS)
def test_inspection_says_what_it_is(pairs, name):
    pair = pairs(name)
    family = FORMS[name][0]
    report = inspect(pair.folder)
    assert (report.family, report.dialect, report.loads) == (family, "hf", True)
    assert (report.layers, report.hidden, report.vocab_size) == (LAYERS, HIDDEN, VOCAB)
    own = pair.published.config.output == "own"
    expected = {"backbone": "complete"} | ({"mlm": "complete"} if own else {})
    assert report.parts == expected
    names = pair.published.source.describe()
    assert recognise({}, names).family.name == family
    assert recognise(pair.published.raw, []).family.name == family
    assert recognise({"model_type": family}, names).family.name == family


def test_names_of_llama_are_others_too(pairs):
    guess = recognise(
        {"model_type": "gemma"}, pairs("llama").published.source.describe()
    )
    assert (guess.name, guess.family) == ("gemma", None)


def change(folder, **values):
    path = folder / "config.json"
    raw = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in raw.items() if v != "gone"}))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gpt2", {"n_embd": 64}, "transformer.wte.weight in .* is"),
        ("gpt2", {"n_layer": 4}, r"expected transformer.h.3.attn.c_attn.weight"),
        ("gpt2", {"n_embd": "gone"}, "missing key n_embd"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "not computed here"),
        ("openai-gpt", {"n_head": 5}, "n_embd 32 is not a multiple of n_head 5"),
        ("llama", {"num_key_value_heads": 4}, "k_proj.weight in .* is"),
        ("llama", {"mlp_bias": True}, "mlp_bias: expected False"),
        ("llama", {"attention_bias": True}, "expected model.layers.0.*bias"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "llama3", "factor": 8}},
            "expected the plain ones",
        ),
        ("llama", {"rope_scaling": {"type": "linear"}}, "expected the plain ones"),
        ("qwen2", {"model_type": "llama"}, "has .*q_proj.bias, by its configuration"),
        ("qwen3", {"model_type": "llama"}, "has .*q_norm.weight, by its configuration"),
        ("qwen3", {"num_hidden_layers": 10**12}, "num_hidden_layers"),
    ],
)
def test_a_configuration_that_does_not_fit_is_explained(
    tmp_path, name, changes, message
):
    save_form(name, tmp_path)
    change(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=message):
        open_published(tmp_path).check_sizes()


def test_old_files_hold_masks_a_second_table_and_no_prefix(tmp_path):
    from safetensors.numpy import load_file, save_file

    save_form("gpt2", tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = {k.removeprefix("transformer."): v for k, v in load_file(path).items()}
    for i in range(LAYERS):
        tensors[f"h.{i}.attn.bias"] = np.ones((1, 1, 8, 8), np.float32)
        tensors[f"h.{i}.attn.masked_bias"] = np.array(-1e4, np.float32)
    tensors["lm_head.weight"] = tensors["wte.weight"].copy()
    save_file(tensors, path)
    report = inspect(tmp_path)
    assert report.loads and not report.unused
    token_ids, real = random_batch()
    again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    logits = our_logits(writing_model(open_published(tmp_path)), token_ids, real)
    expected = their_outputs(again, token_ids, real)[1]
    np.testing.assert_allclose(logits[real], expected[real], atol=1e-4)


def test_a_window_of_attention_ends_the_positions(pairs):
    assert pairs("mistral").published.config.longest == 40
    raw = {**FORMS["qwen2"][3], "model_type": "qwen2", "sliding_window": 40}
    read = family_of("qwen2").read
    assert read(raw, "config.json", "hf").longest == 64
    assert read({**raw, "use_sliding_window": True}, "config.json", "hf").longest == 40


def test_speakers_are_rows_of_the_token_table(pairs):
    """CDial-GPT's segments: the embedding of [speaker1] or [speaker2] is added."""
    pair = pairs("openai-gpt")
    token_ids, real = random_batch()
    segments = np.random.default_rng(2).integers(0, 2, token_ids.shape)
    speakers = np.array([SPECIAL.index("[speaker1]"), SPECIAL.index("[speaker2]")])
    backbone = pair.ours.backbone
    backbone.segment_rows = speakers.astype(np.int32)
    ours = backbone(token_ids, segments.astype(np.int32), padding_mask=real)
    backbone.segment_rows = None
    with torch.no_grad():
        theirs = pair.theirs.transformer(
            torch.tensor(token_ids, dtype=torch.long),
            token_type_ids=torch.tensor(speakers[segments]),
            attention_mask=torch.tensor(real).long(),
        )
    expected = theirs.last_hidden_state.numpy()
    np.testing.assert_allclose(np.asarray(ours)[real], expected[real], atol=1e-4)
    assert writing_model(pair.published).backbone.segment_rows.tolist() == [5, 6]
