"""Masked places filled as transformers fills them; what cannot be filled is told."""

from __future__ import annotations

import numpy as np
import pytest

from nlpcli.engine.fill import Filler
from nlpcli.errors import CheckpointError, DataError
from nlpcli.records.row import Row

CHARACTERS = "今天气好很大上海北京是中国的首都人在学校读书我你他们"
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHARACTERS]
TEXTS = ["今天天[MASK]好", "[MASK]京是中[MASK]的首都", "我们在北京[MASK]"]

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def saved(folder, kind):
    """A random model of some class of transformers, and its vocabulary."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(TOKENS) + 3,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.4,
    )
    model = kind(config).eval()
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{t}\n" for t in TOKENS), "utf-8")
    return model


def rows(texts):
    return [Row({"text": text}) for text in texts]


@pytest.mark.parity
def test_the_likeliest_tokens_are_those_of_transformers(tmp_path):
    model = saved(tmp_path, transformers.BertForMaskedLM)
    answers = Filler(tmp_path).fill(rows(TEXTS), top=3)
    index = {token: number for number, token in enumerate(TOKENS)}
    for text, answer in zip(TEXTS, answers, strict=True):
        pieces = text.replace("[MASK]", "■")
        ids = [index["[MASK]"] if c == "■" else index[c] for c in pieces]
        row = [index["[CLS]"], *ids, index["[SEP]"]]
        with torch.no_grad():
            logits = model(torch.tensor([row])).logits[0].numpy().astype(np.float64)
        assert len(answer["masks"]) == text.count("[MASK]")
        for mask, place in zip(
            answer["masks"], np.flatnonzero(np.array(row) == 4), strict=True
        ):
            assert text[mask["start"] : mask["end"]] == "[MASK]"
            chances = np.exp(logits[place] - logits[place].max())
            chances /= chances.sum()
            best = sorted(range(5, len(TOKENS)), key=lambda i: -chances[i])[:3]
            assert [item["token"] for item in mask["tokens"]] == [
                TOKENS[i] for i in best
            ]
            for item, i in zip(mask["tokens"], best, strict=True):
                assert item["probability"] == pytest.approx(chances[i], abs=1e-4)


def test_a_text_that_cannot_be_filled_is_an_error_in_its_place(tmp_path):
    saved(tmp_path, transformers.BertForMaskedLM)
    texts = ["今天", TEXTS[0], "好" * 20 + "[MASK]", ""]
    plain, good, long, empty = Filler(tmp_path).fill(rows(texts), top=1)
    assert isinstance(plain, DataError) and "[MASK]" in str(plain)
    assert len(good["masks"]) == 1
    assert isinstance(long, DataError) and "at most 14 tokens" in str(long)
    assert isinstance(empty, DataError)


def test_a_model_without_the_head_is_refused(tmp_path):
    saved(tmp_path, transformers.BertModel)
    with pytest.raises(CheckpointError, match="masked-token head"):
        Filler(tmp_path)


def test_a_model_that_writes_is_refused(tmp_path):
    config = transformers.GPT2Config(
        vocab_size=len(TOKENS), n_positions=16, n_embd=16, n_layer=1, n_head=2
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("".join(f"{t}\n" for t in TOKENS), "utf-8")
    with pytest.raises(CheckpointError, match=r"masked-token head .* found a model"):
        Filler(tmp_path)
