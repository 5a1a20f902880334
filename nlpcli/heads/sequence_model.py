"""A backbone that writes: prefix or causal mask, tied output, loss on the targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from nlpcli.decoders.speaker import Speaker
from nlpcli.heads.language_model import language_model_head
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.heads.speaker import CacheSpeaker, StateSpeaker
from nlpcli.heads.task_model import BackboneModel
from nlpcli.layers import masks

Batch = Mapping[str, Any]
ATTENTION: dict[str, Callable[[Any, Any], Any]] = {
    "unilm": masks.unilm,
    "causal": masks.causal,
    "masked": lambda segment_ids, padding_mask: masks.padding(padding_mask),
}


class SequenceModel(BackboneModel):
    """Features of nlpcli.text.sequences to logits of their targets.

    ``attention``: "unilm" (segment 0 sees all of itself, what follows sees its past;
    Dong et al. 2019), "causal", or "masked" (all see all, as BERT was trained).
    Special tokens never come as noise.
    Logits: {"targets": (batch, targets, vocabulary)} float32.
    """

    reads = "token_ids"  # the feature in which targets stand, too

    def __init__(
        self,
        backbone: Any,
        options: SequenceOptions,
        attention: str,
        special_ids: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        config = backbone.config
        self.options = options
        self.attention = ATTENTION[attention]
        self.head = language_model_head(config, backbone.dtype_policy)
        ordinary = np.setdiff1d(np.arange(config.vocab_size), special_ids)
        self._ordinary = ordinary.astype(np.int32)
        self._noise = keras.random.SeedGenerator() if options.corruption else None
        self.built = True

    def call(self, inputs: Batch, training: bool = False) -> dict[str, Any]:
        if not training:
            return {"targets": self._pass(inputs, inputs[self.reads], False)}
        token_ids = self._corrupted(inputs)
        if self.options.r_drop:
            # Both halves in one batch: as in R-Drop (Liang et al. 2021), each row
            # meets two dropouts.
            inputs = {k: ops.concatenate([v, v]) for k, v in inputs.items()}
            token_ids = ops.concatenate([token_ids, token_ids])
        logits = {"targets": self._pass(inputs, token_ids, True)}
        before = logits["targets"]
        for number in range(1, self.options.tea_forn.n):
            before = self._pass(inputs, token_ids, True, self._written(before))
            logits[f"again_{number}"] = before
        return logits

    def task_loss(self, inputs: Batch, logits: Mapping[str, Any]) -> tuple[Any, Any]:
        """(total, weight): cross-entropy summed over targets, and their number."""
        mask = inputs["target_mask"]
        if self.options.r_drop:
            return self._r_drop_loss(inputs, logits["targets"])
        total, weight = self._cross_entropy(
            inputs["target_ids"], logits["targets"], mask
        )
        for number in range(1, self.options.tea_forn.n):
            # What a further pass can predict begins one target later each time.
            later = mask[:, number:]
            part, _ = self._cross_entropy(
                inputs["target_ids"][:, number:],
                logits[f"again_{number}"][:, number:],
                later,
            )
            total = total + part * self.options.tea_forn.decay**number
        return total, weight

    def published_parts(self) -> dict[str, Any]:
        """The output head is that of a masked language model."""
        return {"mlm": self.head}

    def attention_mask(self, inputs: Batch) -> Any:
        return self.attention(inputs["segment_ids"], inputs["padding_mask"])

    def walked(
        self, inputs: Batch, token_ids: Any, token_vectors: Any, training: bool
    ) -> Any:
        """Hidden states of ``token_ids``, which stand where ``reads`` says."""
        return self.backbone(
            token_ids,
            inputs["segment_ids"],
            training=training,
            attention_mask=self.attention_mask(inputs),
            token_vectors=token_vectors,
        )

    def own_ways(self) -> list[str]:
        if self.attention is masks.unilm:
            return ["the prefix mask: transformers looks at all tokens, or back only"]
        return []

    def logits(self, hidden_states: Any) -> Any:
        """(rows, hidden) -> (rows, vocabulary) float32."""
        table = self.backbone.output_table
        return self.head(hidden_states[None], token_table=table)[0]

    def states(self, inputs: Batch) -> Any:
        """What the head sees of each target: (batch, targets, hidden)."""
        return self._states(inputs, inputs[self.reads], False)

    def speaker(self, width: int, slots: int) -> Speaker:
        """What writes ``width`` hypotheses of at most ``slots`` tokens."""
        if self.backbone.config.attention == "linear":
            return StateSpeaker(self.backbone, self.logits, self.attention, width)
        return CacheSpeaker(self.backbone, self.logits, self.attention, width, slots)

    def room(self, tokens: int) -> int | None:
        """Most tokens of an answer to a prompt; None without a limit."""
        longest = self.backbone.config.longest
        return None if longest is None else longest - tokens

    def _pass(
        self, inputs: Batch, token_ids: Any, training: bool, written: Any = None
    ) -> Any:
        states = self._states(inputs, token_ids, training, written)
        table = self.backbone.output_table
        return self.head(states, token_table=table)

    def _states(
        self, inputs: Batch, token_ids: Any, training: bool, written: Any = None
    ) -> Any:
        token_vectors = None
        if written is not None:
            token_vectors = self._fed_back(inputs, token_ids, written)
        hidden_states = self.walked(inputs, token_ids, token_vectors, training)
        at = ops.cast(inputs["predict_at"], "int32")[..., None]
        return ops.take_along_axis(hidden_states, at, axis=1)

    def _corrupted(self, inputs: Batch) -> Any:
        """Token ids with some targets, as inputs, replaced by random tokens."""
        token_ids = inputs[self.reads]
        if self._noise is None:
            return token_ids
        shape = ops.shape(token_ids)
        places = ops.arange(shape[1])[None, :, None]
        here = ops.logical_and(
            places == inputs["predict_at"][:, None, :] + 1,
            inputs["target_mask"][:, None, :],
        )
        hit = keras.random.uniform(shape, seed=self._noise) < self.options.corruption
        index = keras.random.randint(shape, 0, len(self._ordinary), seed=self._noise)
        noise = ops.take(ops.convert_to_tensor(self._ordinary), index)
        return ops.where(ops.logical_and(ops.any(here, axis=-1), hit), noise, token_ids)

    def _written(self, logits: Any) -> Any:
        """Mean embedding of what a pass would write: (batch, targets, hidden)."""
        count = self.options.tea_forn.top_k
        if count is not None and count < logits.shape[-1]:
            least = ops.top_k(logits, count)[0][..., -1:]
            logits = ops.where(logits >= least, logits, -1e9)
        chances = ops.softmax(logits, axis=-1)
        table = ops.cast(self.backbone.token_embedding.embeddings, chances.dtype)
        shape = ops.shape(chances)
        flat = ops.matmul(ops.reshape(chances, (-1, shape[-1])), table)
        return ops.reshape(flat, (*shape[:-1], table.shape[-1]))

    def _fed_back(self, inputs: Batch, token_ids: Any, written: Any) -> Any:
        """Token vectors in which each target is what the pass before wrote for it."""
        vectors = self.backbone.token_embedding(token_ids)
        places = ops.arange(ops.shape(token_ids)[1])[None, :, None]
        here = ops.logical_and(
            places == inputs["predict_at"][:, None, :] + 1,
            inputs["target_mask"][:, None, :],
        )
        spread = ops.matmul(ops.cast(here, written.dtype), written)
        is_target = ops.any(here, axis=-1)[..., None]
        return ops.where(is_target, ops.cast(spread, vectors.dtype), vectors)

    def _cross_entropy(
        self, target_ids: Any, logits: Any, mask: Any
    ) -> tuple[Any, Any]:
        weights = ops.cast(mask, "float32")
        logp = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        index = ops.cast(target_ids, "int32")[..., None]
        loss = -ops.take_along_axis(logp, index, axis=-1)[..., 0]
        smoothing = self.options.label_smoothing
        if smoothing:
            loss = (1.0 - smoothing) * loss - smoothing * ops.mean(logp, axis=-1)
        return ops.sum(loss * weights), ops.sum(weights)

    def _r_drop_loss(self, inputs: Batch, logits: Any) -> tuple[Any, Any]:
        """Mean cross-entropy of both, and the weight times their divergence.

        alpha / 4 x (KL(p || q) + KL(q || p)), as in the r-drop release.
        """
        mask, target_ids = inputs["target_mask"], inputs["target_ids"]
        one, other = ops.split(logits, 2, axis=0)
        first, weight = self._cross_entropy(target_ids, one, mask)
        second, _ = self._cross_entropy(target_ids, other, mask)
        p, q = ops.log_softmax(one, axis=-1), ops.log_softmax(other, axis=-1)
        divergence = ops.sum((ops.exp(p) - ops.exp(q)) * (p - q), axis=-1)
        spread = ops.sum(divergence * ops.cast(mask, "float32"))
        return 0.5 * (first + second) + self.options.r_drop / 4.0 * spread, weight


def segment_rows(config: Any, vocab: Any) -> np.ndarray | None:
    """Ids of the tokens that tell segments; None where a table does, or one of them is
    not in the vocabulary."""
    found = [vocab.index.get(name) for name in config.segment_tokens.split()]
    return np.array(found, np.int32) if found and None not in found else None


def sequence_model(
    backbone: Any, options: SequenceOptions, attention: str, vocab: Any
) -> SequenceModel:
    """The model of a generation recipe; a stack that learnt to look back only does."""
    attention = "causal" if backbone.config.causal else attention
    backbone.segment_rows = segment_rows(backbone.config, vocab)
    return SequenceModel(backbone, options, attention, vocab.special_ids)
