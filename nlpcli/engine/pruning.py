"""A smaller vocabulary: which pieces stay, and what else moves with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from nlpcli.backbones.config import TransformerConfig
from nlpcli.errors import DataError, UsageError
from nlpcli.records.lines import read_lines
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.tokenizers.load import subset
from nlpcli.text.tokenizers.pieces import chinese_pieces

CHINESE = "chinese"


def pruned(
    tokenizer: Tokenizer, config: TransformerConfig, used: Iterable[int]
) -> tuple[Tokenizer, TransformerConfig, np.ndarray]:
    """Tokenizer and sizes with only the ids used and the special ones; the old ids."""
    index, first = tokenizer.vocab.index, config.decoder_start
    told = [index[x] for x in config.segment_tokens.split() if x in index]
    told += [first] * (first >= 0)
    small, kept = subset(tokenizer, [*used, *told])
    moved = first if first < 0 else int(np.searchsorted(kept, first))
    sizes = replace(config, vocab_size=len(small.vocab.tokens), decoder_start=moved)
    return small, sizes, kept


def chosen_pieces(tokenizer: Tokenizer, pieces: str, least: int = 1) -> list[int]:
    """The ids that "chinese" text needs, or those that the lines of a file need.

    Of a file: special tokens, bytes, sentinels, and what its lines are cut into at
    least ``least`` times. Raises DataError for a file without text.
    """
    if not pieces:
        raise UsageError('--pieces: expected "chinese" or a file of text, got ""')
    if pieces == CHINESE:
        return chinese_pieces(tokenizer.vocab)
    counts: Counter[int] = Counter()
    for _, line in read_lines(Path(pieces)):
        counts.update(tokenizer.encode(line).token_ids.tolist())
    if not counts:
        raise DataError(f"{pieces}: expected lines of text, got none")
    if max(counts.values()) < least:
        raise DataError(
            f"{pieces}: expected pieces found {least} times, the most frequent "
            f"is found {max(counts.values())} times (--least)"
        )
    return chinese_pieces(tokenizer.vocab, counts, least)
