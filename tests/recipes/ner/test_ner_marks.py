"""What ner's encoder reads of a Unigram tokenizer's mark before a text."""

from types import SimpleNamespace

import pytest

from nlpcli.config.loader import resolve
from nlpcli.recipes.ner.form import NerExample
from nlpcli.recipes.ner.recipe import build_recipe
from nlpcli.tasks.protocol import Setup
from nlpcli.text.tokenizers.load import load_tokenizer, tiny_tokenizer
from tests.tiny_unigram import write_unigram

TEXT = "北京大学"


def recipe_of(tokenizer, head):
    flags = {"task.head": head, "tokenizer.pieces": "whole", "data.max_length": 64}
    return build_recipe(Setup(resolve("ner", flags=flags), tokenizer, None))


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_softmax_reads_the_mark_as_transformers_does(tmp_path, head):
    """The other heads read what those of 0.1 learnt: a text without it."""
    write_unigram(tmp_path, 40)
    tokenizer = load_tokenizer(tmp_path)
    recipe, vocab = recipe_of(tokenizer, head), tokenizer.vocab
    features = recipe.encode([NerExample(TEXT, ())], gold=False)[0][0].features
    read = [vocab.tokens[i] for i in features["token_ids"]]
    marks = ["▁"] if head == "softmax" else []
    assert read == ["<s>", *marks, *TEXT, "</s>"]
    assert [read[i] for i in features["char_to_token"]] == list(TEXT)


def test_an_export_tells_of_the_mark(tmp_path):
    write_unigram(tmp_path, 40)
    model = SimpleNamespace(heads={"tags": SimpleNamespace(scores=None)})
    (line,) = recipe_of(load_tokenizer(tmp_path), "softmax").published_head(model).lost
    assert "'▁'" in line and "not learnt" in line
    assert recipe_of(tiny_tokenizer(), "softmax").published_head(model).lost == ()
