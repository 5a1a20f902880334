"""What a decoder promises beside the search: draws, ends, limits, constraints."""

from itertools import pairwise

import numpy as np
import pytest
from keras import ops

from nlpcli.decoders.constraints import Forbid
from nlpcli.decoders.options import GenerateOptions
from tests.decoders.markov import END, decoding, prompt
from tests.decoders.recomputation import beam_search, log_softmax
from tests.slow import first_is_quick

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(8, 8)) * 1.5
# Never the end: every token leads round in a circle, surely.
CIRCLE = np.full((8, 8), -40.0) + 80.0 * np.roll(np.eye(8), 1, axis=1)
CIRCLE[:, END] = -1e9
CIRCLE[1, 3] = 40.0
HOW = {
    "greedy": GenerateOptions(beam=1, num=1),
    "beam": GenerateOptions(beam=3, num=3),
    "sampling": GenerateOptions(num=3, temperature=1.0),
}


def options(how="beam", **values):
    return GenerateOptions(**values).over(HOW[how])


def next_logp(table, first):
    logp = log_softmax(np.asarray(table, np.float64))
    return lambda answers: np.array([logp[a[-1] if a else first] for a in answers])


def filtered(row, top_k=None, top_p=None, temperature=1.0):
    """The distribution that a sampler should draw from, by sorting."""
    p = np.exp(log_softmax(row / temperature))
    order = np.argsort(-p)
    if top_k is not None:
        p[order[top_k:]] = 0.0
        p /= p.sum()
    if top_p is not None:
        enough = int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1
        p[order[enough:]] = 0.0
    return p / p.sum()


@pytest.mark.parametrize(
    "filters",
    [
        {"temperature": 1.0},
        {"temperature": 0.6},
        {"top_k": 3},
        {"top_p": 0.7},
        {"top_k": 5, "top_p": 0.8, "temperature": 1.7},
    ],
    ids=str,
)
def test_samples_follow_the_distribution(filters):
    """Both tokens of 4,096 answers of two, chi-square over the pairs."""
    decode = decoding(TABLE, batch_size=64)
    wanted = GenerateOptions(num=64, max_length=2, seed=3, **filters)
    answers = decode([prompt(5)] * 64, wanted)
    counts = np.zeros((8, 8))
    for hypothesis in (item for found in answers for item in found):
        pair = [*hypothesis.token_ids, END, END][:2]
        counts[pair[0], pair[1]] += 1
    first = filtered(TABLE[5], **filters)
    second = np.array([filtered(row, **filters) for row in TABLE])
    second[END] = np.arange(8) == END
    expected = counts.sum() * first[:, None] * second
    assert not counts[expected == 0.0].any()
    often = expected >= 5.0
    observed = np.append(counts[often], counts[~often].sum())
    likely = np.append(expected[often], max(expected[~often].sum(), 1e-9))
    if likely[-1] < 5.0:
        observed, likely = observed[:-1], likely[:-1]
    statistic = ((observed - likely) ** 2 / likely).sum()
    assert statistic < chi_square_limit(len(likely) - 1), (statistic, len(likely))


def chi_square_limit(freedom):
    """What chance exceeds once in about 30,000 times (Wilson and Hilferty)."""
    spread = 2.0 / (9.0 * freedom)
    return freedom * (1.0 - spread + 4.0 * spread**0.5) ** 3


def test_the_score_of_a_sample_is_that_of_its_tokens():
    logp = log_softmax(TABLE.astype(np.float64))
    decode = decoding(TABLE)
    wanted = GenerateOptions(num=6, max_length=7, temperature=1.5, seed=1)
    for hypothesis in decode([prompt(4, 6)], wanted)[0]:
        path = [6, *hypothesis.token_ids]
        path += [END] if hypothesis.finish_reason == "end" else []
        expected = sum(logp[a, b] for a, b in pairwise(path))
        assert hypothesis.score == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    "values",
    [
        {"repetition_penalty": 2.5},
        {"expected_length": 3},
        {"repetition_penalty": 1.6, "expected_length": 2, "length_penalty": 0.7},
    ],
    ids=str,
)
def test_penalties_choose_and_leave_the_score_alone(how, values):
    logp = log_softmax(TABLE.astype(np.float64))
    decode = decoding(TABLE)
    for first in (3, 5, 6):
        found = decode([prompt(first)], options(how, max_length=9, seed=2, **values))[0]
        assert len(found) == HOW[how].num
        for hypothesis in found:
            path = [first, *hypothesis.token_ids]
            path += [END] if hypothesis.finish_reason == "end" else []
            expected = sum(logp[a, b] for a, b in pairwise(path))
            assert hypothesis.score == pytest.approx(expected, abs=1e-4)


