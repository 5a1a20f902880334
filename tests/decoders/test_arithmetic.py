"""The grammar against the parser and brute force, under two ways to cut numbers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.decoders.arithmetic import EXPONENTS, OPERATORS, arithmetic
from nlpcli.decoders.automaton import (
    DEAD,
    END,
    START,
    Automaton,
    allowed,
    build,
    least_tokens,
    stack,
    step,
)
from nlpcli.text.expression import (
    ExpressionError,
    Negative,
    Node,
    Number,
    Operation,
    expression_text,
    parse,
    tokens,
)
from nlpcli.text.rational import evaluate

END_ID = 0
CHARACTERS = "#0123456789.%+-*/^()"
PIECES = (*CHARACTERS, "12", "100", "3.", "20")

Encode = Callable[[str], list[int]]


def by_character(text: str) -> list[int]:
    return [CHARACTERS.index(character) for character in text]


def by_piece(text: str) -> list[int]:
    """The longest piece first, as a word-piece tokenizer cuts."""
    ids: list[int] = []
    while text:
        piece = max((p for p in PIECES if text.startswith(p)), key=len)
        ids.append(PIECES.index(piece))
        text = text.removeprefix(piece)
    return ids


def text_of(token_ids: list[int]) -> str:
    return "".join(PIECES[token] for token in token_ids)


ENCODERS = st.sampled_from([by_character, by_piece])
NUMBERS = st.lists(
    st.sampled_from(["1", "2", "12", "120", "1.2", "3.14", "20%", "20", "100", "0.5"]),
    min_size=1,
    max_size=6,
)


def walk(
    automaton: Automaton, budget: int, choose: Callable[[np.ndarray], int]
) -> list[int]:
    """Tokens of one path of at most ``budget``, end token left off."""
    state, depth = np.int32(START), np.int32(0)
    written: list[int] = []
    for used in range(budget):
        edges = np.flatnonzero(allowed(automaton, state, depth, budget - used))
        assert edges.size, f"dead end behind {text_of(written)}"
        token = automaton.token[choose(edges)]
        state, depth = step(automaton, state, depth, token)
        assert state != DEAD
        if state == END:
            return written
        written.append(int(token))
    raise AssertionError(f"no end within {budget}: {text_of(written)}")


@settings(deadline=None)
@given(NUMBERS, ENCODERS, st.integers(0, 14), st.integers(0, 4), st.randoms())
def test_every_walk_ends_in_time_as_an_expression(
    numbers: list[str],
    encode: Encode,
    spare: int,
    max_depth: int,
    choices: random.Random,
) -> None:
    automaton = arithmetic(numbers, encode, END_ID, max_depth=max_depth)
    budget = least_tokens(automaton) + spare
    text = text_of(walk(automaton, budget, lambda edges: choices.choice(list(edges))))
    parse(text)
    assert {t for t in tokens(text) if t[0].isdigit()} <= {*numbers, *EXPONENTS}
    assert _depth(text) <= max_depth
    try:
        evaluate(text)
    except ExpressionError as error:
        assert "division by zero" in str(error) or "overflow" in str(error)


@settings(deadline=None)
@given(NUMBERS, st.integers(0, 14), st.integers(0, 3))
def test_a_walk_that_opens_all_it_can_still_closes(
    numbers: list[str], spare: int, max_depth: int
) -> None:
    automaton = arithmetic(numbers, by_character, END_ID, max_depth=max_depth)

    def deepest(edges: np.ndarray) -> int:
        return int(edges[automaton.depth[edges].argmax()])

    walk(automaton, least_tokens(automaton) + spare, deepest)


def _depth(text: str) -> int:
    inside = [text[:n].count("(") - text[:n].count(")") for n in range(len(text) + 1)]
    return max(inside)


@pytest.mark.parametrize("encode", [by_character, by_piece])
@pytest.mark.parametrize("length", [2, 3, 4, 5, 6])
def test_lets_through_what_the_grammar_says_and_no_more(
    encode: Encode, length: int
) -> None:
    """Every text of up to four tokens and many of five, and a budget too small."""
    vocabulary = [*"12+-/^()", "12"]
    automaton = arithmetic(["1", "12"], encode, END_ID, exponents=["2"], max_depth=1)
    texts = list(product(vocabulary, repeat=length - 1))
    for pieces in random.Random(3).sample(texts, min(len(texts), 6561)):
        token_ids = [PIECES.index(piece) for piece in pieces]
        if encode is by_character and "12" in pieces:
            continue
        good = _grammatical("".join(pieces)) and (
            token_ids == [i for t in tokens("".join(pieces)) for i in encode(t)]
        )
        assert _accepts(automaton, token_ids, length) == good, pieces
        assert not _accepts(automaton, token_ids, length - 1)


def _grammatical(text: str) -> bool:
    """The grammar for the numbers 1 and 12, the power 2 and no nested brackets."""
    value = "(?:12|1)"
    for _ in range(2):
        factor = rf"{value}(?:\^2)?"
        expression = rf"-?{factor}(?:[+\-/*]{factor})*"
        value = rf"(?:12|1|\({expression}\))"
        if re.fullmatch(expression, text):
            return True
    return False


def _accepts(automaton: Automaton, token_ids: list[int], budget: int) -> bool:
    state, depth = np.int32(START), np.int32(0)
    for used, token in enumerate([*token_ids, END_ID]):
        edges = allowed(automaton, state, depth, budget - used)
        if not (edges & (automaton.token == token)).any():
            return False
        state, depth = step(automaton, state, depth, np.int32(token))
    return bool(state == END)


def _grow(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    plain = st.builds(Operation, st.sampled_from("+-*/"), inner, inner)
    square = inner.map(lambda node: Operation("^", node, Number("2")))
    return st.one_of(plain, plain, inner.map(Negative), square)


@settings(deadline=None)
@given(
    st.recursive(
        st.sampled_from(["1", "12", "3.14", "20%"]).map(Number), _grow, max_leaves=8
    ),
    ENCODERS,
)
def test_accepts_what_is_written_of_any_tree(tree: Node, encode: Encode) -> None:
    text = expression_text(tree)
    if "^2^" in text:  # a power of a power is no factor of the grammar
        return
    token_ids = [token for piece in tokens(text) for token in encode(piece)]
    numbers = ["1", "12", "3.14", "20%", "2"]
    depth = _depth(text)
    automaton = arithmetic(numbers, encode, END_ID, max_depth=depth)
    assert _accepts(automaton, token_ids, len(token_ids) + 1)
    assert not _accepts(automaton, token_ids, len(token_ids))
    if depth:
        shallow = automaton._replace(max_depth=np.int32(depth - 1))
        assert not _accepts(shallow, token_ids, len(token_ids) + 1)


@settings(deadline=None, max_examples=25)
@given(st.lists(NUMBERS, min_size=2, max_size=4), st.randoms())
def test_a_stack_is_each_of_its_rows(
    batch: list[list[str]], choices: random.Random
) -> None:
    automata = [arithmetic(numbers, by_piece, END_ID) for numbers in batch]
    size = max(automaton.source.size for automaton in automata) + 3
    stacked = stack(automata, size)
    for automaton in automata:
        assert step(automaton, START, 0, 10**6)[0] == DEAD
    state = np.array([choices.randrange(-1, 12) for _ in batch], np.int32)
    depth = np.array([choices.randrange(4) for _ in batch], np.int32)
    remaining = np.array([choices.randrange(20) for _ in batch], np.int32)
    token = np.array([choices.randrange(len(PIECES)) for _ in batch], np.int32)
    together = allowed(stacked, state, depth, remaining)
    steps = step(stacked, state, depth, token)
    for row, automaton in enumerate(automata):
        alone = allowed(automaton, state[row], depth[row], remaining[row])
        assert (together[row, : alone.size] == alone).all()
        assert not together[row, alone.size :].any()
        one = step(automaton, state[row], depth[row], token[row])
        assert (steps[0][row], steps[1][row]) == one
    beams = Automaton(*(field[:, None] for field in stacked))
    wide = allowed(beams, state[:, None], depth[:, None], remaining[:, None])
    assert (wide[:, 0] == together).all()


def test_numbers_that_begin_one_another_share_their_edges() -> None:
    few = arithmetic(["1", "2"], by_character, END_ID)
    more = arithmetic(["1", "2", "1"], by_character, END_ID)
    assert few.source.size == more.source.size
    prefixed = arithmetic(["1", "12", "123"], by_character, END_ID)
    assert least_tokens(prefixed) == 2
    for text in ("1", "12", "123", "1+123", "(12)^2"):
        assert _accepts(prefixed, by_character(text), len(text) + 1)
    assert not _accepts(prefixed, by_character("2"), 9)
    assert not _accepts(prefixed, by_character("1^12"), 9)


def test_size_stays_small() -> None:
    numbers = [str(n) for n in range(1, 41)]
    assert arithmetic(numbers, by_character, END_ID).source.size < 150
    assert set(OPERATORS) == set("+-*/^()")


@pytest.mark.parametrize(
    ("numbers", "encode", "message"),
    [
        ([], by_character, "expected numbers"),
        (["1"], lambda text: [], 'expected tokens for "+"'),
        (["1"], lambda text: [1, 2], r'expected one token for "\+", got \[1, 2\]'),
        (["1"], lambda text: [1], "share their state and token"),
        (["3/4", "3"], by_character, "share their state and token"),
    ],
)
def test_tokens_that_cannot_be_told_apart(
    numbers: list[str], encode: Encode, message: str
) -> None:
    with pytest.raises(ValueError, match=message.replace('"+"', r'"\+"')):
        arithmetic(numbers, encode, END_ID)


def test_an_automaton_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="no path"):
        build([(START, 5, 7, 0), (8, 6, END, 0)], max_depth=0)
    with pytest.raises(ValueError, match="expected room for 2 edges"):
        one = build([(START, 5, 7, 0), (7, 6, END, 0)], max_depth=0)
        stack([one], 1)
