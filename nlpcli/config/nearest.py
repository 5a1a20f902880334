"""Which known key was meant by an unknown one: names of other tools, and slips."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

KeyPath = tuple[str, ...]

_WORD = re.compile(r"[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*(?![a-z])|[0-9]+")
CLOSE = 0.8  # how like two words must be to be one with a slip in it
SHORTEST = 3  # letters a word needs before a slip is looked for
LONGEST = 100  # characters of a key that may be a slip; comparing takes their square


def nearest(path: KeyPath, known: Sequence[KeyPath]) -> KeyPath | None:
    """The key that was most likely meant by ``path``, or None.

    The same name elsewhere; then in the same section, and then anywhere, a name of the
    same words or initials (learning_rate is lr, num_train_epochs is epochs) before one
    of like letters.
    """
    name, section = str(path[-1]), path[:-1]
    if sum(len(str(part)) for part in path) > LONGEST:
        return None
    names = {k[-1]: k for k in reversed(known)}
    if name in names:
        return names[name]
    depth = len(section)
    siblings = {k[depth] for k in known if len(k) > depth and k[:depth] == section}
    whole = ".".join(map(str, path))
    pools: list[tuple[str, Mapping[str, KeyPath]]] = [
        (name, {sibling: (*section, sibling) for sibling in sorted(siblings)}),
        (name, names),
        (whole, {".".join(k): k for k in known}),
    ]
    for word, pool in pools:
        keys = [candidate for candidate, key in pool.items() if key in known]
        found = _same_words(word, keys) or difflib.get_close_matches(word, pool, n=1)
        if found:
            return pool[found[0]]
    return None


def _same_words(name: str, candidates: Sequence[str]) -> list[str]:
    """The candidate that says most of what ``name`` says, if any.

    Of two that say as much the later words count: the end of a name is its subject.
    """
    words = _words(name)
    scores = {
        candidate: score
        for candidate in candidates
        if (score := _said(words, _words(candidate))) is not None
    }
    best = max(scores.values(), default=None)
    return [] if best is None else [next(c for c in scores if scores[c] == best)]


def _said(words: Sequence[str], known: Sequence[str]) -> tuple[int, int, int] | None:
    """How many of ``words`` a known name says, where the last of them stands, and how
    many it says letter for letter.

    None when it has a word that is not among them, whole or as the initials of some.
    """
    if len(known) > 1 and words == [_initials(known)]:
        return len(known), 0, 0
    covered: set[int] = set()
    for word in known:
        places = next((p for p in _places(words, word)), None)
        if places is None:
            return None
        covered.update(places)
    exact = len({*words} & {*known})
    return (len(covered), max(covered), exact) if covered else None


def _places(words: Sequence[str], word: str) -> Iterator[range]:
    """Where ``words`` say ``word``: whole, by initials, or with a slip."""
    ends = range(len(words) + 1)
    yield from (range(i, i + 1) for i, w in enumerate(words) if w == word)
    yield from (
        range(i, j)
        for i in ends
        for j in ends[i + 2 :]
        if _initials(words[i:j]) == word
    )
    for i, other in enumerate(words):
        if min(len(other), len(word)) >= SHORTEST:
            likeness = difflib.SequenceMatcher(None, other, word).ratio()
            if likeness >= CLOSE:
                yield range(i, i + 1)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _initials(words: Sequence[str]) -> str:
    return "".join(word[0] for word in words)
