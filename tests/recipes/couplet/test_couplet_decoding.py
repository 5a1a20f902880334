"""Whatever the scores, answers keep the form: the loop's constraint and the places."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from nlpcli.decoders.constraints import Context
from nlpcli.decoders.options import GenerateOptions
from nlpcli.decoders.places import decode_places
from nlpcli.decoders.verse import VerseConstraint
from nlpcli.recipes.couplet.verse import (
    VERSE_FIELDS,
    broken_rules,
    is_mark,
    verse_features,
)
from nlpcli.text.batching import collate

TOKENS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    ",",
    "。",
    "##a",
    *"天地人日月星春夏秋冬风雨",
]
INDEX = {token: number for number, token in enumerate(TOKENS)}
UNKNOWN, END = 1, 3
CANDIDATES = np.array([len(t) == 1 and not is_mark(t) for t in TOKENS])
TONES = np.array([0] * 7 + [1, 2, 1, 2, 2, 0, 1, 2, 1, 1, 1, 2], np.int32)
# 𠀀 and ! are unknown to the vocabulary
LINES = st.text("天地人日春,。!𠀀𠀁", min_size=1, max_size=7)


def verse_of(line, tones=None):
    ids = np.array([INDEX.get(c, UNKNOWN) for c in line], np.int32)
    return verse_features(line, ids, tones or [0] * len(line))


def text_of(line, ids):
    return "".join(
        line[i] if not CANDIDATES[token] else TOKENS[token]
        for i, token in enumerate(ids)
    )


def greedy(lines, logits, constraint, tones=None):
    """Token after token by argmax over what the constraint allows; one row a line."""
    verses = [verse_of(line, tones) for line in lines]
    sizes = {"first": max(len(line) for line in lines) + 2}
    batch = {
        k: ops.convert_to_tensor(v)
        for k, v in collate(verses, VERSE_FIELDS, sizes, len(lines) + 1).items()
    }
    width = logits.shape[1]
    state = constraint.start(batch, width)
    limit = ops.full((len(lines) + 1,), 100)
    out = []
    for step in range(logits.shape[2]):
        context = Context(batch, ops.convert_to_tensor(step, "int32"), limit)
        allowed = np.broadcast_to(
            np.asarray(constraint.allowed(state, context)),
            (len(lines) + 1, width, len(TOKENS)),
        )
        assert allowed.dtype == bool
        assert allowed[-1].nonzero()[1].tolist() == [END] * width, "a row of padding"
        scores = np.where(allowed, logits[:, :, step], -np.inf)
        chosen = np.where(allowed.any(-1), scores.argmax(-1), INDEX["地"])
        out.append(chosen)
        state = constraint.advance(
            state, context, ops.convert_to_tensor(chosen, "int32")
        )
    return np.stack(out, axis=-1)


@settings(max_examples=25)
@given(st.lists(LINES, min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_random_scores_keep_the_form(lines, seed):
    rng = np.random.default_rng(seed)
    steps = max(map(len, lines)) + 1
    logits = rng.normal(size=(len(lines) + 1, 2, steps, len(TOKENS)))
    tokens = greedy(lines, logits, VerseConstraint(CANDIDATES, END))
    for line, row in zip(lines, tokens, strict=False):
        for hypothesis in row:
            length = len(line)
            assert hypothesis[length:].tolist() == [END] * (steps - length)
            second = text_of(line, hypothesis[:length])
            assert broken_rules(line, second) == []


def brute_force(line, step, past):
    """The tokens that complete ``past`` without breaking a rule, by trying each."""
    if step == len(line):
        return {END}
    if is_mark(line[step]):
        return {INDEX.get(line[step], UNKNOWN)}
    return {
        token
        for token in np.flatnonzero(CANDIDATES)
        if not broken_rules(line[: step + 1], text_of(line, [*past, token]))
        and TOKENS[token] not in line
    }


@settings(max_examples=25)
@given(LINES, st.integers(0, 2**32 - 1))
def test_allowed_is_all_that_breaks_nothing(line, seed):
    rng = np.random.default_rng(seed)
    constraint = VerseConstraint(CANDIDATES, END)
    batch = {k: ops.convert_to_tensor(v[None]) for k, v in verse_of(line).items()}
    state, past = constraint.start(batch, 1), []
    for step in range(len(line) + 1):
        context = Context(batch, ops.convert_to_tensor(step), ops.full((1,), 99))
        allowed = np.asarray(constraint.allowed(state, context))[0, 0]
        assert set(np.flatnonzero(allowed)) == brute_force(line, step, past)
        past.append(int(rng.choice(np.flatnonzero(allowed))))
        chosen = ops.convert_to_tensor([[past[-1]]], "int32")
        state = constraint.advance(state, context, chosen)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_tones_are_kept(seed):
    line, demands = "天,地天", [0, 0, 2, 1]
    logits = np.random.default_rng(seed).normal(size=(2, 1, 5, len(TOKENS)))
    tokens = greedy([line], logits, VerseConstraint(CANDIDATES, END, TONES), demands)
    found = TONES[tokens[0, 0, :4]]
    # both places of 天 answer to the demand on the second
    assert [found[i] in (0, wanted) for i, wanted in [(0, 1), (2, 2), (3, 1)]] == [
        True
    ] * 3


def test_nothing_left_is_nothing_allowed():
    """All characters are the first line's: the decoder goes on and says so."""
    line = "天地人日月星春夏秋冬风雨"
    constraint = VerseConstraint(CANDIDATES, END)
    batch = {k: ops.convert_to_tensor(v[None]) for k, v in verse_of(line).items()}
    context = Context(batch, ops.convert_to_tensor(0), ops.full((1,), 99))
    assert not np.asarray(constraint.allowed(constraint.start(batch, 1), context)).any()


