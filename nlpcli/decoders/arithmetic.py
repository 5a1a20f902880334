"""The grammar of arithmetic expressions over given numbers, as an automaton."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nlpcli.decoders.automaton import END, START, Automaton, build

MAX_DEPTH = 4  # brackets in one another; word problems hold no more
EXPONENTS = ("2", "3")
OPERATORS = "+-*/^()"

_OPERAND = 2  # behind an operator: a number or a bracket, no sign
_VALUE = 3  # behind a closing bracket, or a number that no other continues
_EXPONENT = 4
_POWER = 5  # behind a power: a value that takes no other power
_FIRST_FREE = 6

_Edge = tuple[int, int, int, int]


def arithmetic(
    numbers: Sequence[str],
    encode: Callable[[str], Sequence[int]],
    end_id: int,
    *,
    exponents: Sequence[str] = EXPONENTS,
    max_depth: int = MAX_DEPTH,
) -> Automaton:
    """What lets through exactly the token sequences of well-formed expressions.

    ::

        expression := "-"? term (("+" | "-") term)*
        term       := factor (("*" | "/") factor)*
        factor     := value | value "^" exponent
        value      := number | "(" expression ")"

    ``encode`` gives the token ids of one operator, of one number or of one exponent,
    as targets are written: token by token. Numbers may share pieces and one may begin
    another. ``end_id`` closes the expression.

    Raises ValueError for no numbers, for one without tokens, and where the tokens of
    the numbers and operators cannot be told apart.
    """
    if not numbers:
        raise ValueError("expected numbers to build expressions of, got none")
    operators = {operator: _one_token(encode, operator) for operator in OPERATORS}
    plus, minus, times, divide, power, left, right = operators.values()
    behind_power = [(token, _OPERAND, 0) for token in (plus, minus, times, divide)]
    behind_power += [(right, _VALUE, -1), (end_id, END, 0)]
    behind_value = [*behind_power, (power, _EXPONENT, 0)]

    number_edges, free = _spelled(
        numbers, encode, _OPERAND, _VALUE, behind_value, _FIRST_FREE
    )
    exponent_edges, _ = _spelled(
        exponents, encode, _EXPONENT, _POWER, behind_power, free
    )
    return build(
        [
            (START, minus, _OPERAND, 0),
            (START, left, START, 1),
            (_OPERAND, left, START, 1),
            # A number begins alike in both states, and goes on in the same ones.
            *((START, *edge[1:]) for edge in number_edges if edge[0] == _OPERAND),
            *number_edges,
            *exponent_edges,
            *((_VALUE, *rest) for rest in behind_value),
            *((_POWER, *rest) for rest in behind_power),
        ],
        max_depth,
    )


def _spelled(
    texts: Sequence[str],
    encode: Callable[[str], Sequence[int]],
    source: int,
    target: int,
    behind: Sequence[tuple[int, int, int]],
    free: int,
) -> tuple[list[_Edge], int]:
    """Edges that spell each text from source to target; and the next free state.

    A text that begins another ends in a state of its own, which goes on as the other
    does or as ``behind`` says. The rest share ``target``, which keeps edges few.
    """
    spellings = {_tokens(encode, text) for text in texts}
    prefixes = {tokens[:n] for tokens in spellings for n in range(1, len(tokens))}
    states: dict[tuple[int, ...], int] = {(): source}
    edges: list[_Edge] = []
    for prefix in sorted(prefixes, key=len):
        states[prefix] = free
        free += 1
        if prefix in spellings:
            edges += [(states[prefix], *rest) for rest in behind]
    for tokens in sorted(prefixes | spellings):
        edges.append((states[tokens[:-1]], tokens[-1], states.get(tokens, target), 0))
    return edges, free


def _one_token(encode: Callable[[str], Sequence[int]], operator: str) -> int:
    tokens = _tokens(encode, operator)
    if len(tokens) != 1:
        raise ValueError(f'expected one token for "{operator}", got {list(tokens)}')
    return tokens[0]


def _tokens(encode: Callable[[str], Sequence[int]], text: str) -> tuple[int, ...]:
    tokens = tuple(int(token) for token in encode(text))
    if not tokens:
        raise ValueError(f'expected tokens for "{text}", got none')
    return tokens