def test_seeds_and_keys_decide_the_samples():
    decode = decoding(TABLE)

    def drawn(seed, keys):
        wanted = GenerateOptions(num=8, max_length=8, temperature=1.0, seed=seed)
        found = decode([prompt(5)] * len(keys), wanted, keys=keys)
        return [[tuple(h.token_ids) for h in answers] for answers in found]

    assert drawn(1, [4, 9]) == drawn(1, [4, 9])
    assert drawn(1, [9, 4]) == drawn(1, [4, 9])[::-1]
    assert drawn(1, [4]) != drawn(2, [4])
    assert len({answer for answers in drawn(1, [4, 9]) for answer in answers}) > 8


@pytest.mark.parametrize("how", HOW)
def test_every_answer_ends_past_the_expected_length(how):
    decode = decoding(CIRCLE, positions=512)
    wanted = options(how, max_length=200, expected_length=12)
    prompts = [prompt(token) for token in (1, 3, 4, 5, 6, 7)]
    for answers in decode(prompts, wanted):
        assert len(answers) == wanted.num
        assert {item.finish_reason for item in answers} == {"end"}
        assert all(11 <= len(item.token_ids) < 40 for item in answers)
    forever = decode(prompts[:1], options(how, max_length=60))[0]
    assert {item.finish_reason for item in forever} == {"length"}
    assert {len(item.token_ids) for item in forever} == {60}


@pytest.mark.parametrize("how", HOW)
def test_the_loop_stops_when_all_are_done(how):
    quick = np.full((8, 8), -30.0)
    quick[5, 6] = quick[6, 7] = quick[7, END] = 30.0
    decode = decoding(quick)
    wanted = options(how, num=1, max_length=50)
    wanted = GenerateOptions(
        **{**vars(wanted), "beam": None if how == "sampling" else 1}
    )
    steps = list(decode.stream(prompt(5), wanted))
    assert [len(found[0].token_ids) for found in steps] == [1, 2, 2]
    assert steps[-1][0].finish_reason == "end"
    np.testing.assert_array_equal(steps[-1][0].token_ids, [6, 7])
    whole = decode([prompt(5), prompt(6), prompt(7)], wanted)
    assert [tuple(found[0].token_ids) for found in whole] == [(6, 7), (7,), ()]


@pytest.mark.parametrize("how", HOW)
def test_a_stream_ends_with_what_a_call_answers(how):
    decode = decoding(TABLE)
    wanted = options(how, max_length=10, seed=2)
    last = list(decode.stream(prompt(5, 7), wanted, key=3))[-1]
    called = decode([prompt(5, 7)], wanted, keys=[3])[0]
    for one, other in zip(last, called, strict=True):
        np.testing.assert_array_equal(one.token_ids, other.token_ids)
        assert (one.score, one.finish_reason) == (other.score, other.finish_reason)


@pytest.mark.parametrize("how", HOW)
def test_no_answer_is_shorter_than_the_least_length(how):
    table = TABLE.copy()
    table[:, END] += 3.0
    decode = decoding(table)
    for least in (1, 4, 6):
        found = decode([prompt(5)], options(how, min_length=least, max_length=9))[0]
        # Lengths count the end token, which token_ids leaves out.
        assert all(len(item.token_ids) + 1 >= least for item in found)
    free = decode([prompt(5)], options(how, max_length=9, seed=3))[0]
    assert min(len(item.token_ids) for item in free) < 5


class Until:
    """Nothing is allowed from step ``number`` on."""

    def __init__(self, number):
        self.number = number

    def start(self, prompt, width):
        return ()

    def allowed(self, state, context):
        return ops.reshape(context.step < self.number, (1, 1, 1))

    def advance(self, state, context, tokens):
        return state


