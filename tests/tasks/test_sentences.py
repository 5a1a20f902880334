"""Texts and pairs of texts as an encoder reads them."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from nlpcli.records.form import Form
from nlpcli.tasks.protocol import Setup
from nlpcli.tasks.sentences import Sentences, cut_longest
from nlpcli.text.batching import Field, sizes_of
from nlpcli.text.tokenizers.load import tiny_tokenizer


@dataclass(frozen=True)
class Pair:
    texts: tuple[str, ...]
    origin: str = ""

    @property
    def text(self):
        return "\t".join(self.texts)


class Both(Sentences[Pair]):
    """What a recipe adds to the shape, as little as it can."""

    main_score = "accuracy"

    def texts(self, example):
        return example.texts

    def ask(self, row): ...

    def build(self, backbone): ...

    def predict(self, forward, batch): ...

    def merge(self, example, parts): ...

    def gold(self, example): ...

    def score(self, examples, answers): ...


def make(longest=16, own_fields=None):
    task = SimpleNamespace(form=lambda: Form)
    config = SimpleNamespace(
        task=task,
        data=SimpleNamespace(max_length=longest),
        tokenizer=SimpleNamespace(pieces="auto"),
    )
    return Both(Setup(config, tiny_tokenizer(), None), own_fields)


def read(recipe, *texts):
    windows = recipe.encode([Pair(texts)], gold=True)[0]
    (window,) = windows
    tokens = recipe.tokenizer.vocab.tokens
    told = " ".join(tokens[i] for i in window.features["token_ids"])
    return told, window.features["segment_ids"].tolist()


def test_a_text_and_a_pair():
    recipe = make()
    assert read(recipe, "你好") == ("[CLS] 你 好 [SEP]", [0] * 4)
    told, segments = read(recipe, "你好", "再见吗")
    assert told == "[CLS] 你 好 [SEP] 再 见 吗 [SEP]"
    assert segments == [0] * 4 + [1] * 4


def test_a_batch_keeps_its_order_and_its_fields():
    recipe = make(own_fields={"labels": Field(())})
    examples = [Pair(("你好", "再见")), Pair((" ",)), Pair(("好",)), Pair(("", " "))]
    found = recipe.encode(examples, gold=False)
    assert [len(windows) for windows in found] == [1, 0, 1, 0]
    window = found[0][0]
    assert (window.window.start, window.window.end) == (0, len("你好\t再见"))
    assert sizes_of(window.features, recipe.fields) == {"tokens": 7}
    assert all(window.features["padding_mask"])
    assert recipe.fields["labels"] == Field(())
    assert recipe.fields["token_ids"].tokens, "so that a vocabulary can be pruned"


def test_what_is_too_long_is_cut():
    assert read(make(6), "一二三四五六")[0] == "[CLS] 一 二 三 四 [SEP]"
    told, segments = read(make(10), "一二三", "一二三四五六七八")
    assert told == "[CLS] 一 二 三 [SEP] 一 二 三 四 [SEP]"
    assert segments == [0] * 5 + [1] * 5


def by_popping(lengths, room):
    """Google's ``_truncate_seq_pair``: one token after another."""
    one, other = lengths
    while one + other > room:
        if one > other:
            one -= 1
        else:
            other -= 1
    return [one, other]


@pytest.mark.parametrize("room", [0, 1, 8, 9])
def test_a_pair_is_cut_as_bert_cuts_it(room):
    for one in range(12):
        for other in range(12):
            found = cut_longest([np.arange(one), np.arange(other)], room)
            assert [len(part) for part in found] == by_popping((one, other), room)
            assert all(part.tolist() == list(range(len(part))) for part in found)
