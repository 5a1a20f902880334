"""Whole models in int8: what they write, what they obey, what they keep in memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpcli.decoders.constraints import Forbid
from nlpcli.decoders.options import GenerateOptions
from nlpcli.runtime.blocks import WORTH_IT
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.runtime.quantize import to_int8
from tests.decoders.recomputation import END, Rereader, random_prompts
from tests.decoders.test_autoregressive import decoding
from tests.heads.test_seq2seq_model import LAYOUT, model_of
from tests.slow import first_is_quick

FORMS = {
    "bert": {},
    "llama": {
        "positions": "rotary_halves",
        "gated": True,
        "num_key_value_heads": 1,
        "norm": "rms",
        "norm_place": "pre",
        "final_norm": True,
        "output": "tied",
    },
    "own": {"output": "own"},
    "albert": {"embedding_size": 8},
    "linear": {"attention": "linear"},
}
SEARCHES = {
    "greedy": GenerateOptions(beam=1, num=1, max_length=8),
    "beam": GenerateOptions(beam=3, num=2, max_length=8),
}


def int8_reader(form="bert", seed=1, **more):
    reader = Rereader("unilm", **FORMS[form], **more)
    if form == "bert":
        reader.randomise(seed, end_bias=0.5)
    to_int8(reader.model)
    return reader


def floats(model):
    return {v.path: int(np.prod(v.shape)) for v in model.variables if v.dtype != "int8"}


@pytest.mark.parametrize("form", first_is_quick(FORMS))
def test_only_what_is_looked_up_stays_a_float_matrix(form):
    reader = int8_reader(form)
    tables = ("embedding", "relative_table")
    for path, numbers in floats(reader.model).items():
        assert numbers <= 64 or any(name in path for name in tables), path


@pytest.mark.parametrize("form", first_is_quick(FORMS))
def test_a_batch_answers_as_each_prompt_alone(form):
    decode = decoding(int8_reader(form))
    prompts = random_prompts(2, [12, 3, 9, 1])
    for options in SEARCHES.values():
        together = decode(prompts, options)
        for prompt, answers in zip(prompts, together, strict=True):
            (alone,) = decode([prompt], options)
            for a, b in zip(answers, alone, strict=True):
                np.testing.assert_array_equal(a.token_ids, b.token_ids)
                assert np.isfinite(a.score)
                assert a.score == pytest.approx(b.score, abs=0.02)


@pytest.mark.parametrize("form", first_is_quick(FORMS))
def test_scores_are_those_of_the_sequence_read_anew(form):
    reader = int8_reader(form)
    decode = decoding(reader)
    (prompt,) = random_prompts(3, [7])
    for (answer,) in decode([prompt], SEARCHES["greedy"]):
        written = [*answer.token_ids, *[END] * (answer.finish_reason == "end")]
        logps = [
            reader(prompt, [written[:place]])[0, token]
            for place, token in enumerate(written)
        ]
        assert answer.score == pytest.approx(sum(logps), abs=0.1)


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 99), tokens=st.sets(st.integers(3, 12), min_size=1))
def test_a_constraint_holds_as_in_float32(constrained, seed, tokens):
    reader, decodes = constrained
    allowed = np.zeros(reader.vocab_size, bool)
    allowed[[*tokens, END]] = True
    rule = Forbid(np.flatnonzero(~allowed), reader.vocab_size)
    prompts = random_prompts(seed, [5, 2])
    for options, decode in zip(SEARCHES.values(), decodes, strict=True):
        for answers in decode(prompts, options, [rule]):
            for answer in answers:
                assert answer.satisfied
                assert set(answer.token_ids.tolist()) <= tokens


@pytest.fixture(scope="module")
def constrained():
    reader = int8_reader()
    return reader, [decoding(reader), decoding(reader)]


@pytest.mark.slow
def test_an_encoder_and_decoder_write_in_int8():
    model = model_of()
    to_int8(model)
    decode = Decoding(
        Forward(model, xla=False), LAYOUT.fields, 1, batch_size=2, compiled=False
    )
    prompts = [LAYOUT.asked([3, 4, 5]), LAYOUT.asked([9])]
    for options in SEARCHES.values():
        together = decode(prompts, options)
        for prompt, answers in zip(prompts, together, strict=True):
            (alone,) = decode([prompt], options)
            assert [list(a.token_ids) for a in answers] == [
                list(a.token_ids) for a in alone
            ]
            assert all(np.isfinite(a.score) for a in answers)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_compiled_loop_and_blocks_answer_like_the_plain_ones(form):
    reader = int8_reader(form, layers=WORTH_IT)
    prompts = random_prompts(6, [9, 4, 14])
    plain, compiled = (decoding(reader, compiled=choice) for choice in (False, True))
    for options in SEARCHES.values():
        for one, other in zip(
            compiled(prompts, options), plain(prompts, options), strict=True
        ):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a.token_ids, b.token_ids)
                assert a.score == pytest.approx(b.score, abs=0.02)
