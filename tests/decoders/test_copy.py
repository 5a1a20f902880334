"""The copy constraint, run as the decoder does, against the spans counted by hand."""

import numpy as np
import pytest

from nlpcli.decoders.constraints import Context
from nlpcli.decoders.copy import SpanOfSource

VOCAB, END = 7, 6


def spans(source):
    """Every span, as a tuple of ids."""
    size = len(source)
    return {tuple(source[i:j]) for i in range(size) for j in range(i + 1, size + 1)}


def padded(sources, length):
    rows = np.full((len(sources), length), -1, np.int32)
    for row, source in zip(rows, sources, strict=True):
        row[: len(source)] = source
    return {"source_ids": rows}


def context(prompt, step):
    return Context(prompt, np.int32(step), np.full(len(prompt["source_ids"]), 99))


def language(source, length):
    """All that the constraint lets through: follow every allowed token, one a beam."""
    constraint = SpanOfSource(VOCAB, END)
    prompt = padded([source], length)
    open_, ended = [((), constraint.start(prompt, 1))], set()
    for step in range(len(source) + 2):
        after = []
        for tokens, state in open_:
            here = context(prompt, step)
            allowed = np.asarray(constraint.allowed(state, here))[0, 0]
            assert allowed.shape == (VOCAB,)
            for token in np.flatnonzero(allowed):
                if token == END:
                    ended.add(tokens)
                    continue
                chosen = np.array([[token]], np.int32)
                after.append(
                    ((*tokens, int(token)), constraint.advance(state, here, chosen))
                )
        open_ = after
    assert not open_, "an answer longer than its source"
    return ended


@pytest.mark.parametrize("seed", range(6))
def test_it_lets_through_exactly_the_spans(seed):
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 3, rng.integers(1, 7)).tolist()
    assert language(source, 8) == spans(source)


def test_random_walks_of_many_rows_and_beams_are_spans():
    rng = np.random.default_rng(0)
    sources = [rng.integers(0, 5, n).tolist() for n in (1, 9, 20, 24)]
    constraint = SpanOfSource(VOCAB, END)
    prompt = padded(sources, 24)
    width = 16
    state = constraint.start(prompt, width)
    walks = np.full((4, width, 26), END, np.int32)
    done = np.zeros((4, width), bool)
    for step in range(26):
        here = context(prompt, step)
        allowed = np.asarray(constraint.allowed(state, here))
        assert allowed.shape == (4, width, VOCAB)
        assert allowed[..., END].all() == (step > 0)
        tokens = np.argmax(np.where(allowed, rng.random(allowed.shape), -1), axis=-1)
        tokens = np.where(done, END, tokens).astype(np.int32)
        done |= tokens == END
        walks[..., step] = tokens
        state = constraint.advance(state, here, tokens)
    assert done.all()
    for row, source in zip(walks, sources, strict=True):
        for walk in row:
            answer = walk[: np.argmax(walk == END)].tolist()
            assert tuple(answer) in spans(source)


def test_a_source_without_tokens_allows_nothing_at_first():
    constraint = SpanOfSource(VOCAB, END)
    prompt = padded([[]], 4)
    state = constraint.start(prompt, 2)
    assert not np.asarray(constraint.allowed(state, context(prompt, 0))).any()
