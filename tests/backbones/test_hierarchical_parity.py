"""A BERT read past its positions: the decomposition, against bert4keras."""

from dataclasses import replace

import numpy as np
import pytest

from nlpcli.backbones import family_of
from nlpcli.engine.published import open_published
from tests.backbones.opened import batch_of, bert4keras, write_google

CONFIG = {
    "vocab_size": 70,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 6,
    "hidden_act": "gelu",
}


@pytest.mark.parity
@pytest.mark.slow
def test_longer_texts_equal_bert4keras(tmp_path):
    pytest.importorskip("bert4keras")
    write_google(tmp_path, family_of("bert"), CONFIG, ["backbone"])
    batch = batch_of(70, length=23)
    real = batch["padding_mask"]
    name = 'bert?{"hierarchical_position": 0.4}'
    expected = bert4keras(tmp_path, batch, name, "encoder")["encoder"]
    published = open_published(tmp_path)
    config = replace(published.config, hierarchical_positions=0.4)
    backbone = published.family.build(config)
    published.with_config(config).fill_backbone(backbone)
    states = np.asarray(backbone(batch["token_ids"], batch["segment_ids"], real))
    np.testing.assert_allclose(states[real], expected[real], atol=1e-4)
