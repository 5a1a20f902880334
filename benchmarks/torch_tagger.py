"""The peer of train_ner.py: the same tagger written for PyTorch and transformers.

BertModel, characters lifted from their pieces, one width-3 convolution, CRF; length
grouping, dynamic padding, fused AdamW: what a careful user of transformers writes.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import BertConfig, BertModel


class Tagger(nn.Module):
    """Batches as nlpcli's, values as torch tensors."""

    def __init__(self, config: dict[str, Any], labels: int) -> None:
        super().__init__()
        known = {k: v for k, v in config.items() if k != "architectures"}
        self.bert = BertModel(BertConfig(**known), add_pooling_layer=False)
        size = config["hidden_size"]
        self.project = nn.Linear(size, size)
        self.places = nn.Embedding(8, size)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(0.1)
        self.convolution = nn.Conv1d(size, size, 3, padding=1)
        self.emissions = nn.Linear(size, labels)
        self.transitions = nn.Parameter(torch.zeros(labels, labels))
        self.starts = nn.Parameter(torch.zeros(labels))
        self.ends = nn.Parameter(torch.zeros(labels))

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Emission scores: (batch, characters, labels)."""
        states = self.bert(
            batch["token_ids"], attention_mask=batch["padding_mask"].long()
        ).last_hidden_state
        index = batch["char_to_token"][..., None].expand(-1, -1, states.shape[-1])
        lifted = states.gather(1, index)
        words = self.bert.embeddings.word_embeddings(batch["char_ids"])
        lifted = lifted + self.project(words) + self.places(batch["char_places"])
        mask = batch["char_mask"][..., None]
        lifted = self.dropout(self.norm(lifted)) * mask
        moved = self.convolution(lifted.transpose(1, 2)).transpose(1, 2)
        return self.emissions((lifted + nn.functional.gelu(moved)) * mask)

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean negative log-likelihood of the tags."""
        # half precision sums badly: what follows the logits is float32
        logits, mask, tags = self(batch).float(), batch["char_mask"], batch["tags"]
        alpha = self.starts + logits[:, 0]
        gold = self.starts[tags[:, 0]] + _pick(logits[:, 0], tags[:, 0])
        for t in range(1, logits.shape[1]):
            step = torch.logsumexp(alpha[:, :, None] + self.transitions, 1)
            alpha = torch.where(mask[:, t, None], step + logits[:, t], alpha)
            move = self.transitions[tags[:, t - 1], tags[:, t]]
            gold = gold + (move + _pick(logits[:, t], tags[:, t])) * mask[:, t]
        last = tags.gather(1, mask.sum(1, keepdim=True) - 1)[:, 0]
        total = torch.logsumexp(alpha + self.ends, 1)
        return (total - gold - self.ends[last]).mean()

    @torch.no_grad()
    def decode(self, batch: dict[str, torch.Tensor]) -> list[list[int]]:
        """Best tags of each row, by Viterbi."""
        logits, lengths = self(batch).float(), batch["char_mask"].sum(1).tolist()
        mask, transitions = batch["char_mask"], self.transitions.float()
        score, back = self.starts.float() + logits[:, 0], []
        for t in range(1, logits.shape[1]):
            best, index = (score[:, :, None] + transitions).max(1)
            score = torch.where(mask[:, t, None], best + logits[:, t], score)
            back.append(index)
        finals = (score + self.ends.float()).argmax(1).tolist()
        pointers = torch.stack(back).numpy() if back else np.zeros((0, 1, 1), int)
        rows = []
        for row, (tag, length) in enumerate(zip(finals, lengths, strict=True)):
            path = [tag]
            for t in range(length - 2, -1, -1):
                path.append(int(pointers[t, row, path[-1]]))
            rows.append(path[::-1])
        return rows


def _pick(scores: torch.Tensor, tags: torch.Tensor) -> torch.Tensor:
    return scores.gather(1, tags[:, None])[:, 0]


def to_torch(batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Numpy batch to tensors; indices as int64, as torch wants them."""
    return {
        name: torch.from_numpy(v.astype(np.int64) if v.dtype == np.int32 else v)
        for name, v in batch.items()
    }


def batches_of(items: list[Any], size: int) -> list[list[Any]]:
    """Neighbouring items in lists of ``size``."""
    iterator = iter(items)
    return list(iter(lambda: list(itertools.islice(iterator, size)), []))
