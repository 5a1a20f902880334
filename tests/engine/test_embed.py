"""Vectors of a bare encoder: against transformers, in any order, from any batch."""

import json
import random

import numpy as np
import pytest

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.hf_folder import write_hf_folder
from nlpcli.engine.embed import Embedder
from nlpcli.engine.published import backbone_variables
from nlpcli.errors import CheckpointError, ConfigError, NotFoundError
from nlpcli.text.tokenizers.load import tiny_tokenizer
from tests.bert_family import BERT, RULES

TOKENIZER = tiny_tokenizer()
CONFIG = TransformerConfig(
    vocab_size=len(TOKENIZER.vocab.tokens),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=40,
    initializer_range=0.2,
)
RANDOM = random.Random(0)
TEXTS = ["怎么还花呗", "", "a" * 3, "长" * 100] + [
    "".join(RANDOM.choices("今天天气很好我们去公园散步吧", k=RANDOM.randint(1, 30)))
    for _ in range(40)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "model"
    backbone = Transformer(CONFIG)
    values = {
        name: np.asarray(variable)
        for name, variable in backbone_variables(backbone).items()
    }
    published = {**BERT.publish(CONFIG, ()), "query_prefix": "问", "pooling": "mean"}
    write_hf_folder(path, values, RULES["hf"], published, TOKENIZER)
    return path


@pytest.mark.parity
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_transformers(folder, pooling):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.BertModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    embedder = Embedder.open(folder, pooling=pooling)
    texts = [text for text in TEXTS if text]
    batch = tokenizer(
        ["问" + text for text in texts],
        return_tensors="pt",
        padding=True,
        truncation=True,
        max_length=40,
    )
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    pooled = states[:, 0] if pooling == "cls" else (states * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(pooled, dim=1).numpy()
    assert np.abs(embedder.encode(texts) - expected).max() < 1e-5


def test_order_and_company_change_nothing(folder):
    embedder = Embedder.open(folder, batch_size=6)
    together = embedder.encode(TEXTS)
    assert together.dtype == np.float32 and together.shape == (len(TEXTS), 32)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(TEXTS)), 1e-5)
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5
    parts = list(embedder.stream(iter(TEXTS), 7))
    assert [len(part) for part in parts] == [7] * 6 + [len(TEXTS) - 42]
    assert np.abs(np.concatenate(parts) - together).max() < 1e-5
    assert embedder.encode([]).shape == (0, 32)
    assert list(embedder.stream([])) == []


def test_streaming_reads_no_further_than_it_must(folder):
    asked = []

    def texts():
        for number in range(1000):
            asked.append(number)
            yield "你好"

    stream = Embedder.open(folder).stream(texts(), 10)
    next(stream)
    stream.close()
    assert len(asked) <= 40


def test_the_fingerprint_names_what_vectors_depend_on(folder, tmp_path):
    prints = {
        Embedder.open(folder).fingerprint,
        Embedder.open(folder, prefix="").fingerprint,
        Embedder.open(folder, pooling="cls").fingerprint,
    }
    assert len(prints) == 3
    again = Embedder.open(folder, pooling="mean", prefix="问", batch_size=3)
    assert again.fingerprint in prints


def test_what_cannot_be_opened(folder, tmp_path):
    with pytest.raises(NotFoundError, match="expected a run or a model folder"):
        Embedder.open(tmp_path / "none")
    with pytest.raises(ConfigError, match="one of cls, pooler, mean"):
        Embedder.open(folder, pooling="max")
    with pytest.raises(CheckpointError, match="expected a pooler"):
        Embedder.open(folder, pooling="pooler")
    (tmp_path / "run.json").write_text(json.dumps({}))
    with pytest.raises(ConfigError, match="a run has its own"):
        Embedder.open(tmp_path, prefix="问")


def test_a_model_that_looks_back_only_is_read_by_its_mean(tmp_path):
    pytest.importorskip("transformers")
    from tests.backbones.decoder_forms import save_form

    save_form("gpt2", tmp_path)
    assert Embedder.open(tmp_path).model.pooling.kind == "mean"
    with pytest.raises(ConfigError, match="pooling: expected mean, since the first"):
        Embedder.open(tmp_path, pooling="cls")