def decoded(line, logits, tones=None, demands=None, **options):
    verse = verse_of(line, demands)
    return decode_places(
        logits, verse, CANDIDATES, tones, GenerateOptions(**options), key=3
    )


OPTIONS = st.sampled_from(
    [
        {"beam": 1},
        {"beam": 3, "num": 2},
        {"temperature": 2.0, "num": 3},
        {"top_k": 3, "top_p": 0.5},
    ]
)


@settings(max_examples=50)
@given(LINES, st.integers(0, 2**32 - 1), OPTIONS)
def test_places_keep_the_form(line, seed, options):
    logits = np.random.default_rng(seed).normal(size=(len(line), len(TOKENS)))
    for answer in decoded(line, logits, **options):
        assert broken_rules(line, text_of(line, answer.token_ids)) == []
        assert answer.satisfied
        assert answer.finish_reason == "end"


@pytest.mark.parametrize("line", ["天地天", "天,地!", "天𠀀𠀁"])
def test_places_equal_exhaustive_search(line):
    rng = np.random.default_rng(len(line))
    logits = rng.normal(size=(len(line), len(TOKENS)))
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    verse = verse_of(line)
    groups = sorted({c for c in line if not is_mark(c)}, key=line.index)
    free = [i for i in np.flatnonzero(CANDIDATES) if TOKENS[i] not in line]
    scores = []
    for chosen in permutations(free, len(groups)):
        taken = dict(zip(groups, chosen, strict=True))
        ids = [taken.get(c, verse["first_ids"][i]) for i, c in enumerate(line)]
        scores.append((sum(logp[i, t] for i, t in enumerate(ids)), ids))
    scores.sort(key=lambda item: -item[0])
    found = decoded(line, logits, beam=2000, num=5)
    for answer, (score, ids) in zip(found, scores, strict=False):
        assert answer.score == pytest.approx(score)
        assert answer.token_ids.tolist() == ids


def test_samples_follow_the_scores():
    logits = np.zeros((1, len(TOKENS)))
    logits[0, INDEX["月"]] = np.log(3.0)
    answers = decoded("天", logits, temperature=1.0, num=4000)
    share = np.mean([a.token_ids[0] == INDEX["月"] for a in answers])
    # 3 against 10 others of weight 1; 天 itself is taken
    assert share == pytest.approx(3 / 13, abs=0.03)
    again = decoded("天", logits, temperature=1.0, num=4000)
    assert [a.token_ids[0] for a in answers] == [a.token_ids[0] for a in again]


def test_places_without_a_way_out():
    line = "天地人日月星春夏秋冬风雨"
    (answer,) = decoded(line, np.zeros((len(line), len(TOKENS))))
    assert len(answer.token_ids) == len(line)
    assert not answer.satisfied


def test_length_flags_that_contradict_the_form():
    logits = np.zeros((3, len(TOKENS)))
    (cut,) = decoded("天地人", logits, max_length=2)
    assert (len(cut.token_ids), cut.finish_reason) == (2, "length")
    (short,) = decoded("天地人", logits, min_length=9)
    assert not short.satisfied


def test_places_keep_the_tones():
    logits = np.random.default_rng(0).normal(size=(3, len(TOKENS)))
    for answer in decoded("天地天", logits, TONES, [0, 2, 1], beam=4, num=4):
        first, second, third = TONES[answer.token_ids]
        assert first in (0, 1)
        assert second in (0, 2)
        assert third in (0, 1)