@pytest.mark.parametrize("how", HOW)
def test_what_no_token_satisfies_is_answered_and_marked(how):
    decode = decoding(TABLE)
    wanted = options(how, max_length=12, seed=1)
    found = decode([prompt(5), prompt(3)], wanted, constraints=(Until(0),))
    free = decode([prompt(5), prompt(3)], wanted)
    for answers, others in zip(found, free, strict=True):
        assert not any(item.satisfied for item in answers)
        assert all(item.satisfied for item in others)
        if how != "beam":  # where beams without constraint end the search earlier
            for one, other in zip(answers, others, strict=True):
                np.testing.assert_array_equal(one.token_ids, other.token_ids)
    late = decode([prompt(5)], wanted, constraints=(Until(3),))[0]
    for item in late:
        length = len(item.token_ids) + (item.finish_reason == "end")
        assert item.satisfied == (length <= 3)
    assert [item.satisfied for item in late] == sorted(
        (item.satisfied for item in late), reverse=True
    )


class NoTokenTwice:
    """A state that must follow its hypothesis: the tokens it has used."""

    def start(self, prompt, width):
        return ops.zeros((prompt["token_ids"].shape[0], width, 8), "bool")

    def allowed(self, state, context):
        return ops.logical_not(state)

    def advance(self, state, context, tokens):
        return ops.logical_or(state, ops.one_hot(tokens, 8, dtype="bool"))


@pytest.mark.parametrize("width", first_is_quick([2, 1, 4]))
def test_a_constraint_s_state_follows_its_hypothesis(width):
    forbid = Forbid([0, 1], 8)
    decode = decoding(TABLE)
    wanted = GenerateOptions(beam=width, num=width, max_length=6, length_penalty=0.5)
    for first in (3, 5, 7):
        found = decode([prompt(first)], wanted, (NoTokenTwice(), forbid))[0]
        expected = beam_search(
            next_logp(TABLE, first),
            6,
            width,
            width,
            0.5,
            allowed=lambda answer: set(range(2, 8)) - set(answer),
        )
        assert [tuple(item.token_ids) for item in found] == [e[0] for e in expected]
        np.testing.assert_allclose(
            [item.score for item in found], [e[1] for e in expected], atol=1e-4
        )
        assert all(item.satisfied for item in found)


@pytest.mark.parametrize("how", HOW)
def test_no_ngram_comes_twice(how):
    decode = decoding(CIRCLE + RNG.normal(size=(8, 8)))
    wanted = options(how, max_length=16, no_repeat_ngram=2)
    for item in decode([prompt(5)], wanted)[0]:
        pairs = list(pairwise(item.token_ids.tolist()))
        assert len(set(pairs)) == len(pairs)
        assert item.satisfied


@pytest.mark.parametrize("penalty", [0.7, 1.3, 3.0])
def test_repetition_is_punished_as_in_plain_python(penalty):
    decode = decoding(TABLE)
    wanted = options("greedy", max_length=12, repetition_penalty=penalty)
    for first in (3, 5, 6):
        answer = []
        while len(answer) < 12 and END not in answer:
            row = TABLE[answer[-1] if answer else first].copy()
            for token in set(answer):
                row[token] *= 1 / penalty if row[token] > 0 else penalty
            answer.append(int(np.argmax(row)))
        found = decode([prompt(first)], wanted)[0][0]
        assert found.token_ids.tolist() == [token for token in answer if token != END]


def test_sampled_rows_that_are_done_stay_satisfied():
    """A constraint that has nothing to say past the end does not undo an answer."""
    table = np.full((8, 8), -30.0)
    table[5, END] = 30.0
    table[6, 7] = table[7, 6] = 30.0
    decode = decoding(table)
    wanted = GenerateOptions(num=1, max_length=8, temperature=1.0)
    short, long = decode([prompt(5), prompt(6)], wanted, constraints=(Until(2),))
    assert short[0].satisfied
    assert not long[0].satisfied


def test_the_options_of_a_search_may_change_without_another_program():
    decode = decoding(TABLE)
    for penalty, longest in ((0.0, 9), (1.0, 7), (0.3, 16)):
        decode(
            [prompt(5)],
            GenerateOptions(
                beam=2,
                num=1,
                length_penalty=penalty,
                max_length=longest,
                min_length=2,
                expected_length=longest - 2,
            ),
        )
    (program,) = decode._programs.values()
    assert program.traces() == 2
