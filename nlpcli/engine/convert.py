"""A published model, whatever its format, as a Hugging Face folder."""

from __future__ import annotations

import logging
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from nlpcli.backbones import bert
from nlpcli.backbones.bert_rules import BERT, check_sizes
from nlpcli.checkpoints.hf_folder import refuse_destination, write_hf_folder
from nlpcli.checkpoints.rules import RuleTable, load, resolve
from nlpcli.engine import build
from nlpcli.errors import UsageError
from nlpcli.text.tokenizers.load import load_tokenizer
from nlpcli.text.tokenizers.vocab import check_rows

logger = logging.getLogger("nlpcli")


def convert_model(
    source: Path, destination: Path, force: bool = False
) -> dict[str, Any]:
    """Write the backbone and every head that is all there, in float32.

    Returns what was written. Raises CheckpointError that lists the gaps of the
    backbone, or for a vocabulary larger than its table, and UsageError for a
    destination that exists; ``force`` replaces one that was written so before, never
    what is read. The folder appears whole.
    """
    if destination.resolve() == source.resolve():
        raise UsageError(f"{destination}: expected another folder than {source}")
    refuse_destination(destination, force, [source])
    checkpoint = build.open_source(source)
    config, raw = bert.read_config(source, checkpoint.dialect)
    tokenizer = load_tokenizer(source)
    check_rows(tokenizer.vocab, config.vocab_size, str(source))
    check_sizes(config.to_dict(), checkpoint)
    shapes = BERT.shapes({**raw, **config.to_dict()})
    parts = [
        part
        for part, dialects in BERT.parts.items()
        if part == "backbone"
        or not resolve(dialects[checkpoint.dialect], shapes[part], checkpoint).gaps
    ]
    logger.info(
        "reading %s (%s): %s; %s tokenizer of %d tokens",
        checkpoint.label,
        checkpoint.container,
        ", ".join(parts),
        tokenizer.kind,
        len(tokenizer.vocab.tokens),
    )
    if absent := [part for part in BERT.parts if part not in parts]:
        logger.info("not all there, so not written: %s", ", ".join(absent))
    wanted = {path: shape for part in parts for path, shape in shapes[part].items()}
    values = load(_rules(parts, checkpoint.dialect), wanted, checkpoint)
    published = bert.published_config(
        config, architectures=[_class(parts)], pad_token_id=tokenizer.vocab.pad_id
    )
    write_hf_folder(
        destination,
        values,
        _rules(parts, "hf"),
        published,
        tokenizer,
        force,
        sources=[source],
    )
    parameters = sum(value.size for value in values.values())
    logger.info("%s: written, %d parameters in float32", destination, parameters)
    return {
        "source": str(source),
        "destination": str(destination),
        "format": checkpoint.container,
        "parts": parts,
        "parameters": parameters,
        "files": sorted(path.name for path in destination.iterdir()),
    }


def _rules(parts: list[str], dialect: str) -> RuleTable:
    return reduce(add, (BERT.parts[part][dialect] for part in parts))


def _class(parts: list[str]) -> str:
    """The class of transformers that has these parts."""
    if "mlm" in parts:
        return "BertForPreTraining" if "nsp" in parts else "BertForMaskedLM"
    return "BertModel"
