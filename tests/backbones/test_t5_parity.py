"""T5 of every form beside transformers and bert4keras, and what it writes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file, save_file

from nlpcli.decoders.autoregressive import Decoder
from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.convert import convert_model
from nlpcli.engine.inspect import inspect
from nlpcli.engine.published import backbone_variables, open_published
from nlpcli.errors import CheckpointError, UsageError
from nlpcli.heads.seq2seq_model import Seq2SeqModel
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.text.layouts import Apart
from nlpcli.text.tokenizers.load import tiny_tokenizer
from nlpcli.text.tokenizers.vocab import Vocab
from tests.checkpoints.h5_file import write_layers
from tests.t5_family import FORMS, PEGASUS, SIZES, write_t5

pytestmark = pytest.mark.parity
END = 1
VOCAB = Vocab(("<pad>", "</s>", "<unk>", "<s>", *(chr(0x4E00 + i) for i in range(56))))


def open_model(folder):
    """The model that writes with a folder, all of its parts from there."""
    published = open_published(folder)
    published.check_sizes()
    backbone = published.family.build(published.config)
    model = Seq2SeqModel(backbone, SequenceOptions(), VOCAB.special_ids)
    used = published.fill_part("mlm", model.head)
    assert used is not None
    published.fill_backbone(backbone, others=used)
    return model


def batch_of(length=140, answer=150):
    """Longer than the distances that have buckets of their own; padded."""
    rng = np.random.default_rng(0)
    lengths, answers = np.array([[length], [77], [3]]), np.array([[answer], [2], [60]])
    ids = rng.integers(4, SIZES["vocab_size"], (3, length)).astype(np.int32)
    begun = rng.integers(4, SIZES["vocab_size"], (3, answer)).astype(np.int32)
    begun[:, 0] = 0
    mask, answer_mask = np.arange(length) < lengths, np.arange(answer) < answers
    return {
        "token_ids": np.where(mask, ids, 0),
        "padding_mask": mask,
        "answer_ids": np.where(answer_mask, begun, 0),
        "answer_mask": answer_mask,
        "predict_at": np.tile(np.arange(answer, dtype=np.int32), (3, 1)),
    }


def of_transformers(folder):
    transformers = pytest.importorskip("transformers")
    model, told = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys"))
    return model.eval()


def compare(folder, theirs):
    """Our states and logits are theirs, padded and not."""
    torch = pytest.importorskip("torch")
    model, batch = open_model(folder), batch_of()
    real, answered = batch["padding_mask"], batch["answer_mask"]
    with torch.no_grad():
        out = theirs(
            input_ids=torch.tensor(batch["token_ids"]).long(),
            attention_mask=torch.tensor(real).long(),
            decoder_input_ids=torch.tensor(batch["answer_ids"]).long(),
        )
    states = model.backbone.encoder(batch["token_ids"], None, real)
    expected = out.encoder_last_hidden_state.numpy()
    np.testing.assert_allclose(np.asarray(states)[real], expected[real], atol=1e-4)
    logits = np.asarray(model(batch)["targets"])
    np.testing.assert_allclose(
        logits[answered], out.logits.numpy()[answered], atol=1e-4
    )
    assert np.abs(logits).max() > 0.5


@pytest.mark.parametrize("form", FORMS)
def test_states_and_logits_equal_transformers(tmp_path, form):
    write_t5(tmp_path, form)
    compare(tmp_path, of_transformers(tmp_path))


@pytest.mark.parametrize("form", FORMS)
def test_what_transformers_saved_is_read(tmp_path, form):
    """It says ``tie_word_embeddings`` of all, whatever is in the file."""
    write_t5(tmp_path / "given", form)
    theirs = of_transformers(tmp_path / "given")
    theirs.save_pretrained(tmp_path / "saved")
    compare(tmp_path / "saved", theirs)


@pytest.mark.parametrize("form", FORMS)
def test_tensorflow_names_and_back_to_transformers(tmp_path, form):
    values = write_t5(tmp_path / "tf", form, "tf", tokenizer=tiny_tokenizer())
    model = open_model(tmp_path / "tf")
    for path, variable in backbone_variables(model.backbone).items():
        np.testing.assert_array_equal(np.asarray(variable), values[path], path)
    report = inspect(tmp_path / "tf")
    assert report.family == "t5" and report.loads
    assert str(report.dialect).startswith("tf")
    assert report.parts["backbone"] == "complete"
    convert_model(tmp_path / "tf", tmp_path / "hf")
    theirs = of_transformers(tmp_path / "hf")
    compare(tmp_path / "hf", theirs)
    assert theirs.generation_config.decoder_start_token_id == 0


@pytest.mark.parametrize("form", FORMS)
def test_keras_names_of_transformers_4(tmp_path, form):
    """As TFT5ForConditionalGeneration names its variables (tf_model.h5)."""
    h5py = pytest.importorskip("h5py")
    values = write_t5(tmp_path, form)
    layers: dict = {}
    for name, value in load_file(tmp_path / "model.safetensors").items():
        path = name.removesuffix(".weight")
        ending = "weight"
        if path.endswith("relative_attention_bias"):
            ending = "embeddings"
        elif not path.endswith(("norm", "shared")):
            ending, value = "kernel", value.T
        layer = path.split(".")[0]
        path = path.replace(".", "/")
        path = path.replace("block/", "block_._").replace("/layer/", "/layer_._")
        scope = f"tf_t5_for_conditional_generation/{path}"
        layers.setdefault(layer, {})[f"{scope}/{ending}:0"] = value
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        write_layers(file, layers)
    (tmp_path / "model.safetensors").unlink()
    model = open_model(tmp_path)
    for path, variable in backbone_variables(model.backbone).items():
        np.testing.assert_array_equal(np.asarray(variable), values[path], path)
    report = inspect(tmp_path)
    assert report.container == "h5" and not report.unused
    if form != "t5-1.0":
        table = np.asarray(model.head.own.kernel)
        np.testing.assert_array_equal(table, values["mlm/table/kernel"])


def test_t5_that_has_the_token_table_twice(tmp_path):
    values = write_t5(tmp_path, "t5-1.0")
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["lm_head.weight"] = tensors["shared.weight"]
    tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = open_model(tmp_path)
    assert model.head.own is None
    table = model.backbone.token_embedding.embeddings
    np.testing.assert_array_equal(np.asarray(table), values[TABLE])
    assert not inspect(tmp_path).unused


TABLE = "token_embedding/embeddings"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_type": "umt5"}, "model_type: expected t5 or mt5, got 'umt5'"),
        ({"d_model": 48}, r"expected \(60, 48\)"),
        ({"num_decoder_layers": 4}, "decoder.block.3"),
        ({"d_ff": 10**30}, "d_ff: expected a positive size"),
        ({"feed_forward_proj": "gated-maxout"}, "feed_forward_proj: expected one of"),
        ({"feed_forward_proj": ["relu"]}, "feed_forward_proj: expected str"),
        ({"num_layers": None}, "num_layers: expected int"),
    ],
)
def test_a_configuration_that_cannot_be_is_told(tmp_path, change, told):
    write_t5(tmp_path, "t5-1.1")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=told):
        open_published(tmp_path).check_sizes()
    assert not inspect(tmp_path).loads


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """A model of a few tokens whose answers end, and a folder of it."""
    folder = tmp_path_factory.mktemp("writer")
    # As many layers on both sides: generate of transformers 5.23 takes the encoder's
    # number for the decoder's cache and fails where that has more.
    write_t5(folder, "mt5", spread=0.35, vocab_size=24, num_decoder_layers=2)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"][END] *= 3.0  # answers end
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return open_model(folder), folder


def prompts_of(count=20):
    rng = np.random.default_rng(5)
    layout = Apart(VOCAB, 0)
    return [
        layout.asked(rng.integers(4, 24, rng.integers(1, 30))) for _ in range(count)
    ]


def decoding_of(model, rows=8):
    forward = Forward(model, xla=False)
    return Decoding(forward, Apart(VOCAB, 0).fields, END, rows, compiled=False)


@pytest.fixture
def narrow(monkeypatch):
    """Ends count among the first ``beam`` candidates alone, as in transformers; ours
    looks at twice as many."""
    keep = Decoder._keep_ended

    def keep_first(self, search, parents, values, logps, ends, *more):
        first = np.arange(2 * self.width) < self.width
        ends = ops.logical_and(ends, ops.convert_to_tensor(first))
        return keep(self, search, parents, values, logps, ends, *more)

    monkeypatch.setattr(Decoder, "_keep_ended", keep_first)


@pytest.mark.slow
def test_answers_equal_generate_token_for_token(writer, narrow):
    """With "never" transformers stops where we do. What did not end in time competes
    there and not here, so of beams those are compared that ended."""
    model, folder = writer
    theirs, prompts = of_transformers(folder), prompts_of()
    decode = decoding_of(model, len(prompts))
    for beam, penalty in ((1, 0.0), (4, 0.0), (4, 1.0), (3, 0.6)):
        options = GenerateOptions(
            beam=beam, num=beam, max_length=LIMIT, length_penalty=penalty
        )
        ours = [
            [*best.token_ids.tolist(), *[END] * (best.finish_reason == "end")]
            for best, *_ in decode(prompts, options)
        ]
        pairs = list(zip(ours, generated(theirs, prompts, beam, penalty), strict=True))
        ended = [(one, other) for one, other in pairs if other[-1] == END]
        assert len(ended) > 5
        for one, other in pairs if beam == 1 else ended:
            assert one == other, (beam, penalty)


LIMIT = 40


def generated(model, prompts, beam, penalty):
    """What transformers finds, to the end of each answer."""
    torch = pytest.importorskip("torch")
    longest = max(len(prompt["token_ids"]) for prompt in prompts)
    ids = np.zeros((len(prompts), longest), np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt["token_ids"])] = prompt["token_ids"]
    more = {"early_stopping": "never", "length_penalty": penalty} if beam > 1 else {}
    with torch.no_grad():
        out = model.generate(
            torch.tensor(ids),
            attention_mask=torch.tensor(ids != 0).long(),
            num_beams=beam,
            do_sample=False,
            max_new_tokens=LIMIT,
            eos_token_id=END,
            pad_token_id=0,
            **more,
        )
    answers = out[:, 1:].tolist()
    return [x[: x.index(END) + 1] if END in x else x for x in answers]


def log_probability(model, prompt, ids):
    """That of an answer, all of it read at once."""
    batch = {k: v[None] for k, v in prompt.items()}
    batch["answer_ids"] = np.array([[0, *ids[:-1]]], np.int32)
    batch["answer_mask"] = np.ones((1, len(ids)), bool)
    batch["predict_at"] = np.arange(len(ids), dtype=np.int32)[None]
    logits = np.asarray(model(batch)["targets"], np.float64)[0]
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return logp[np.arange(len(ids)), ids].sum()


def test_cached_is_uncached(writer):
    """Sums of log-probabilities of what is found, read anew as a whole."""
    model, _ = writer
    prompts = prompts_of(5)
    options = GenerateOptions(beam=3, num=3, max_length=10)
    for prompt, found in zip(
        prompts, decoding_of(model)(prompts, options), strict=True
    ):
        for hypothesis in found:
            ids = hypothesis.token_ids.tolist()
            ids += [END] * (hypothesis.finish_reason == "end")
            expected = log_probability(model, prompt, ids)
            assert hypothesis.score == pytest.approx(expected, abs=1e-3)


def test_an_answer_goes_on_from_what_is_begun(writer):
    model, _ = writer
    options = GenerateOptions(beam=1, num=1, max_length=12)
    layout, source = Apart(VOCAB, 0), [5, 9, 7, 8]
    decode = decoding_of(model)
    (whole,) = decode([layout.asked(source)], options)[0]
    begun = whole.token_ids[:3]
    (rest,) = decode([layout.asked(source, begun)], options)[0]
    assert rest.token_ids[: len(whole.token_ids) - 3].tolist() == (
        whole.token_ids[3:].tolist()
    )


@pytest.mark.slow
@pytest.mark.parametrize("crossed", [True, False])
def test_t5_pegasus_equals_bert4keras(tmp_path, crossed):
    pytest.importorskip("bert4keras")
    told = {} if crossed else {"cross_position_bias": False}
    write_t5(tmp_path, "pegasus", "tf", **told)
    model, batch = open_model(tmp_path), batch_of()
    assert model.backbone.config.cross_position_bias is crossed
    np.savez(tmp_path / "in.npz", **batch)
    script = Path(__file__).parent / "bert4keras_t5.py"
    words = [tmp_path, tmp_path / "in.npz", tmp_path / "out.npz"]
    done = subprocess.run(
        [sys.executable, script, *words, str(crossed)],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = np.load(tmp_path / "out.npz")
    real, answered = batch["padding_mask"], batch["answer_mask"]
    states = np.asarray(model.backbone.encoder(batch["token_ids"], None, real))
    np.testing.assert_allclose(states[real], theirs["encoder"][real], atol=1e-4)
    logits = np.asarray(model(batch)["targets"])
    np.testing.assert_allclose(logits[answered], theirs["logits"][answered], atol=1e-4)


def test_a_position_bias_across_is_nothing_for_transformers(tmp_path):
    write_t5(tmp_path / "tf", "pegasus", "tf", tokenizer=tiny_tokenizer())
    with pytest.raises(UsageError, match="position bias in cross-attention"):
        convert_model(tmp_path / "tf", tmp_path / "hf")
    assert PEGASUS["hidden_size"] and not (tmp_path / "hf").exists()
