"""A published model, whatever its format, as a Hugging Face folder."""

from __future__ import annotations

import logging
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.hf_folder import refuse_destination, write_hf_folder
from nlpcli.checkpoints.rows import Rows
from nlpcli.checkpoints.rules import RuleTable, load
from nlpcli.engine.pruning import CHINESE, chosen_pieces, pruned
from nlpcli.engine.published import open_published
from nlpcli.engine.shapes import part_shapes
from nlpcli.errors import CheckpointError, UsageError
from nlpcli.text.layouts import start_id
from nlpcli.text.tokenizers.load import load_tokenizer
from nlpcli.text.tokenizers.vocab import Vocab, check_rows

logger = logging.getLogger("nlpcli")


def convert_model(
    source: Path,
    destination: Path,
    force: bool = False,
    pieces: str | None = None,
    least: int = 1,
) -> dict[str, Any]:
    """Write the backbone and every head that is all there, in float32.

    ``pieces``: keep only the rows of the vocabulary that Chinese needs ("chinese"), or
    that the lines of a file are cut into ``least`` times (``chosen_pieces``).

    Returns what was written. Raises CheckpointError that lists the gaps of the
    backbone, or for a vocabulary larger than its table, and UsageError for a
    destination that exists; ``force`` replaces one that was written so before, never
    what is read. The folder appears whole.
    """
    if least != 1 and pieces in (None, CHINESE):
        raise UsageError("--least: expected a file of text beside it (--pieces FILE)")
    if destination.resolve() == source.resolve():
        raise UsageError(f"{destination}: expected another folder than {source}")
    refuse_destination(destination, force, [source])
    published = open_published(source)
    config, checkpoint, family = published.config, published.source, published.family
    tokenizer = load_tokenizer(source)
    check_rows(tokenizer.vocab, config.vocab_size, str(source))
    published.check_sizes()
    if untold := published.untold_blocks():
        raise CheckpointError(f"{untold}: expected as many")
    kept, size = None, config.vocab_size
    if pieces is not None:
        used = chosen_pieces(tokenizer, pieces, least)
        tokenizer, config, kept = pruned(tokenizer, config, used)
        logger.info("%d of %d pieces are kept", len(kept), size)
        published = published.with_config(config)
    rows = Rows() if kept is None else Rows(kept, (), size)
    shapes = {part: part_shapes(family, config, part) for part in family.tables}
    parts = [
        part
        for part in family.tables
        if part == "backbone"
        or (shapes[part] and not published.plan(part, shapes[part], rows).gaps)
    ]
    logger.info(
        "reading %s (%s): %s; %s tokenizer of %d tokens",
        checkpoint.label,
        checkpoint.container,
        ", ".join(parts),
        tokenizer.kind,
        len(tokenizer.vocab.tokens),
    )
    if absent := [part for part in shapes if shapes[part] and part not in parts]:
        logger.info("not all there, so not written: %s", ", ".join(absent))
    wanted = {path: shape for part in parts for path, shape in shapes[part].items()}
    rules = _rules(family, parts, published.dialect)
    values = load(
        rules,
        wanted,
        checkpoint,
        shares=config.shares,
        kept_rows=kept,
        table_rows=None if kept is None else size,
    )
    write_hf_folder(
        destination,
        values,
        _rules(family, parts, family.written(config)),
        {**token_ids(tokenizer.vocab, config), **family.publish(config, parts)},
        tokenizer,
        force,
        sources=[source],
        shares=config.shares,
        buffers=family.buffers(config),
    )
    parameters = sum(value.size for value in values.values())
    logger.info("%s: written, %d parameters in float32", destination, parameters)
    return {
        "source": str(source),
        "destination": str(destination),
        "format": checkpoint.container,
        "parts": parts,
        "pieces": len(tokenizer.vocab.tokens),
        "parameters": parameters,
        "files": sorted(path.name for path in destination.iterdir()),
    }


def token_ids(vocab: Vocab, config: TransformerConfig) -> dict[str, int | None]:
    """The tokens that transformers looks for in a configuration."""
    ids: dict[str, int | None] = {"pad_token_id": vocab.pad_id}
    if config.causal:
        ids |= {"bos_token_id": vocab.begin_id, "eos_token_id": vocab.end_id}
    if config.num_decoder_layers:
        start = start_id(vocab, config.decoder_start)
        ids |= {"eos_token_id": vocab.end_id, "decoder_start_token_id": start}
    return ids


def _rules(family: Family, parts: list[str], dialect: str) -> RuleTable:
    return reduce(add, (family.rules(part, dialect) for part in parts))
