"""The recipe itself: what is learnt, what is answered, what is refused."""

import numpy as np
import pytest

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.config.loader import resolve
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError, DataError
from nlpcli.recipes.couplet.form import CoupletExample
from nlpcli.recipes.couplet.recipe import CoupletRecipe
from nlpcli.recipes.couplet.tones import tonal_agreement
from nlpcli.recipes.couplet.verse import broken_rules
from nlpcli.records.row import Row
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.forward import Forward
from nlpcli.tasks.protocol import Setup
from nlpcli.text.tokenizers.load import subset, tiny_tokenizer
from tests.slow import first_is_quick

CHARACTERS = "海内存知己天涯若比邻春风秋月白日依山尽黄河入流,。"
LINES = ["海内存知己", "春", "", "春风,春雨", "𠀀、𠀁、𠀀", " 白日 依山尽 "]


def recipe_of(model, positions=32, **flags):
    tokenizer = tiny_tokenizer()
    keep = [tokenizer.vocab.index[c] for c in CHARACTERS]
    small, _ = subset(tokenizer, keep)
    sizes = TransformerConfig(
        vocab_size=len(small.vocab.tokens),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=positions,
    )
    config = resolve("couplet", flags={"task.model": model, **flags})
    recipe = CoupletRecipe(Setup(config, small, sizes))
    forward = Forward(recipe.build(Transformer(sizes)), xla=False)
    decode = Decoding(forward, recipe.fields, small.vocab.end_id, 4, compiled=False)
    return recipe, decode


@pytest.fixture(scope="module", params=["unilm", "nar"])
def ready(request):
    return recipe_of(request.param)


def answers_of(ready, lines, **options):
    recipe, decode = ready
    asked = GenerateOptions(**options).over(recipe.defaults)
    examples = [recipe.ask(Row({"text": line})) for line in lines]
    return recipe.write(decode, examples, asked)


@pytest.mark.parametrize(
    "options",
    first_is_quick([{"num": 3}, {"beam": 1}, {"top_p": 0.9, "num": 2, "seed": 5}]),
)
def test_answers_keep_the_form(ready, options):
    for line, answer in zip(LINES, answers_of(ready, LINES, **options), strict=True):
        first = "".join(line.split())
        assert len(answer["outputs"]) == (options.get("num", 1) if first else 0)
        for output in answer["outputs"]:
            assert broken_rules(first, output["text"]) == []
            assert output["satisfied"]
            assert output["finish_reason"] == "end"
            assert "".join(output["tokens"]) == output["text"]
        scores = [output["score"] for output in answer["outputs"]]
        assert scores == sorted(scores, reverse=True)


def test_batch_equals_single(ready):
    together = answers_of(ready, LINES, num=2)
    for line, answer in zip(LINES, together, strict=True):
        (alone,) = answers_of(ready, [line], num=2)
        texts = [output["text"] for output in answer["outputs"]]
        assert [output["text"] for output in alone["outputs"]] == texts


@pytest.mark.parametrize("model", ["unilm", "nar"])
def test_tones_can_be_asked_for(model):
    pytest.importorskip("pypinyin", reason="needs the extra tones")
    ready = recipe_of(model, **{"task.tones": True})
    (answer,) = answers_of(ready, ["白日依山尽"], num=4)
    for output in answer["outputs"]:
        met, held = tonal_agreement("白日依山尽", output["text"])
        assert met == held


def test_flags_against_the_form_are_marked(ready):
    (answer,) = answers_of(ready, ["海内存知己"], max_length=3)
    (output,) = answer["outputs"]
    assert not output["satisfied"]
    assert output["finish_reason"] == "length"
    assert len(output["text"]) == 3


def test_loss_is_that_of_the_gold_line(ready):
    """Taught features go through the same model as answers do."""
    recipe, decode = ready
    example = CoupletExample("海内存知己", "天涯若比邻")
    ((window,),) = recipe.encode([example], gold=True)
    ((nll, count),) = decode.loss([window.features])
    assert count == (5 if recipe.at_once else 6)
    ids = recipe.tokenizer.character_ids("天涯若比邻")
    if recipe.at_once:
        batch = {k: v[None] for k, v in window.features.items()}
        logits = np.asarray(decode.model(batch)["targets"], np.float64)[0]
        logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        assert nll == pytest.approx(-logp[np.arange(5), ids].sum(), rel=1e-4)
    else:
        assert window.features["target_ids"].tolist() == [
            *ids,
            recipe.tokenizer.vocab.end_id,
        ]
        assert window.features["segment_ids"].tolist() == [0] * 7 + [1] * 6


def test_too_long_a_line_says_both_lengths():
    recipe, _ = recipe_of("unilm")
    assert recipe.ask(Row({"text": "天" * 14}))
    with pytest.raises(DataError, match=r"at most 14 characters .* got 15"):
        recipe.ask(Row({"text": "天" * 15}))


@pytest.mark.parametrize(
    ("model", "learnt", "scored"), [("unilm", 6, 14), ("nar", 16, 32)]
)
def test_a_line_that_the_model_has_no_room_for_is_refused(model, learnt, scored):
    """To be learnt by data.max_length; to be scored by the positions alone."""
    recipe, _ = recipe_of(model, **{"data.max_length": 16, "data.stride": 4})
    for length, learning in ((learnt, True), (scored, False)):
        recipe.admit(CoupletExample("天" * length, "地" * length), learning)
        long = CoupletExample("天" * (length + 1), "地" * (length + 1), "a.jsonl:2")
        told = f"a.jsonl:2: expected at most {length} characters a side, got "
        with pytest.raises(DataError, match=rf"{told}{length + 1} \(data"):
            recipe.admit(long, learning)


def test_scores():
    recipe, _ = recipe_of("nar")
    examples = [
        CoupletExample("海内存知己", "天涯若比邻"),
        CoupletExample("春风", "秋月"),
        CoupletExample("白日", "黄河"),
    ]
    answers = [
        {"outputs": [{"text": "天涯若比邻"}], "nll": 5.0, "target_tokens": 5},
        {"outputs": [{"text": "春月"}], "nll": 3.0, "target_tokens": 2},
        {"outputs": [], "nll": 1.0, "target_tokens": 2},
    ]
    scores = recipe.score(examples, answers)
    assert scores["log_likelihood"] == pytest.approx(-1.0)
    assert scores["perplexity"] == pytest.approx(np.e)
    assert scores["constraint_satisfaction"] == pytest.approx(1 / 3)
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert 0 < scores["bleu"] < 100


@pytest.mark.parametrize(
    "flags", [{"task.corruption": 0.1}, {"task.tea_forn.n": 2}, {"task.r_drop": 1.0}]
)
def test_what_the_convolutions_cannot_use_is_refused(flags):
    with pytest.raises(ConfigError, match=r"task\.model is nar"):
        resolve("couplet", flags={"task.model": "nar", **flags})
