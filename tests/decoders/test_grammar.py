"""The compiled constraint beside the automaton's own functions in numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.decoders import automaton as machine
from nlpcli.decoders.arithmetic import arithmetic
from nlpcli.decoders.constraints import Context
from nlpcli.decoders.grammar import (
    GRAMMAR_FIELDS,
    GrammarConstraint,
    grammar_features,
)
from nlpcli.text.batching import collate

CHARACTERS = "#0123456789.%+-*/^()"
VOCAB, END_ID = len(CHARACTERS) + 2, 0
NUMBERS = [["3", "12", "1"], ["0.5", "20%"], ["7"]]


def grammar(numbers, max_depth=2):
    return arithmetic(
        numbers,
        lambda text: [CHARACTERS.index(c) for c in text],
        END_ID,
        max_depth=max_depth,
    )


def batch_of(automata, edges):
    features = [grammar_features(automaton) for automaton in automata]
    rows = len(automata) + 1  # the last one is filler
    return collate(features, GRAMMAR_FIELDS, {"edges": edges}, rows)


def tokens_allowed(automaton, state, depth, remaining):
    edges = machine.allowed(automaton, state, depth, remaining)
    marks = np.zeros(VOCAB, bool)
    marks[automaton.token[edges]] = True
    return marks


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_it_is_the_automaton(seed, limit):
    """Random walks of a padded batch, two hypotheses a row, each of its own."""
    rng = np.random.default_rng(seed)
    automata = [grammar(numbers) for numbers in NUMBERS]
    limits = np.array([limit, limit + 3, limit + 1, limit], np.int32)
    prompt = batch_of(automata, max(a.source.size for a in automata) + 5)
    constraint = GrammarConstraint(VOCAB)
    states = constraint.start(prompt, 2)
    own = [[(machine.START, 0)] * 2 for _ in automata]
    for step in range(int(limits.max())):
        context = Context(prompt, np.int32(step), limits)
        found = np.asarray(constraint.allowed(states, context))
        assert found.shape == (4, 2, VOCAB)
        assert not found[3].any(), "nothing is open in a row of filler"
        tokens = rng.integers(0, VOCAB, (4, 2))
        for row, automaton in enumerate(automata):
            for place, (state, depth) in enumerate(own[row]):
                open_ = tokens_allowed(automaton, state, depth, limits[row] - step)
                assert (found[row, place] == open_).all()
                if open_.any() and rng.random() < 0.95:
                    tokens[row, place] = rng.choice(np.flatnonzero(open_))
                after = machine.step(automaton, state, depth, tokens[row, place])
                own[row][place] = tuple(map(int, after))
        states = constraint.advance(states, context, tokens.astype(np.int32))
        for row, expected in enumerate(own):
            found_states = np.stack([np.asarray(x)[row] for x in states], axis=1)
            assert [tuple(item) for item in found_states.tolist()] == expected


def test_no_room_is_nothing_allowed():
    prompt = batch_of([grammar(["12"])], 64)
    constraint = GrammarConstraint(VOCAB)
    for limit, possible in ((2, False), (3, True)):
        context = Context(prompt, np.int32(0), np.full(2, limit, np.int32))
        found = np.asarray(constraint.allowed(constraint.start(prompt, 1), context))
        assert found[0].any() == possible


def test_a_token_that_was_not_allowed_is_the_end_of_the_way():
    prompt = batch_of([grammar(["7"])], 64)
    constraint = GrammarConstraint(VOCAB)
    context = Context(prompt, np.int32(0), np.full(2, 9, np.int32))
    wrong = np.full((2, 1), CHARACTERS.index(")"), np.int32)
    state = constraint.advance(constraint.start(prompt, 1), context, wrong)
    assert np.asarray(state[0])[0, 0] == machine.DEAD
    assert not np.asarray(constraint.allowed(state, context)).any()


@pytest.mark.parametrize("name", machine.Automaton._fields[:5])
def test_every_array_of_edges_is_a_feature(name):
    automaton = grammar(["7"])
    features = grammar_features(automaton)
    assert (features[f"edge_{name}"] == getattr(automaton, name)).all()
    assert features.keys() == GRAMMAR_FIELDS.keys()
