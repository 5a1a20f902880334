"""Independent truth for linear chains: every path written out."""

from itertools import pairwise, product

import numpy as np


def all_paths(logits, start, transitions, end, allowed=None):
    """Each tag path of one row, with its score; forbidden paths left out."""
    length, tags = logits.shape
    for path in product(range(tags), repeat=length):
        if allowed is not None and not legal(path, allowed):
            continue
        score = start[path[0]] + end[path[-1]]
        score += sum(logits[t, tag] for t, tag in enumerate(path))
        score += sum(transitions[a, b] for a, b in pairwise(path))
        yield path, float(score)


def legal(path, allowed):
    start, transitions, end = allowed
    return (
        start[path[0]]
        and end[path[-1]]
        and all(transitions[a, b] for a, b in pairwise(path))
    )


def random_chain(seed, batch, length, tags, scale=2.0):
    """logits, mask (lengths from 0 to length), transitions, start, end: float32."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, length + 1, batch)
    lengths[0], lengths[-1] = length, 0
    mask = np.arange(length) < lengths[:, None]
    shapes = [(batch, length, tags), (tags, tags), (tags,), (tags,)]
    logits, *rest = (random.normal(0, scale, s).astype(np.float32) for s in shapes)
    return logits, mask, *rest
