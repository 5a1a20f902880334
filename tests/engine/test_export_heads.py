"""Exported heads answer in transformers what they answer here."""

import json

import numpy as np
import pytest

from nlpcli.config.loader import resolve
from nlpcli.engine.export import export_run
from nlpcli.engine.loaded import open_run
from nlpcli.engine.predict import Predictor
from nlpcli.engine.train import train
from nlpcli.samples import sample
from nlpcli.text.tokenizers.load import tiny_tokenizer
from tests.engine.checkpoint_kinds import GPT, OTHERS, QWEN, Kind, write_model

SIZES = {"train.max_steps": 6, "data.limit": 64, "backbone.dropout": 0.0}


def trained(folder, recipe, **flags):
    config = resolve(recipe, flags={**SIZES, **flags})
    return train(config, out=folder / "run").run


def texts(recipe, count=50):
    lines = sample(recipe, "train").read_text("utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines[:count]]


@pytest.mark.parity
@pytest.mark.slow
def test_a_pipeline_finds_the_same_entities(tmp_path):
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    run = trained(
        tmp_path,
        "ner",
        **{"task.head": "softmax", "train.max_steps": 90, "data.limit": 200},
    )
    report = export_run(run, tmp_path / "hf")
    assert report["architecture"] == "BertForTokenClassification"
    assert report["lost"] == []
    pipeline = transformers.pipeline(
        "token-classification", str(tmp_path / "hf"), aggregation_strategy="simple"
    )
    asked = texts("ner")
    found = Predictor(run).predict(asked)
    total = 0
    for text, answer in zip(asked, found, strict=True):
        theirs = [(e["start"], e["end"], e["entity_group"]) for e in pipeline(text)]
        ours = [(e["start"], e["end"], e["label"]) for e in answer["entities"]]
        assert ours == theirs, text
        total += len(ours)
    assert total > 20


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_a_pipeline_finds_the_same_labels(tmp_path, several):
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    rows = [
        {"text": text, "labels": [f"第{len(text) % 3}类"]}
        if several
        else {"text": text, "label": f"第{len(text) % 3}类"}
        for text in texts("ner", 64)
    ]
    if several:
        rows[0]["labels"].append("长")
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = {"task.pooling": "pooler", "task.top": 4, "data.train": str(data)}
    run = trained(tmp_path, "classify", **flags)
    report = export_run(run, tmp_path / "hf")
    assert report["architecture"] == "BertForSequenceClassification"
    assert report["lost"] == []
    pipeline = transformers.pipeline("text-classification", str(tmp_path / "hf"))
    for text, answer in zip(
        texts("ner"), Predictor(run).predict(texts("ner")), strict=True
    ):
        theirs = {item["label"]: item["score"] for item in pipeline(text, top_k=None)}
        ours = {item["label"]: item["probability"] for item in answer["top"]}
        assert ours.keys() == theirs.keys()
        for label, chance in ours.items():
            assert chance == pytest.approx(theirs[label], abs=1e-3)


@pytest.mark.parity
@pytest.mark.slow
def test_what_writes_leaves_with_its_output_head(tmp_path, caplog):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    run = trained(tmp_path, "couplet")
    with caplog.at_level("WARNING"):
        report = export_run(run, tmp_path / "hf")
    assert report["architecture"] == "BertForMaskedLM"
    assert len(report["lost"]) == 1 and "prefix mask" in report["lost"][0]
    assert "prefix mask" in caplog.text
    theirs, info = transformers.AutoModelForMaskedLM.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    ids = np.arange(5, 15, dtype=np.int32)[None]
    model = open_run(run).model
    states = model.backbone(ids, padding_mask=np.ones(ids.shape, bool))
    ours = model.head(states, token_table=model.backbone.token_embedding.embeddings)
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(ids, dtype=torch.long)).logits.numpy()
    np.testing.assert_allclose(np.asarray(ours), expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "told"), [("ner", "the crf head"), ("classify", "task.pooling: pooler")]
)
def test_what_is_lost_is_said(tmp_path, recipe, told):
    report = export_run(trained(tmp_path, recipe), tmp_path / "hf")
    assert report["architecture"] == "BertModel"
    assert len(report["lost"]) == 1 and told in report["lost"][0]


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("family", ["electra", "xlm-roberta"])
def test_a_head_that_is_another_in_transformers_is_told(tmp_path, family, caplog):
    transformers = pytest.importorskip("transformers")
    kind = next(kind for kind, _ in OTHERS if kind.family == family)
    write_model(tmp_path / "model", kind)
    flags = {"backbone.model": str(tmp_path / "model"), "data.max_length": 64}
    flags |= {"data.stride": 8, "train.max_steps": 2}
    run = trained(tmp_path, "classify", **flags, **{"task.pooling": "pooler"})
    with caplog.at_level("WARNING"):
        report = export_run(run, tmp_path / "hf")
    assert report["architecture"].endswith("Model")
    assert len(report["lost"]) == 1 and family in report["lost"][0]
    _, info = transformers.AutoModel.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not info["unexpected_keys"]
    tagged = trained(tmp_path / "tags", "ner", **flags, **{"task.head": "softmax"})
    report = export_run(tagged, tmp_path / "tagged")
    assert report["architecture"].endswith("ForTokenClassification")
    assert report["lost"] == []
    _, info = transformers.AutoModelForTokenClassification.from_pretrained(
        tmp_path / "tagged", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "told", "architecture"),
    [
        ("gpt2", GPT, "GPT2LMHeadModel"),
        ("llama", (*QWEN, ("model_type", "qwen2")), "Qwen2ForCausalLM"),
    ],
)
def test_a_tied_decoder_of_spare_rows_is_loaded(tmp_path, family, told, architecture):
    """Its output has no tensor of its own, its table more rows than there are tokens,
    as published Qwen2.5 has."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    rows = len(tiny_tokenizer().vocab.tokens) + 9
    write_model(
        tmp_path / "model", Kind("hf", (), family, told=(*told, ("vocab_size", rows)))
    )
    flags = {"backbone.model": str(tmp_path / "model"), "train.max_steps": 2}
    flags |= {"backbone.prune_vocab": False, "data.limit": 24, "data.dev_limit": 2}
    run = trained(tmp_path, "couplet", **flags)
    report = export_run(run, tmp_path / "hf")
    assert report["architecture"] == architecture
    theirs, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    ids = np.arange(5, 15, dtype=np.int32)[None]
    model = open_run(run).model
    states = model.backbone(ids, padding_mask=np.ones(ids.shape, bool))
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(ids, dtype=torch.long)).logits.numpy()
    assert expected.shape[-1] == rows
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert set(tokenizer("北京大学")) == {"input_ids", "attention_mask"}
    np.testing.assert_allclose(model.logits(states[0]), expected[0], atol=1e-4)


@pytest.mark.slow
def test_a_decoder_has_no_head_for_sentences(tmp_path):
    write_model(tmp_path / "model", Kind("hf", (), "gpt2", told=GPT))
    flags = {"backbone.model": str(tmp_path / "model"), "data.max_length": 64}
    flags |= {"train.max_steps": 2, "data.limit": 24}
    report = export_run(trained(tmp_path, "classify", **flags), tmp_path / "hf")
    assert report["architecture"] == "GPT2Model"
    assert len(report["lost"]) == 1 and "task.pooling" not in report["lost"][0]
