"""The decode loop against the whole sequence read anew, and against every answer."""

import numpy as np
import pytest

from nlpcli.decoders.options import GenerateOptions
from nlpcli.runtime import batches as runtime_batches
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.text.batching import collate
from nlpcli.text.sequences import sequence_fields
from tests.decoders.recomputation import (
    END,
    Rereader,
    beam_search,
    every_answer,
    random_prompts,
)
from tests.slow import first_is_quick

FIELDS = sequence_fields(0)
LENGTHS = [[16, 3, 9, 9, 5, 30], [1, 12, 4], [7]]
WIDTHS = {"greedy": (1, 1), "beam": (3, 2)}


def decoding(reader, batch_size=4, compiled=False):
    forward = Forward(reader.model, xla=False)
    return Decoding(forward, FIELDS, END, batch_size, compiled=compiled)


@pytest.fixture(scope="module", params=["unilm", "causal"])
def reader(request):
    return Rereader(request.param)


@pytest.fixture(scope="module")
def decode(reader):
    return decoding(reader)


@pytest.fixture(scope="module")
def small():
    reader = Rereader("unilm", vocab_size=4, layers=1, rows=32)
    return reader, decoding(reader, batch_size=1)


def check(found, prompts, reader, limits, width, num, penalty=0.0):
    for answers, prompt, limit in zip(found, prompts, limits, strict=True):
        expected = beam_search(
            lambda so_far, prompt=prompt: reader(prompt, so_far),
            limit,
            width,
            num,
            penalty,
        )
        assert [tuple(a.token_ids) for a in answers] == [e[0] for e in expected]
        assert [a.finish_reason for a in answers] == [e[2] for e in expected]
        np.testing.assert_allclose(
            [a.score for a in answers], [e[1] for e in expected], atol=2e-4
        )
        assert all(a.satisfied for a in answers)


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("lengths", first_is_quick(LENGTHS))
def test_the_cache_changes_no_token(reader, decode, kind, lengths):
    width, num = WIDTHS[kind]
    for seed, penalty in ((1, 0.0), (2, 0.7), (3, 1.5)):
        reader.randomise(seed, end_bias=0.5 * seed)
        prompts = random_prompts(seed, lengths)
        options = GenerateOptions(
            beam=width, num=num, max_length=9, length_penalty=penalty
        )
        found = decode(prompts, options)
        check(found, prompts, reader, [9] * len(prompts), width, num, penalty)


@pytest.mark.parametrize("kind", WIDTHS)
def test_left_padding_answers_as_right_padding_does(reader, decode, kind, monkeypatch):
    width, num = WIDTHS[kind]
    reader.randomise(4, end_bias=1.0)
    prompts = random_prompts(4, [2, 11, 6])
    options = GenerateOptions(beam=width, num=num, max_length=9)
    monkeypatch.setattr(runtime_batches, "collate", collate_left)
    found = decode(prompts, options)
    check(found, prompts, reader, [9] * 3, width, num)


def collate_left(features, fields, sizes, rows=None):
    """collate, but what fills a row stands before it."""

    def turned(items):
        return {k: v[..., ::-1] if fields[k].axes else v for k, v in items.items()}

    return turned(collate([turned(item) for item in features], fields, sizes, rows))


@pytest.mark.parametrize("kind", WIDTHS)
def test_each_row_stops_where_its_positions_end(reader, kind):
    """Rows with less room than their neighbours stay as they are when it ran out."""
    width, num = WIDTHS[kind]
    positions = reader.model.backbone.config.max_position_embeddings
    decode = decoding(reader)
    reader.randomise(5, end_bias=-3.0)
    prompts = random_prompts(5, [positions, positions - 1, positions - 5, 30])
    found = decode(prompts, GenerateOptions(beam=width, num=num))
    assert found[0][0].finish_reason == "length"
    assert len(found[0][0].token_ids) == 0
    assert found[0][0].score == 0.0
    check(found[1:], prompts[1:], reader, [1, 5, positions - 30], width, num)


