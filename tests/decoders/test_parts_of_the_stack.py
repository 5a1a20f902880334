"""The cached loop against recomputation, for each kind of positions and attention."""

import numpy as np
import pytest

from nlpcli.decoders.options import GenerateOptions
from nlpcli.runtime import batches as runtime_batches
from tests.decoders.recomputation import END, Rereader, random_prompts
from tests.decoders.test_autoregressive import (
    WIDTHS,
    check,
    collate_left,
    decoding,
)

PARTS = {
    "rotary": {"positions": "rotary"},
    "halves": {"positions": "rotary_halves"},
    "distances": {"max_relative_position": 5},
    "buckets": {"positions": "buckets", "relative_buckets": 8},
    "hierarchical": {"hierarchical_positions": 0.4},
    "linear": {"attention": "linear"},
    "linear-rotary": {"attention": "linear", "positions": "rotary"},
    "linear-keys": {"attention": "linear", "num_key_value_heads": 1},
}
ROWS = {"hierarchical": 6}  # so that most positions are past the table


CAUSAL = ("linear", "causal")  # its sums are made in another way
QUICK = (("rotary", "unilm"), ("linear", "unilm"))
CASES = [*((name, "unilm") for name in PARTS), ("distances", "causal"), CAUSAL]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            case, id="-".join(case), marks=() if case in QUICK else pytest.mark.slow
        )
        for case in CASES
    ],
)
def reader(request):
    name, attention = request.param
    return Rereader(attention, rows=ROWS.get(name, 48), **PARTS[name])


@pytest.mark.parametrize("kind", WIDTHS)
def test_the_cache_changes_no_token(reader, kind):
    width, num = WIDTHS[kind]
    decode = decoding(reader)
    reader.randomise(1, end_bias=0.5)
    prompts = random_prompts(1, [12, 3, 9, 1])
    found = decode(prompts, GenerateOptions(beam=width, num=num, max_length=8))
    check(found, prompts, reader, [8] * 4, width, num)


def test_left_padding_answers_as_right_padding_does(reader, monkeypatch):
    reader.randomise(4, end_bias=1.0)
    prompts = random_prompts(4, [2, 11, 6])
    monkeypatch.setattr(runtime_batches, "collate", collate_left)
    found = decoding(reader)(prompts, GenerateOptions(beam=3, num=2, max_length=8))
    check(found, prompts, reader, [8] * 3, 3, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rotary", "linear"])
def test_the_compiled_loop_answers_like_the_plain_one(name):
    reader = Rereader("unilm", **PARTS[name])
    reader.randomise(6, end_bias=0.5)
    prompts = random_prompts(6, [9, 4, 14])
    plain, compiled = (decoding(reader, compiled=choice) for choice in (False, True))
    for options in (
        GenerateOptions(beam=3, num=2, max_length=9, length_penalty=0.5),
        GenerateOptions(num=3, max_length=9, top_k=3, temperature=1.3, seed=2),
    ):
        for one, other in zip(
            compiled(prompts, options), plain(prompts, options), strict=True
        ):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a.token_ids, b.token_ids)
                assert a.score == pytest.approx(b.score, abs=1e-4)
                assert END not in a.token_ids
