"""The peer of sentence vectors: transformers' BERT, mean pooling, sorted batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np


def torch_encoder(
    folder: Path, batch_size: int, threads: int, precision: str
) -> Callable[[list[str]], np.ndarray]:
    """Texts to float32 vectors of length 1: batches of the sorted texts, padded to
    their longest; ``precision``: of the weights, as torch calls it."""
    import torch
    import transformers
    from tokenizers import Tokenizer

    torch.set_num_threads(threads)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(512)
    model = transformers.BertModel.from_pretrained(
        folder, dtype=getattr(torch, precision), add_pooling_layer=False
    ).eval()

    def encode(texts: list[str]) -> np.ndarray:
        read = [torch.tensor(found.ids) for found in tokenizer.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda i: -len(read[i]))
        out = np.empty((len(texts), model.config.hidden_size), np.float32)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            rows = [read[i] for i in chosen]
            ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
            lengths = torch.tensor([len(row) for row in rows])
            mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
            with torch.inference_mode():
                states = model(input_ids=ids, attention_mask=mask).last_hidden_state
                mask = mask[..., None]
                pooled = (states.float() * mask).sum(1) / mask.sum(1)
                out[chosen] = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return out

    return encode
