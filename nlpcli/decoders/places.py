"""Second lines from scores of every place at once, under the rules of the form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.text.batching import Features


@dataclass(frozen=True)
class _Group:
    """The places of one character, and what may stand there: ids, best first."""

    places: np.ndarray
    ids: np.ndarray
    scores: np.ndarray
    satisfied: bool


def decode_places(
    logits: np.ndarray,
    form: Features,
    candidates: np.ndarray,
    tones: np.ndarray | None,
    options: GenerateOptions,
    key: int = 0,
) -> list[Hypothesis]:
    """``options.num`` answers, best first.

    logits: (places, vocabulary); form: of ``verse_features``. Scores of the places
    of one character add up, and different characters of the first line take
    different tokens: a beam search from left to right over the characters, or
    samples. The beam is exact when it is as wide as the answers are many.
    """
    logits = logits.astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    logp = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    num = options.num or 1
    width = max(options.beam or 1, num)
    groups = _groups(logp, form, candidates, tones, None if options.samples else width)
    if options.samples:
        rng = np.random.default_rng([options.seed or 0, key])
        chosen = [_sample(groups, options, rng) for _ in range(num)]
    else:
        chosen = _search(groups, width)
    answers = [_answer(logp, form, groups, ids, options) for ids in chosen]
    answers.sort(key=lambda answer: (not answer.satisfied, -answer.score))
    return answers[:num]


def _groups(
    logp: np.ndarray,
    form: Mapping[str, np.ndarray],
    candidates: np.ndarray,
    tones: np.ndarray | None,
    width: int | None,
) -> list[_Group]:
    """One group for each different character; ``width`` cuts what can never be kept."""
    open_places = np.flatnonzero(~form["punctuation"])
    origins = form["repeat_of"][open_places]
    firsts = np.unique(origins)
    allowed = candidates.copy()
    allowed[form["first_ids"]] = False
    groups = []
    for place in firsts:
        places = open_places[origins == place]
        fits = allowed
        demand = form["tone"][place]
        if tones is not None and demand:
            fits = allowed & ((tones == 0) | (tones == demand))
        possible = np.flatnonzero(fits)
        # Nothing fits: the best that the model has, and the answer says so.
        ids = possible if len(possible) else np.arange(len(fits))
        scores = logp[places].sum(axis=0)[ids]
        if width is not None and len(ids) > (most := width + len(firsts)):
            kept = np.argpartition(-scores, most)[:most]
            ids, scores = ids[kept], scores[kept]
        order = np.argsort(-scores, kind="stable")
        groups.append(_Group(places, ids[order], scores[order], len(possible) > 0))
    return groups


def _search(groups: list[_Group], width: int) -> list[list[int]]:
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    for group in groups:
        grown: list[tuple[float, list[int]]] = []
        for score, taken in beams:
            free = np.flatnonzero(~np.isin(group.ids, taken))[:width]
            chosen = free if len(free) else np.arange(min(width, len(group.ids)))
            grown += [
                (score + float(group.scores[i]), [*taken, int(group.ids[i])])
                for i in chosen
            ]
        grown.sort(key=lambda beam: -beam[0])
        beams = grown[:width]
    return [taken for _, taken in beams]


def _sample(
    groups: list[_Group], options: GenerateOptions, rng: np.random.Generator
) -> list[int]:
    taken: list[int] = []
    for group in groups:
        free = np.flatnonzero(~np.isin(group.ids, taken))
        free = free if len(free) else np.arange(len(group.ids))
        free = free[: options.top_k]
        heated = group.scores[free] / (options.temperature or 1.0)
        chances = np.exp(heated - heated[0])
        chances /= chances.sum()
        if options.top_p is not None:
            # the token that crosses the share is kept
            count = int(np.searchsorted(chances.cumsum(), options.top_p)) + 1
            free, chances = free[:count], chances[:count]
        choice = rng.choice(len(chances), p=chances / chances.sum())
        taken.append(int(group.ids[free[choice]]))
    return taken


def _answer(
    logp: np.ndarray,
    form: Mapping[str, np.ndarray],
    groups: list[_Group],
    ids: list[int],
    options: GenerateOptions,
) -> Hypothesis:
    """The tokens of all places; a shorter ``max_length`` cuts them."""
    tokens = form["first_ids"].copy()  # the marks stay
    for group, token in zip(groups, ids, strict=True):
        tokens[group.places] = token
    # The length is known, so the end that --max-length counts costs nothing.
    length, most = len(tokens), options.max_length
    cut = most is not None and most < length + 1
    tokens = tokens[:most] if cut else tokens
    satisfied = all(group.satisfied for group in groups) and len(set(ids)) == len(ids)
    if options.min_length is not None and length + 1 < options.min_length:
        satisfied = False
    return Hypothesis(
        tokens,
        float(logp[np.arange(len(tokens)), tokens].sum()),
        "length" if cut else "end",
        satisfied,
    )
