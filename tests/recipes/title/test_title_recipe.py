"""The recipe: what is learnt, what stands before an answer, what is scored."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops

from nlpcli.backbones.transformer import Transformer, TransformerConfig
from nlpcli.config.loader import resolve
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.errors import ConfigError, DataError
from nlpcli.recipes.title.form import TitleExample
from nlpcli.recipes.title.recipe import TitleRecipe
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import Setup
from nlpcli.text.tokenizers.load import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
VOCAB = TOKENIZER.vocab
SIZES = SimpleNamespace(
    vocab_size=len(VOCAB.tokens) + 3, longest=512, num_decoder_layers=0
)
CLS, SEP = VOCAB.tokens[VOCAB.begin_id], VOCAB.tokens[VOCAB.end_id]
TEXT = "北京是中国的首都"


def recipe(sizes=SIZES, **flags):
    flags = {key.replace("__", "."): value for key, value in flags.items()}
    flags = {"data.stride": 0, **flags}
    return TitleRecipe(Setup(resolve("title", flags=flags), TOKENIZER, sizes))


def tokens(values):
    return "".join(VOCAB.tokens[i] for i in values)


def learnt(made, text, title):
    ((window,),) = made.encode([TitleExample(text, title)], gold=True)
    return window.features


def test_the_title_stands_behind_its_text():
    features = learnt(recipe(), "北京是 中国的首都", "中国首都")
    assert tokens(features["token_ids"]) == f"{CLS}{TEXT}{SEP}中国首都{SEP}"
    assert tokens(features["target_ids"]) == f"中国首都{SEP}"


@pytest.mark.parametrize(
    ("text", "title", "kept"),
    [
        (9, 3, (9, 3)),  # 3 special tokens: 15 in all
        (30, 3, (14, 3)),  # the text loses its end
        (30, 6, (11, 6)),
        (30, 9, (11, 6)),  # and so does a title that is longer than its room
        (5, 9, (5, 9)),  # not where both fit
    ],
)
def test_what_is_too_long_loses_its_end(text, title, kept):
    made = recipe(data__max_length=20, task__title_length=6)
    features = learnt(made, "北" * text, "京" * title)
    found = tokens(features["token_ids"])
    assert (found.count("北"), found.count("京")) == kept
    whole = kept[1] == title
    assert tokens(features["target_ids"]) == "京" * kept[1] + SEP * whole


def test_a_prompt_leaves_room_for_a_title():
    made = recipe(data__max_length=20, task__title_length=6)
    prompt = made.prompt(made.ask(Row({"text": "北" * 30})))
    assert tokens(prompt["token_ids"]) == f"{CLS}{'北' * 11}{SEP}"
    assert made.defaults.max_length == 7  # its end counts


def test_a_text_without_room_beside_a_title_is_refused():
    with pytest.raises(ConfigError, match=r"data.max_length: expected 36 or more"):
        recipe(data__max_length=35)
    assert recipe(data__max_length=36).longest == 36


def test_a_row_is_asked_under_the_names_of_data_sets():
    made = recipe()
    for name in ("text", "content", "abst", "short_text"):
        assert made.ask(Row({name: TEXT, "title": "x"})) == TitleExample(TEXT)
    with pytest.raises(DataError, match='expected the key "text"'):
        made.ask(Row({"title": TEXT}))


@pytest.mark.parametrize("model", ["unilm", "causal"])
def test_each_shape_masks_as_it_says(model):
    """The text, two tokens here, sees all of itself only under UniLM."""
    sizes = TransformerConfig(
        vocab_size=SIZES.vocab_size,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
    )
    built = recipe(sizes, task__model=model).build(Transformer(sizes))
    seen = built.attention(np.array([[0, 0, 1, 1]]), np.ones((1, 4), bool))
    own = np.tril(np.ones((4, 4), bool))
    if model == "unilm":
        own[:2, :2] = True
    assert (ops.convert_to_numpy(seen)[0, 0] == own).all()


class FakeDecode:
    """Writes what it was given, whatever is asked."""

    def __init__(self, *texts):
        self.texts = texts
        self.prompts = []

    def __call__(self, prompts, options, constraints=(), keys=None):
        self.prompts += prompts
        ids = [TOKENIZER.encode_characters(text).token_ids for text in self.texts]
        return [[Hypothesis(x, -1.0, "end", True) for x in ids] for _ in prompts]


def test_answers_and_blank_lines():
    made = recipe()
    examples = [made.ask(Row({"text": text})) for text in (TEXT, "  ", "")]
    decode = FakeDecode("中国首都", "首都")
    answers = made.write(decode, examples, made.defaults)
    assert len(decode.prompts) == 1 and answers[1:] == [{"outputs": []}] * 2
    assert [x["text"] for x in answers[0]["outputs"]] == ["中国首都"]


def test_scores():
    made = recipe()
    examples = [TitleExample(TEXT, "中国的首都"), TitleExample(TEXT, "北京是首都")]
    answers = [
        {"outputs": [{"text": text, "finish_reason": reason}], "nll": 3.0}
        for text, reason in (("中国的首都", "end"), ("京的", "length"))
    ]
    answers = [{**answer, "target_tokens": 6} for answer in answers]
    scores = made.score(examples, answers)
    assert made.main_score == "rougeL" and scores["rougeL"] == pytest.approx(
        (1 + 2 / 7) / 2
    )
    assert scores["rouge1"] == pytest.approx((1 + 2 / 7) / 2)
    assert scores["rouge2"] == pytest.approx(0.5)
    assert scores["perplexity"] == pytest.approx(math.exp(0.5))
    assert scores["unfinished"] == 0.5 and 0 < scores["bleu"] < 100
    assert recipe().score([], [])["rougeL"] is None
