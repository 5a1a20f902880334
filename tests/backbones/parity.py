"""Tiny published models in folders, and what they compute here and elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.engine.convert import convert_model
from nlpcli.engine.inspect import inspect
from nlpcli.engine.published import open_published
from nlpcli.heads.published_parts import PARTS
from nlpcli.heads.sequence_model import sequence_model
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.runtime.tf_checkpoint import write_tf_checkpoint
from nlpcli.text.tokenizers.load import load_tokenizer

VOCAB = 70
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TOLERANCE = 1e-4
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    # Larger than in life, so that a wrong formula shows.
    "initializer_range": 0.2,
}


def write_vocab(folder: Path) -> Path:
    """A vocab.txt of characters beside a model."""
    folder.mkdir(exist_ok=True)
    tokens = [*SPECIAL, *(chr(0x4E00 + i) for i in range(VOCAB - len(SPECIAL)))]
    (folder / "vocab.txt").write_text("".join(f"{t}\n" for t in tokens), "utf-8")
    return folder


def save(folder: Path, model: Any) -> Path:
    """A model of transformers in a folder, its biases and norms random as well."""
    import torch

    torch.manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name.lower():
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.eval().save_pretrained(folder)
    return write_vocab(folder)


def write_google(folder: Path, tensors: dict[str, Any], config: dict[str, Any]) -> Path:
    """A TensorFlow checkpoint of Google's."""
    write_vocab(folder)
    arrays = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
    write_tf_checkpoint(folder / "bert_model.ckpt", arrays)
    (folder / "bert_config.json").write_text(json.dumps(config))
    return folder


def google_names(state: dict[str, Any], *renamed: tuple[str, str]) -> dict[str, Any]:
    """Google's names and turned kernels of BERT-like ones of Hugging Face.

    ``renamed``: pieces of names and what stands for them, before all else.
    """
    found = {}
    for name, tensor in state.items():
        for old, new in renamed:
            name = name.replace(old, new)
        path, _, ending = name.rpartition(".")
        path = path.replace("encoder.layer.", "encoder.layer_").replace(".", "/")
        value = np.asarray(tensor)
        if "LayerNorm" in path:
            ending = {"weight": "/gamma", "bias": "/beta"}[ending]
        elif path.endswith("_embeddings"):
            ending = ""
        elif path in ("cls/predictions", "cls/seq_relationship"):
            ending = "/output_bias" if ending == "bias" else "/output_weights"
        elif ending == "weight":
            value, ending = value.T, "/kernel"
        else:
            ending = "/bias"
        found[path + ending] = np.ascontiguousarray(value)
    return found


def batch(pad_id: int = 0, rows: int = 4, length: int = 17) -> dict[str, np.ndarray]:
    """Rows of several lengths, padded on the right, of two segments."""
    rng = np.random.default_rng(0)
    mask = np.arange(length) < np.array([length, 9, 3, 1])[:rows, None]
    ids = np.where(mask, rng.integers(5, VOCAB, mask.shape), pad_id)
    segments = np.where(mask, rng.integers(0, 2, mask.shape), 0)
    return {
        "token_ids": ids.astype(np.int32),
        "segment_ids": segments.astype(np.int32),
        "padding_mask": mask,
    }


def ours(folder: Path, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Hidden states and what each part that is all there makes of them."""
    published = open_published(folder)
    published.check_sizes()
    backbone = published.family.build(published.config)
    published.fill_backbone(backbone)
    states = backbone(
        data["token_ids"],
        segment_ids=data["segment_ids"],
        padding_mask=data["padding_mask"],
    )
    found = {"backbone": states}
    for part in set(published.family.tables) - {"backbone"}:
        layer = PARTS[part][1](published.config)
        if published.fill_part(part, layer) is None:
            continue
        if part == "mlm":
            found[part] = layer(states, token_table=backbone.output_table)
        elif part == "discriminator":
            found[part] = layer(states)
        elif part == "pooler":
            found[part] = np.tanh(layer(states[:, 0]))
    if "pooler" in found:
        for part in ("nsp", "sop"):
            if part in published.family.tables:
                layer = PARTS[part][1](published.config)
                if published.fill_part(part, layer) is not None:
                    found[part] = layer(found["pooler"])
    return {part: np.asarray(value) for part, value in found.items()}


def theirs(model: Any, data: dict[str, np.ndarray], **names: str) -> dict[str, Any]:
    """The same of a model of transformers; ``names``: part -> its output's name."""
    import torch

    inputs = {k: torch.tensor(v).long() for k, v in data.items()}
    told = {
        "input_ids": inputs["token_ids"],
        "attention_mask": inputs["padding_mask"],
        "output_hidden_states": True,
    }
    if model.config.type_vocab_size > 1:
        told["token_type_ids"] = inputs["segment_ids"]
    with torch.no_grad():
        out = model(**told)
    found = {part: out[name].numpy() for part, name in names.items()}
    return {"backbone": out.hidden_states[-1].numpy(), **found}


def assert_same(one: dict[str, Any], other: dict[str, Any], mask: np.ndarray) -> None:
    """Every part of ``other`` is in ``one``, with the same numbers at real tokens."""
    for part, expected in other.items():
        found = one[part]
        if expected.ndim > 1 and expected.shape[:2] == mask.shape:
            found, expected = found[mask], expected[mask]
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, err_msg=part)
        assert np.std(expected) > 0.05, f"{part}: too even to show a wrong formula"


def converted(folder: Path, out: Path, loader: Any) -> Any:
    """The model of transformers that a converted folder is; no name misses."""
    convert_model(folder, out)
    model, info = loader.from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    assert not info["mismatched_keys"]
    return model.eval()


def bert4keras(
    folder: Path, data: dict[str, np.ndarray], model: str, *applications: str
) -> dict[str, np.ndarray]:
    """What bert4keras computes from a TensorFlow checkpoint, by application."""
    np.savez(folder / "in.npz", **{k: data[k] for k in ("token_ids", "segment_ids")})
    script = Path(__file__).parent / "bert4keras_states.py"
    words = [folder, folder / "in.npz", folder / "out.npz", model, *applications]
    done = subprocess.run(
        [sys.executable, script, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(folder / "out.npz"))


def writer(folder: Path, attention: str) -> Any:
    """A model that writes, all of its weights those of the folder."""
    published = open_published(folder)
    backbone = published.family.build(published.config)
    vocab = load_tokenizer(folder).vocab
    model = sequence_model(backbone, SequenceOptions(), attention, vocab)
    assert published.fill_part("mlm", model.head) is not None
    published.fill_backbone(backbone)
    return model


def assert_inspected(
    folder: Path, family: str, dialect: str, complete: set[str], absent: set[str]
) -> None:
    """What ``models inspect`` says of a folder."""
    report = inspect(folder)
    assert (report.family, report.dialect) == (family, dialect)
    assert report.supported and report.loads, report.notes
    assert report.parts == {
        **dict.fromkeys(complete, "complete"),
        **dict.fromkeys(absent, "absent"),
    }
    assert not report.missing_tensors and not report.unused, report.unused
