"""Greedy and beam search against transformers' generate, token for token."""

import numpy as np
import pytest
from keras import ops

from nlpcli.decoders.autoregressive import Decoder
from nlpcli.decoders.options import GenerateOptions
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.text.sequences import prompt_features, sequence_fields
from tests.backbones.decoder_forms import END, SPECIAL, VOCAB, open_pair

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = [pytest.mark.parity, pytest.mark.slow]
FORMS = ("gpt2", "openai-gpt", "llama", "qwen2", "qwen3")
# beams, length penalty
SEARCHES = ((1, 0.0), (4, 0.0), (4, 1.0), (3, 0.6))
PROMPTS, LONGEST = 20, 40


@pytest.fixture
def narrow(monkeypatch):
    """Ends count among the first ``beam`` candidates alone, as in transformers; ours
    looks at twice as many."""
    keep = Decoder._keep_ended

    def keep_first(self, search, parents, values, logps, ends, *more):
        first = np.arange(2 * self.width) < self.width
        ends = ops.logical_and(ends, ops.convert_to_tensor(first))
        return keep(self, search, parents, values, logps, ends, *more)

    monkeypatch.setattr(Decoder, "_keep_ended", keep_first)


@pytest.mark.parametrize("name", FORMS)
def test_the_same_search_finds_the_same_answers(tmp_path, name, narrow):
    """transformers' early_stopping "never" stops where ours does: where nothing that
    is still being written can become better than the worst of what has ended. What
    did not end in time competes there and not here: all ends in time."""
    pair = open_pair(name, tmp_path, ends=0.3)
    model = pair.ours
    model.backbone.segment_rows = None
    decode = Decoding(Forward(model, xla=False), sequence_fields(0), END, 20, False)
    rng = np.random.default_rng(0)
    prompts = [
        rng.integers(len(SPECIAL), VOCAB, n) for n in rng.integers(1, 16, PROMPTS)
    ]
    features = [prompt_features(ids, np.zeros(len(ids)), 0) for ids in prompts]
    for beams, penalty in SEARCHES:
        options = GenerateOptions(
            beam=beams, num=beams, max_length=LONGEST, length_penalty=penalty
        )
        found = decode(features, options)
        ours = [
            best.token_ids.tolist() + [END] * (best.finish_reason == "end")
            for best, *_ in found
        ]
        assert ours == theirs(pair.theirs, prompts, beams, penalty), (beams, penalty)
        assert beams == 1 or all(answer[-1] == END for answer in ours)
        assert len(set(map(len, ours))) > 1, "they end at different places"


def theirs(model, prompts, beams, penalty):
    """What transformers finds, prompts padded on the left."""
    longest = max(map(len, prompts))
    ids = np.zeros((len(prompts), longest), np.int64)
    mask = np.zeros((len(prompts), longest), np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = prompt
        mask[row, longest - len(prompt) :] = 1
    more = {"early_stopping": "never", "length_penalty": penalty} if beams > 1 else {}
    with torch.no_grad():
        out = model.generate(
            torch.tensor(ids),
            attention_mask=torch.tensor(mask),
            num_beams=beams,
            do_sample=False,
            max_new_tokens=LONGEST,
            **more,
        )
    answers = []
    for row in out[:, longest:].tolist():
        ended = row.index(END) + 1 if END in row else len(row)
        answers.append(row[:ended])
    return answers
