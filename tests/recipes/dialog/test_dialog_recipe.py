"""The recipe over a fake decoder: prompts, ranking, scores, options."""

import math

import numpy as np
import pytest

from nlpcli.backbones.config import TransformerConfig
from nlpcli.config.loader import resolve
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.engine.answers import answering, ask_all
from nlpcli.errors import ConfigError, DataError
from nlpcli.recipes.dialog.form import DialogExample
from nlpcli.recipes.dialog.recipe import build_recipe, rank
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import Setup
from nlpcli.text.tokenizers.load import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def recipe_of(sizes=None, **flags):
    config = resolve("dialog", flags={f"task.{k}": v for k, v in flags.items()})
    sizes = sizes or sizes_of(512)
    return build_recipe(Setup(config, TOKENIZER, sizes))


def sizes_of(positions, more_rows=0, **sizes):
    rows = len(TOKENIZER.vocab.tokens) + more_rows
    return TransformerConfig(
        vocab_size=rows,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=positions,
        **sizes,
    )


def asked(recipe, text):
    return recipe.ask(Row({"text": text}))


def hypothesis(text, score, reason="end"):
    ids = TOKENIZER.encode_characters(text).token_ids
    return Hypothesis(ids, score, reason, True)


class Decode:
    """Answers with the texts it was given; a loss is what ``losses`` says."""

    def __init__(self, *found, loss=lambda features: (2.0, 4)):
        self.found, self.one_loss = found, loss
        self.asked = []

    def __call__(self, prompts, options, constraints=(), keys=None):
        self.asked.append((prompts, options, list(keys)))
        return [list(self.found) for _ in prompts]

    def loss(self, features):
        return [self.one_loss(item) for item in features]


def test_answers_keep_their_places_and_an_empty_line_has_none() -> None:
    recipe = recipe_of()
    examples = [asked(recipe, text) for text in ("你好", "", "你好|在吗|在")]
    decode = Decode(hypothesis("好的", -3.0), hypothesis("嗯", -4.0, "length"))
    options = recipe.defaults
    answers = recipe.write(decode, examples, options)
    ((prompts, _, keys),) = decode.asked
    assert keys == [0, 2] and [int(p["next_segment"]) for p in prompts] == [1, 1]
    assert answers[1] == {"outputs": []}
    assert answers[0]["outputs"] == [
        {
            "text": "好的",
            "score": -3.0,
            "finish_reason": "end",
            "tokens": ["好", "的"],
        }
    ]


def test_a_conversation_is_asked_as_turns() -> None:
    recipe = recipe_of()
    row = recipe.turn(["你好", "a|b"], r"c\|d")
    assert row.values == {"turns": ["你好", "a|b", r"c\|d"]}
    example = recipe.ask(row)
    assert example.context == ("你好", "a|b", r"c\|d")
    # as one text it is the same conversation again
    assert asked(recipe, example.text).context == example.context
    with pytest.raises(DataError):
        asked(recipe, "你好||在吗")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"turns": ["a", 3]}, 'expected a list of strings for "turns", got ["a", 3]'),
        ({"turns": "a|b"}, 'expected a list of strings for "turns", got "a|b"'),
        ({"turns": ["a", " "]}, "turn 2 of 2: expected text, got none"),
        ({"x": 1}, 'expected the key "text" or "turns", got the keys "x"'),
        ({"text": 3, "turns": ["a"]}, 'expected a string for "text", got 3'),
    ],
)
def test_a_row_that_asks_nothing_is_an_error(values, told) -> None:
    with pytest.raises(DataError) as error:
        recipe_of().ask(Row(values))
    assert str(error.value) == told


def test_rows_of_turns_are_told_as_one_text() -> None:
    rows = [Row({"turns": [" 你好", "a|b"]}), Row({"turns": []}), Row({"text": "好"})]
    found = ask_all(recipe_of(), rows)
    first, blank, plain = found.answers([{"outputs": []}] * 3)
    assert (first["text"], blank["text"]) == (r"你好|a\|b", "")
    assert "text" not in plain and found.examples[1].context == ()


def test_a_prompt_leaves_room_for_the_reply() -> None:
    recipe = recipe_of()
    decode = Decode(hypothesis("好", -1.0))
    long = asked(recipe, "|".join(["你好在吗"] * 99))
    recipe.write(decode, [long, asked(recipe, "好" * 900)], recipe.defaults)
    for prompt in decode.asked[0][0]:
        assert len(prompt["token_ids"]) + recipe.defaults.max_length <= recipe.longest


