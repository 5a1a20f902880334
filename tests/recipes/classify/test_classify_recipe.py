"""The recipe without a run: labels, features, answers, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.config.loader import resolve
from nlpcli.engine.train import prepare
from nlpcli.errors import ConfigError, DataError
from nlpcli.recipes.classify.form import ClassifyExample
from nlpcli.recipes.classify.recipe import build_recipe
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import Setup
from nlpcli.text.tokenizers.load import tiny_tokenizer
from nlpcli.text.windows import whole_window

TOKENIZER = tiny_tokenizer()
SIZES = TransformerConfig(
    vocab_size=len(TOKENIZER.vocab.tokens),
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=64,
)


def example(text, *labels, several=False):
    return ClassifyExample(tuple(text.split("\t")), labels, several, "a:1")


ONE = [example("好", "正面"), example("坏", "负面"), example("很好", "正面")]
SEVERAL = [
    example("又贵又差", "价格", "服务", several=True),
    example("无", several=True),
    example("贵", "价格", several=True),
]


def make(*examples, **flags):
    config = resolve("classify", flags={f"task.{k}": v for k, v in flags.items()})
    recipe = build_recipe(Setup(config, TOKENIZER, SIZES))
    for item in examples:
        recipe.learn(item)
    return recipe


def merged(recipe, *chances, text="好"):
    parts = [(whole_window(len(text)), np.array(chances))] if chances else []
    return recipe.merge(example(text), parts)


def test_labels_and_their_numbers_come_from_training():
    recipe = make(*ONE)
    assert recipe.labels.names == sorted(["正面", "负面"])
    assert (recipe.several, recipe.main_score) == (False, "accuracy")
    found = recipe.targets(ONE[0], whole_window(1))["labels"]
    assert found.tolist() == [recipe.labels.names.index("正面")]
    recipe = make(*SEVERAL)
    assert (recipe.several, recipe.main_score) == (True, "f1")
    assert recipe.targets(SEVERAL[0], whole_window(1))["labels"].tolist() == [0, 1]
    assert recipe.targets(SEVERAL[1], whole_window(1))["labels"].tolist() == []
    assert make(ONE[0], SEVERAL[0]).several, "one line with a list says so for all"


def test_state_and_back():
    for examples in (ONE, SEVERAL):
        recipe, other = make(*examples), make()
        recipe.thresholds = dict.fromkeys(recipe.labels.names, 0.25)
        other.restore(recipe.state())
        assert other.state() == recipe.state()
        assert set(recipe.state()) == {"labels", "several", "thresholds"}
        other.meet(examples[0])


def test_what_dev_has_that_training_never_saw():
    recipe = make(*ONE)
    with pytest.raises(DataError) as caught:
        recipe.meet(example("中", "中立"))
    told = "expected a label of the training data (正面, 负面), got '中立'"
    assert str(caught.value) == f"a:1: {told}"
    with pytest.raises(DataError, match='expected "label", as the training data has'):
        recipe.meet(example("好", "正面", several=True))
    make(*SEVERAL).meet(example("贵", "价格"))


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"text": "甲"}, ("甲",)),
        ({"text": "甲\t乙"}, ("甲", "乙")),
        ({"text_a": "甲", "text_b": "乙"}, ("甲", "乙")),
        ({"sentence": "甲"}, ("甲",)),
        ({"text": ""}, ("",)),
    ],
)
def test_what_is_asked(row, texts):
    recipe = make(*ONE)
    asked = recipe.ask(Row(row))
    assert asked.texts == texts and asked.labels == ()
    (windows,) = recipe.encode([asked], gold=False)
    assert len(windows) == bool(any(texts))


def test_answers_of_one_label():
    recipe = make(*ONE)
    assert merged(recipe, 0.2, 0.8) == {"label": "负面", "probability": 0.8}
    assert merged(recipe, 0.5, 0.5)["label"] == recipe.labels.names[0]
    assert merged(recipe) == {"label": None}
    told = merged(make(*ONE, top=1), 0.2, 0.8)
    assert told["top"] == [{"label": "负面", "probability": 0.8}]
    told = merged(make(*ONE, top=5), 0.2, 0.8)
    assert [item["label"] for item in told["top"]] == ["负面", "正面"]


def test_answers_of_several_labels():
    recipe = make(*SEVERAL, top=2)
    recipe.thresholds = {"价格": 0.3, "服务": 0.9}
    told = merged(recipe, 0.4, 0.8)
    assert told["labels"] == [{"label": "价格", "probability": 0.4}]
    assert [item["label"] for item in told["top"]] == ["服务", "价格"]
    assert merged(recipe, 0.1, 0.1)["labels"] == []
    assert merged(recipe) == {"labels": []}


def test_thresholds_are_chosen_for_several_only():
    parts = [np.array([0.8, 0.1]), np.array([0.4, 0.2]), np.array([0.6, 0.1])]
    recipe = make(*SEVERAL)
    recipe.tune(SEVERAL, parts)
    assert recipe.thresholds == pytest.approx({"价格": 0.5, "服务": 0.05}, abs=0.06)
    assert list(recipe.state()["thresholds"]) == recipe.labels.names
    recipe = make(*ONE)
    recipe.tune(ONE, parts)
    assert recipe.thresholds == {}


def test_scores_and_gold():
    recipe = make(*ONE)
    answers = [{"label": "正面"}, {"label": "正面"}, {"label": None}]
    scores = recipe.score(ONE, answers)
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["per_label"]["正面"]["predicted"] == 2
    assert recipe.gold(ONE[0]) == "正面"
    assert recipe.gold(example("好", several=True)) == [], "of another file"
    recipe = make(*SEVERAL)
    told = [{"labels": [{"label": name} for name in x.labels]} for x in SEVERAL]
    assert recipe.score(SEVERAL, told)["f1"] == 1.0
    assert recipe.gold(SEVERAL[0]) == ["价格", "服务"]
    assert recipe.gold(example("贵", "价格")) == ["价格"]


def head_of(recipe):
    return recipe.build(Transformer(SIZES)).heads["labels"]


def test_rare_labels_weigh_more_where_that_is_asked():
    assert head_of(make(*ONE)).weights_of == [1.0, 1.0]
    found = head_of(make(*ONE, class_weights="balanced")).weights_of
    assert found == pytest.approx([3 / 4, 3 / 2])
    found = head_of(make(*SEVERAL, class_weights="balanced")).weights_of
    assert found == pytest.approx([1 / 2, 2 / 1])
    loaded = make(class_weights="balanced")
    loaded.restore(make(*ONE).state())
    assert head_of(loaded).weights_of == [1.0, 1.0], "nothing is learnt any more"


def test_a_vocabulary_that_is_cut_loses_no_weights(tmp_path):
    """The recipe learns again under the new numbers of the tokens."""
    path = tmp_path / "a.tsv"
    path.write_text("好\t正\n很好\t正\n太好\t正\n坏\t负\n", "utf-8")
    flags = {
        "data.train": str(path),
        "data.dev": str(path),
        "task.class_weights": "balanced",
    }
    whole, cut = (
        prepare(resolve("classify", flags={**flags, "backbone.prune_vocab": pruned}))
        for pruned in (False, True)
    )
    assert len(cut.recipe.tokenizer.vocab.tokens) < len(TOKENIZER.vocab.tokens)
    found = [head_of(x.recipe).weights_of for x in (whole, cut)]
    assert found[0] == found[1] == pytest.approx([4 / 6, 4 / 2])


def test_a_model_that_looks_back_only_is_read_by_its_mean():
    """Its first token sees nothing of the text."""
    for causal, kind in ((False, "cls"), (True, "mean")):
        recipe = make(example("好", "1"))
        sizes = replace(SIZES, causal=causal)
        head = recipe.build(Transformer(sizes)).heads["labels"]
        assert head.pooling.kind == kind
    for kind in ("cls", "pooler"):
        recipe = make(example("好", "1"), pooling=kind)
        with pytest.raises(ConfigError, match="expected mean, since the first"):
            recipe.build(Transformer(replace(SIZES, causal=True)))


def test_texts_without_any_label_train_nothing():
    with pytest.raises(DataError, match="expected labels, got texts without any"):
        head_of(make(example("无", several=True)))


def test_what_is_too_long_is_cut_and_a_pair_shares_the_room():
    recipe = build_recipe(
        Setup(resolve("classify", flags={"data.max_length": 9}), TOKENIZER, SIZES)
    )
    [[one]], [[pair]] = (
        recipe.encode([example(text)], gold=True)
        for text in ("一" * 30, "一" * 30 + "\t二三")
    )
    assert len(one.features["token_ids"]) == len(pair.features["token_ids"]) == 9
    assert pair.features["segment_ids"].tolist() == [0] * 6 + [1] * 3


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("top", 0, "expected integer >= 1 or null"),
        ("pooling", "max", "cls"),
        ("class_weights", "x", "none"),
    ],
)
def test_options_that_are_none(key, value, told):
    with pytest.raises(ConfigError, match=told):
        resolve("classify", flags={f"task.{key}": value})
