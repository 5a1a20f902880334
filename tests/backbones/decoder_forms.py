"""Tiny random decoders of transformers, in the forms that people hold."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.engine.published import open_published
from nlpcli.heads.sequence_model import sequence_model
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.text.tokenizers.load import load_tokenizer

VOCAB, POSITIONS, LAYERS, HEADS, HIDDEN = 70, 64, 3, 4, 32
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[speaker1]", "[speaker2]")
END = SPECIAL.index("[SEP]")
_GPT = {
    "vocab_size": VOCAB,
    "n_positions": POSITIONS,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_embd": HIDDEN,
    # Larger than in life, so that a wrong formula shows.
    "initializer_range": 0.2,
    "bos_token_id": 2,
    "eos_token_id": END,
    "pad_token_id": 0,
}
_LLAMA = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.2,
    "bos_token_id": 2,
    "eos_token_id": END,
    "pad_token_id": 0,
}
# Name -> family, beginning of transformers' classes, end of that which writes, values.
FORMS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "gpt2": ("gpt2", "GPT2", "LMHeadModel", _GPT),
    "gpt2-odd": (
        "gpt2",
        "GPT2",
        "LMHeadModel",
        {
            **_GPT,
            "n_inner": 40,
            "activation_function": "relu",
            "scale_attn_weights": False,
            "tie_word_embeddings": False,
        },
    ),
    "openai-gpt": ("openai-gpt", "OpenAIGPT", "LMHeadModel", _GPT),
    "llama": ("llama", "Llama", "ForCausalLM", _LLAMA),
    "llama-biased": (
        "llama",
        "Llama",
        "ForCausalLM",
        {
            **_LLAMA,
            "attention_bias": True,
            "tie_word_embeddings": True,
            "head_dim": 12,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
        },
    ),
    "mistral": (
        "llama",
        "Mistral",
        "ForCausalLM",
        {**_LLAMA, "sliding_window": 40},
    ),
    "qwen2": (
        "llama",
        "Qwen2",
        "ForCausalLM",
        {**_LLAMA, "tie_word_embeddings": True},
    ),
    "qwen3": ("llama", "Qwen3", "ForCausalLM", {**_LLAMA, "head_dim": 16}),
}


@dataclass(frozen=True)
class Pair:
    """A model of transformers in a folder, and ours from it."""

    folder: Path
    theirs: Any
    published: Any
    ours: Any


def save_form(name: str, folder: Path, ends: float = 0.0) -> Any:
    """transformers' model of a form, its weights and a vocabulary in a folder.

    ``ends``: about how likely the end is after any token, 0 for what comes of it.
    """
    import torch
    import transformers

    _, start, end, values = FORMS[name]
    torch.manual_seed(1)
    config = getattr(transformers, f"{start}Config")(**values)
    model = getattr(transformers, start + end)(config).eval()
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 1:  # biases and norms, which begin as zeros and ones
                value.add_(0.2 * torch.randn(value.shape))
    if ends:
        _let_it_end(model, ends)
    model.save_pretrained(folder)
    write_vocab(folder)
    return model


def _let_it_end(model: Any, share: float) -> None:
    """Turn the end's row of the output towards what hidden states have in common."""
    import torch

    token_ids, _ = random_batch(5, (40,) * 8)
    with torch.no_grad():
        found = model(
            torch.tensor(token_ids, dtype=torch.long), output_hidden_states=True
        )
        states = found.hidden_states[-1].reshape(-1, HIDDEN)
        mean = states.mean(0)
        others = torch.logsumexp(found.logits, -1).mean()
        scale = (others + np.log(share)) / (states @ mean).mean()
        model.get_output_embeddings().weight[END] = scale * mean


def write_vocab(folder: Path) -> None:
    """A vocab.txt of Han characters."""
    tokens = [*SPECIAL, *(chr(0x4E00 + i) for i in range(VOCAB - len(SPECIAL)))]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")


def open_pair(name: str, folder: Path, ends: float = 0.0) -> Pair:
    """A form, saved and opened through our door."""
    theirs = save_form(name, folder, ends)
    published = open_published(folder)
    return Pair(folder, theirs, published, writing_model(published))


def writing_model(published: Any) -> Any:
    """The model that writes, all of it filled from a file."""
    published.check_sizes()
    config = replace(published.config, hidden_dropout_prob=0.0)
    backbone = published.family.build(config)
    vocab = load_tokenizer(published.folder).vocab
    model = sequence_model(backbone, SequenceOptions(), "unilm", vocab)
    assert published.fill_part("mlm", model.head) is not None
    published.fill_backbone(backbone)
    return model


def random_batch(seed: int = 0, lengths: tuple[int, ...] = (21, 9, 3, 1)) -> Any:
    """token_ids and padding_mask, padded on the right."""
    rng = np.random.default_rng(seed)
    real = np.arange(max(lengths)) < np.array(lengths)[:, None]
    ids = rng.integers(len(SPECIAL), VOCAB, real.shape)
    return np.where(real, ids, 0).astype(np.int32), real


def their_outputs(model: Any, token_ids: np.ndarray, real: np.ndarray) -> Any:
    """Hidden states after the last norm, and logits."""
    import torch

    with torch.no_grad():
        found = model(
            torch.tensor(token_ids, dtype=torch.long),
            attention_mask=torch.tensor(real).long(),
            output_hidden_states=True,
        )
    return found.hidden_states[-1].numpy(), found.logits.numpy()


def our_logits(
    model: Any, token_ids: np.ndarray, real: np.ndarray, segments: Any = None
) -> np.ndarray:
    """Logits of every place: (batch, length, vocabulary). No segments, none count."""
    places = np.tile(np.arange(token_ids.shape[1], dtype=np.int32), (len(real), 1))
    batch = {
        "token_ids": token_ids,
        "segment_ids": np.zeros_like(token_ids) if segments is None else segments,
        "padding_mask": real,
        "predict_at": places,
    }
    backbone = model.backbone
    rows = backbone.segment_rows
    backbone.segment_rows = None if segments is None else rows
    logits = np.asarray(model(batch)["targets"])
    backbone.segment_rows = rows
    return logits