def test_dull_replies_lose_by_mutual_information() -> None:
    dull, apt = hypothesis("嗯嗯", -3.0), hypothesis("去爬山", -8.0)
    losses = [(20.0, 4), (4.0, 4)]
    # by token: -1 and -2 forwards, -5 and -1 backwards
    assert [reply for reply, _ in rank([dull, apt], losses, 0.1)] == [dull, apt]
    assert [reply for reply, _ in rank([dull, apt], losses, 0.5)] == [apt, dull]
    again = rank([dull, apt, dull], [*losses, losses[0]], 0.1)
    assert [reply for reply, _ in again] == [dull, apt, dull]
    assert again[0][1] == -5.0


def test_ranking_samples_more_and_gives_back_as_many_as_were_asked() -> None:
    recipe = recipe_of(mmi=1.0, backward=True, candidates=5)

    def loss(features):  # what follows 去 tells much of the turn before
        told = TOKENIZER.vocab.index["去"] in features["token_ids"][:3]
        return (1.0 if told else 9.0), 3

    decode = Decode(hypothesis("嗯嗯", -3.0), hypothesis("去爬", -4.0), loss=loss)
    (answer,) = recipe.write(decode, [asked(recipe, "山")], recipe.defaults)
    ((_, options, _),) = decode.asked
    assert (options.num, options.beam) == (5, None)
    assert [output["text"] for output in answer["outputs"]] == ["去爬"]
    assert answer["outputs"][0]["backward"] == pytest.approx(-1 / 3, abs=1e-4)


def test_backward_windows_learn_what_a_reply_answers() -> None:
    example = DialogExample(("你好", "在吗"), "在")
    (plain,) = recipe_of().encode([example], gold=True)
    both, replies = (
        recipe_of(backward=True, loss_on=on).encode([example], gold=True)[0]
        for on in ("all", "replies")
    )
    assert (len(plain), len(both), len(replies)) == (1, 2, 2)

    def told(window):
        tokens = TOKENIZER.vocab.tokens
        return "".join(tokens[i] for i in window.features["target_ids"])

    assert told(both[0]) == told(plain[0]) == "你好[SEP]在吗[SEP]在[SEP]"
    assert told(both[1]) == "在吗[SEP]你好[SEP]"
    assert (told(replies[0]), told(replies[1])) == ("在吗[SEP]", "你好[SEP]")


@pytest.mark.parametrize("backward", [False, True])
def test_perplexity_is_of_the_dialogues_as_they_are(backward) -> None:
    example = DialogExample(("你好",), "在吗")
    decode = Decode(
        hypothesis("在", -1.0, "length"),
        loss=lambda features: (
            0.5 * len(features["target_ids"]),
            len(features["target_ids"]),
        ),
    )
    recipe = recipe_of(backward=backward)
    (answer,) = answering(recipe, None, decode, 8)([example])
    # six targets, not those of the backward window
    assert (answer["nll"], answer["target_tokens"]) == (3.0, 6)
    scores = recipe.score([example], [answer])
    assert scores["perplexity"] == pytest.approx(math.exp(0.5))
    assert scores["log_likelihood"] == pytest.approx(-0.5)
    assert (scores["unfinished"], scores["mean_length"]) == (1.0, 1.0)


def test_scores_of_nothing() -> None:
    recipe = recipe_of()
    answer = {"outputs": [], "nll": 0.0, "target_tokens": 0}
    scores = recipe.score([DialogExample(("a",), "b")], [answer])
    assert scores["perplexity"] is None and scores["unfinished"] is None


def test_only_characters_and_the_end_may_come() -> None:
    vocab = TOKENIZER.vocab
    size = len(vocab.tokens)
    recipe = recipe_of(sizes_of(512, more_rows=3))
    forbidden = recipe.never(size + 3)
    assert {size, size + 1, size + 2} <= forbidden
    assert recipe.constraints() == (recipe.words,)
    assert vocab.end_id not in forbidden and vocab.index["好"] not in forbidden
    assert {vocab.unk_id, vocab.begin_id, vocab.pad_id} <= forbidden
    assert all(
        len(vocab.tokens[i]) == 1 or i in forbidden
        for i in range(len(vocab.tokens))
        if i != vocab.end_id
    )


def test_lengths_are_those_that_the_positions_reach() -> None:
    """NEZHA's tell distances: they reach any length."""
    assert recipe_of(sizes_of(64)).longest == 64
    assert recipe_of(sizes_of(512)).longest == 128
    assert recipe_of(sizes_of(64, max_relative_position=64)).longest == 128


def test_ranking_needs_a_backward_score() -> None:
    with pytest.raises(ConfigError, match="mmi"):
        recipe_of(mmi=0.5)
    with pytest.raises(ConfigError, match="candidates"):
        recipe_of(candidates=1)


def test_targets_are_the_tokens_of_the_text() -> None:
    example = DialogExample(("你好",), "在 吗")
    ((window,),) = recipe_of().encode([example], gold=True)
    ids = TOKENIZER.encode_characters("你好").token_ids
    assert np.array_equal(window.features["token_ids"][1:3], ids)
    assert len(window.features["token_ids"]) == 1 + 3 + 3
