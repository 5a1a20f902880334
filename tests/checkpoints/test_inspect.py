"""What inspection says of folders, good and odd."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from nlpcli.backbones import family_of
from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.inspect import tokenizer_kind
from nlpcli.checkpoints.rules import load
from nlpcli.engine.inspect import inspect
from nlpcli.engine.published import open_published
from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.text.tokenizers.load import load_tokenizer
from tests.bert_family import RULES, expected_shapes
from tests.checkpoints.tiny_bert import CONFIG, SPECIAL, hf_tensors, write_hf
from tests.text import made_tokenizers as made

READ = ("nezha", "roformer")


def look(path):
    report = inspect(path)
    json.dumps(report.as_dict())
    return report


def test_a_whole_bert(tmp_path):
    report = look(write_hf(tmp_path / "bert"))
    assert (report.kind, report.container, report.dialect) == (
        "model", "safetensors", "hf",
    )  # fmt: skip
    assert (report.family, report.supported, report.loads) == ("bert", True, True)
    assert (report.layers, report.hidden, report.vocab_size) == (3, 8, 30)
    assert report.parameters == sum(value.size for value in hf_tensors().values())
    assert report.bytes == (tmp_path / "bert" / "model.safetensors").stat().st_size
    assert report.dtype == "float32" and report.tokenizer == "wordpiece"
    assert set(report.parts.values()) == {"complete"}
    assert not (report.missing_files or report.missing_tensors or report.unused)
    assert not report.notes


def test_the_encoder_alone_with_something_more(tmp_path):
    tensors = {
        name: value
        for name, value in hf_tensors().items()
        if name.startswith("bert.") and "pooler" not in name
    }
    tensors |= {f"extra.{i}.weight": np.zeros(1, np.float32) for i in range(4)}
    report = look(write_hf(tmp_path / "bert", tensors))
    assert report.parts == {
        "backbone": "complete", "pooler": "absent", "mlm": "absent", "nsp": "absent",
    }  # fmt: skip
    assert report.unused == ["extra.*.weight (4)"] and report.loads


def test_what_is_missing(tmp_path):
    tensors = hf_tensors()
    del tensors["bert.encoder.layer.1.output.dense.bias"]
    del tensors["cls.predictions.bias"]
    folder = write_hf(tmp_path / "bert", tensors, vocabulary=29)
    report = look(folder)
    assert report.parts["backbone"] == report.parts["mlm"] == "incomplete"
    assert [gap.split(":")[0] for gap in report.missing_tensors] == [
        "layer_1/feed_forward/output/bias", "mlm/bias",
    ]  # fmt: skip
    assert report.notes == ["vocab.txt has 29 tokens, the configuration 30"]
    assert not report.loads
    (folder / "vocab.txt").unlink()
    assert look(folder).missing_files == ["vocab.txt or tokenizer.json or spiece.model"]


def test_a_folder_without_weights(tmp_path):
    folder = write_hf(tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    report = look(folder)
    assert report.missing_files == [
        "model.safetensors or tf_model.h5 or pytorch_model.bin"
    ]
    assert report.layers == 3 and not report.loads


@pytest.mark.parametrize(
    ("family", "config", "names"),
    [
        ("albert", {}, ["albert.embeddings.word_embeddings.weight"]),
        ("albert", {}, ["bert/encoder/transformer/group_0/inner_group_0/x/kernel"]),
        ("albert-zh", {}, ["bert/embeddings/word_embeddings_2"]),
        ("electra", {}, ["electra.embeddings.word_embeddings.weight"]),
        ("nezha", {}, ["nezha.embeddings.word_embeddings.weight"]),
        (
            "nezha",
            {"use_relative_position": True},
            ["bert.embeddings.word_embeddings.weight"],
        ),
        ("roformer", {}, ["roformer.embeddings.word_embeddings.weight"]),
        ("nezha-or-roformer", {}, ["bert.embeddings.word_embeddings.weight"]),
        ("xlm-roberta", {}, ["roberta.embeddings.word_embeddings.weight"]),
        (
            "xlm-roberta",
            {"model_type": "xlm-roberta"},
            [
                "embeddings.word_embeddings.weight",
                "embeddings.position_embeddings.weight",
            ],
        ),
        ("t5", {}, ["encoder.block.0.layer.0.SelfAttention.q.weight"]),
        ("gpt2", {}, ["transformer.h.0.attn.c_attn.weight"]),
        ("gpt2_ml", {}, ["newslm/embeddings/word_embed"]),
        ("funnel", {"model_type": "funnel"}, ["blocks.0.w"]),
    ],
)
def test_other_families_are_recognised(tmp_path, family, config, names):
    tensors = {name: np.zeros((2, 2), np.float32) for name in names}
    report = look(write_hf(tmp_path / "x", tensors, config))
    assert report.family == family and report.family_reason
    assert report.supported == (family_of(family) is not None)
    assert not report.loads
    told = any(x.startswith(f"{family}: recognised, ") for x in report.notes)
    assert told != report.supported


def test_what_bert_s_names_without_positions_lack(tmp_path):
    names = ["bert.embeddings.word_embeddings.weight"]
    tensors = {name: np.zeros((2, 2), np.float32) for name in names}
    (note,) = look(write_hf(tmp_path / "x", tensors, {})).notes
    assert '"model_type": "nezha" or "model_type": "roformer"' in note
    with pytest.raises(CheckpointError, match="configuration has to say which"):
        open_published(tmp_path / "x")


def test_an_unknown_family_shows_its_names(tmp_path):
    tensors = {f"strange.{i}.w": np.zeros(1, np.float32) for i in range(3)}
    report = look(write_hf(tmp_path / "x", tensors, {}))
    assert report.family is None
    assert report.notes == ["unknown family; names: strange.*.w (3)"]


def test_a_run(tmp_path):
    values = load(
        RULES["hf"],
        expected_shapes(CONFIG)["backbone"],
        open_checkpoint(write_hf(tmp_path / "bert")),
    )
    best = tmp_path / "run" / "best"
    best.mkdir(parents=True)
    arrays = {f"backbone/{path}": value for path, value in values.items()}
    arrays["crf/transitions"] = np.zeros((3, 3), np.float32)
    save_file(arrays, best / "model.safetensors")
    (best / "config.json").write_text(json.dumps(CONFIG))
    (best / "task.json").write_text("{}")
    shutil.copy(tmp_path / "bert" / "vocab.txt", best)
    for path in (tmp_path / "run", best):
        report = look(path)
        assert (report.kind, report.dialect) == ("run", "nlpcli")
        assert report.parts == {"backbone": "complete", "crf": "complete"}
        assert report.loads and report.path == str(path)


def test_a_single_file(tmp_path):
    report = look(write_hf(tmp_path / "bert") / "model.safetensors")
    assert report.family == "bert" and report.missing_files == []


def test_nothing_and_garbage(tmp_path):
    with pytest.raises(NotFoundError):
        look(tmp_path / "nowhere")
    with pytest.raises(NotFoundError):
        look(tmp_path)
    folder = write_hf(tmp_path / "bert")
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config.json: expected JSON"):
        look(folder)
    for absurd in ({}, {**CONFIG, "num_hidden_layers": 10**9}, {"hidden_size": "x"}):
        (folder / "config.json").write_text(json.dumps(absurd))
        report = look(folder)
        assert report.notes[0].startswith("its configuration does not tell its sizes")
        assert not report.loads
    (folder / "model.safetensors").write_bytes(b"xx")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        look(folder)


def test_the_kind_that_is_told_is_the_kind_that_is_read(tmp_path):
    builds = {"bpe": made.gpt2, "wordpiece": made.word_piece}
    for kind, build in builds.items():
        folder = made.write(tmp_path / kind, build())
        assert tokenizer_kind(folder) == load_tokenizer(folder).kind == kind
    raw = {**made.gpt2(), "model": {"type": "WordLevel", "vocab": {}}}
    assert tokenizer_kind(made.write(tmp_path / "other", raw)) == "wordlevel"


def test_tokenizers(tmp_path):
    assert tokenizer_kind(tmp_path) is None
    (tmp_path / "sentencepiece.bpe.model").touch()
    assert tokenizer_kind(tmp_path) == "sentencepiece (no tokenizer.json)"
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}')
    assert tokenizer_kind(tmp_path) == "unigram"
    words = [chr(0x4E00 + i) + "的" for i in range(1100)]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    assert tokenizer_kind(tmp_path) == "word"


def test_the_real_encoder(shared):
    report = look(shared("models/e5-small-zh"))
    assert report.loads and report.dtype == "float16" and report.tokenizer == "unigram"
    assert report.notes == ["names have no 'bert.' in front"]


def write_vocab(folder, tokens, before=b"", end="\n"):
    content = "".join(f"{token}{end}" for token in tokens)
    (folder / "vocab.txt").write_bytes(before + content.encode())


def vocab_lines(count):
    return [*SPECIAL, *map(str, range(len(SPECIAL), count))]


def test_a_vocabulary_longer_than_the_table_does_not_load(tmp_path):
    folder = write_hf(tmp_path / "bert", vocabulary=32)
    report = look(folder)
    assert set(report.parts.values()) == {"complete"} and not report.loads
    (note,) = report.notes
    assert note.startswith("vocab.txt has 32 tokens, the configuration 30;")


def test_a_shorter_vocabulary_loads_with_a_note(tmp_path):
    report = look(write_hf(tmp_path / "bert", vocabulary=29))
    assert report.loads
    assert report.notes == ["vocab.txt has 29 tokens, the configuration 30"]


def test_a_token_twice_loads_with_a_note(tmp_path):
    folder = write_hf(tmp_path / "bert")
    tokens = vocab_lines(30)
    tokens[9] = tokens[25] = "$"
    write_vocab(folder, tokens)
    report = look(folder)
    assert report.loads
    assert report.notes == [
        "vocab.txt: '$' stands twice, on line 10 and line 26: the last is its id"
    ]


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_marks_and_crlf_change_nothing(tmp_path, before, end):
    folder = write_hf(tmp_path / "bert")
    write_vocab(folder, vocab_lines(30), before, end)
    config = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(before + config + end.encode())
    report = look(folder)
    assert report.loads and report.notes == [] and report.vocab_size == 30


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("vocab.txt", b"[PAD]\n[CLS]\n[SEP]\n", "expected a token [UNK] or <unk>"),
        ("vocab.txt", "[PAD]\n中\n".encode("gbk"), "expected UTF-8"),
        ("tokenizer_config.json", b"{", "expected JSON"),
        ("tokenizer_config.json", b'{"do_lower_case": "no"}', "do_lower_case: expec"),
        ("tokenizer_config.json", b'{"nlpcli_kind": "x"}', "nlpcli_kind: expected"),
        ("tokenizer_config.json", b'{"nlpcli_kind": "unigram"}', "no such file"),
    ],
)
def test_what_the_tokenizer_refuses_does_not_load(tmp_path, name, content, told):
    folder = write_hf(tmp_path / "bert")
    (folder / name).write_bytes(content)
    with pytest.raises((CheckpointError, NotFoundError)):
        load_tokenizer(folder)
    report = look(folder)
    assert not report.loads
    assert told in report.notes[0]


def test_a_unigram_vocabulary_longer_than_the_table_does_not_load(tmp_path):
    folder = write_hf(tmp_path / "bert")
    (folder / "vocab.txt").unlink()
    pieces = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    pieces += [[f"▁{i}", -float(i)] for i in range(28)]
    model = {"type": "Unigram", "unk_id": 3, "vocab": pieces}
    (folder / "tokenizer.json").write_text(json.dumps({"model": model}))
    report = look(folder)
    assert not report.loads
    assert report.notes[0].startswith("tokenizer.json has 32 tokens, the config")


def test_the_tokenizer_named_is_the_one_that_is_used(tmp_path):
    folder = write_hf(tmp_path / "bert")
    (folder / "tokenizer_config.json").write_text('{"nlpcli_kind": "word"}')
    assert look(folder).tokenizer == load_tokenizer(folder).kind == "word"