@pytest.mark.slow
def test_the_compiled_loop_answers_like_the_plain_one(small):
    reader, _ = small
    reader.randomise(6, end_bias=0.5)
    prompts = random_prompts(6, [9, 4, 14], reader.vocab_size)
    plain, compiled = (decoding(reader, compiled=choice) for choice in (False, True))
    for options in (
        GenerateOptions(beam=3, num=2, max_length=9, length_penalty=0.5),
        GenerateOptions(num=3, max_length=9, top_k=3, top_p=0.9, temperature=1.3),
    ):
        for one, other in zip(
            compiled(prompts, options), plain(prompts, options), strict=True
        ):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a.token_ids, b.token_ids)
                assert a.finish_reason == b.finish_reason
                assert a.score == pytest.approx(b.score, abs=1e-4)
    assert compiled.compile_seconds > 0


@pytest.mark.parametrize("penalty", first_is_quick([0.6, 0.0, 1.4]))
def test_a_wide_beam_finds_the_best_of_all_answers(small, penalty):
    reader, decode = small
    vocab_size, limit = reader.vocab_size, 3
    for seed in range(3):
        reader.randomise(seed, end_bias=seed - 1.0)
        prompt = random_prompts(seed, [5], vocab_size)[0]
        best = every_answer(
            lambda so_far, prompt=prompt: reader(prompt, so_far),
            limit,
            vocab_size,
            penalty,
        )[:6]
        found = decode(
            [prompt],
            GenerateOptions(beam=27, num=6, max_length=limit, length_penalty=penalty),
        )[0]
        assert [tuple(a.token_ids) for a in found] == [b[1] for b in best]
        np.testing.assert_allclose(
            [a.score for a in found], [b[2] for b in best], atol=1e-4
        )


@pytest.mark.parametrize(
    "options",
    first_is_quick(
        [
            GenerateOptions(num=3, max_length=9, temperature=1.1, top_p=0.95, seed=5),
            GenerateOptions(beam=3, num=3, max_length=9, length_penalty=1.0),
            GenerateOptions(beam=1, num=1, max_length=9),
        ]
    ),
    ids=["sampling", "beam", "greedy"],
)
def test_a_batch_answers_as_its_prompts_do_alone(reader, decode, options):
    reader.randomise(7, end_bias=0.5)
    prompts = random_prompts(7, [3, 14, 8, 8, 1])
    keys = [11, 5, 7, 9, 2]
    together = decode(prompts, options, keys=keys)
    for prompt, key, answers in zip(prompts, keys, together, strict=True):
        alone = decode([prompt], options, keys=[key])[0]
        assert len(alone) == len(answers) == options.num
        for one, other in zip(alone, answers, strict=True):
            np.testing.assert_array_equal(one.token_ids, other.token_ids)
            assert one.finish_reason == other.finish_reason
            assert one.score == pytest.approx(other.score, abs=2e-4)


def test_the_loss_is_that_of_the_whole_sequence(reader, decode):
    from nlpcli.text.sequences import training_features

    reader.randomise(8)
    prompts = random_prompts(8, [5, 2, 9])
    answers = [[4, 7, 3, END], [5, END], [6, 6, 6, 6, 8, END]]
    features = [
        training_features(
            [*p["token_ids"], *answer],
            [*p["segment_ids"], *[1] * len(answer)],
            [*[0] * len(p["token_ids"]), *[1] * len(answer)],
        )
        for p, answer in zip(prompts, answers, strict=True)
    ]
    for prompt, answer, (loss, count) in zip(
        prompts, answers, decode.loss(features), strict=True
    ):
        expected = -sum(
            reader(prompt, [answer[:place]])[0][token]
            for place, token in enumerate(answer)
        )
        assert count == len(answer)
        assert loss == pytest.approx(expected, abs=1e-3)
