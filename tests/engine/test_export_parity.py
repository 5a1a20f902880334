"""An exported run gives transformers the same hidden states."""

import numpy as np
import pytest

from nlpcli.config.loader import resolve
from nlpcli.engine.export import export_run
from nlpcli.engine.predict import Predictor
from nlpcli.engine.train import train

TEXTS = ["王小明在北京大学读书。", "2024年5月,她去了杭州西湖。"]


@pytest.mark.parity
@pytest.mark.slow
def test_transformers_loads_an_exported_run(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = resolve(
        "ner", flags={"train.max_steps": 3, "data.limit": 48, "backbone.dropout": 0.0}
    )
    result = train(config, out=tmp_path / "run")
    report = export_run(result.run, tmp_path / "hf")
    assert report["max_difference"] < 1e-4
    model = transformers.AutoModel.from_pretrained(tmp_path / "hf").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    predictor = Predictor(result.run)
    for text in TEXTS:
        encoded = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            expected = model(**encoded).last_hidden_state.numpy()
        vocab, ids = predictor.recipe.tokenizer.vocab, encoded["input_ids"].numpy()
        ours = predictor.recipe.tokenizer.encode(text).token_ids
        assert ids[0].tolist() == [vocab.begin_id, *ours, vocab.end_id]
        states = predictor.model.backbone(
            ids.astype(np.int32), padding_mask=np.ones(ids.shape, bool)
        )
        np.testing.assert_allclose(np.asarray(states), expected, atol=1e-4)
