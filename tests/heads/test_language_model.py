"""The masked language model head against transformers' BertForMaskedLM."""

import numpy as np
import pytest

from nlpcli.backbones import bert
from nlpcli.backbones.bert_rules import MLM_RULES
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.rules import load
from nlpcli.engine.build import fill_backbone, open_source
from nlpcli.heads.language_model import MaskedLanguageModelHead


@pytest.mark.parity
def test_logits_equal_transformers(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    theirs = transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=50,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=40,
            initializer_range=0.2,
        )
    ).eval()
    torch.nn.init.normal_(theirs.cls.predictions.bias)
    theirs.save_pretrained(tmp_path)
    source = open_source(tmp_path)
    config, _ = bert.read_config(tmp_path, source.dialect)
    backbone = Transformer(config)
    fill_backbone(backbone, source)
    head = MaskedLanguageModelHead(
        config.hidden_size, config.vocab_size, config.hidden_act
    )
    variables = {v.path: v for v in head.variables}
    shapes = {path: tuple(v.shape) for path, v in variables.items()}
    for path, value in load(MLM_RULES["hf"], shapes, source).items():
        variables[path].assign(value)
    token_ids = np.random.default_rng(0).integers(0, 50, (3, 11)).astype(np.int32)
    ours = head(backbone(token_ids), token_table=backbone.token_embedding.embeddings)
    with torch.no_grad():
        expected = theirs(torch.tensor(token_ids, dtype=torch.long)).logits.numpy()
    np.testing.assert_allclose(np.asarray(ours), expected, atol=1e-4)
