"""The masked language model head against transformers' BertForMaskedLM."""

import numpy as np
import pytest

from nlpcli.engine.published import open_published
from nlpcli.heads.language_model import language_model_head


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
    published = open_published(tmp_path)
    backbone = published.family.build(published.config)
    published.fill_backbone(backbone)
    head = language_model_head(published.config)
    assert published.fill_part("mlm", head)
    token_ids = np.random.default_rng(0).integers(0, 50, (2, 9)).astype(np.int32)
    ours = head(backbone(token_ids), token_table=backbone.token_embedding.embeddings)
    with torch.no_grad():
        expected = theirs(torch.tensor(token_ids, dtype=torch.long)).logits.numpy()
    np.testing.assert_allclose(np.asarray(ours), expected, atol=1e-4)
