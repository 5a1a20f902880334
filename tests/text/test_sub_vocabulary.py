"""Fewer tokens and more tokens: what is kept encodes as before, ids moved."""

import json

import numpy as np
import pytest

from nlpcli.text.tokenizers.load import extend, load_tokenizer, subset, tiny_tokenizer
from nlpcli.text.tokenizers.unigram import UnigramTokenizer
from nlpcli.text.tokenizers.word_level import WordTokenizer
from tests.text.real_texts import real_texts, vocab_of
from tests.text.test_unigram import RAW

TEXT = "王小明在北京大学读 abc 2011"


def make(kind):
    if kind == "wordpiece":
        return tiny_tokenizer()
    if kind == "unigram":
        return UnigramTokenizer(RAW, "tokenizer.json")
    return WordTokenizer(vocab_of([TEXT], ["北京大学", "大学"]))


@pytest.fixture(params=["wordpiece", "unigram", "word"])
def tokenizer(request):
    return make(request.param)


def test_a_subset_encodes_what_it_kept_as_before(tokenizer, tmp_path):
    whole = tokenizer.encode(TEXT)
    small, old = subset(tokenizer, whole.token_ids.tolist())
    assert len(small.vocab.tokens) == len(old) < len(tokenizer.vocab.tokens)
    assert [tokenizer.vocab.tokens[i] for i in old] == list(small.vocab.tokens)
    small.save(tmp_path)
    for one in (small, load_tokenizer(tmp_path)):
        assert (type(one), one.vocab.tokens) == (type(tokenizer), small.vocab.tokens)
        again = one.encode(TEXT)
        assert np.array_equal(old[again.token_ids], whole.token_ids)
        assert np.array_equal(again.offsets, whole.offsets)


def test_a_subset_of_nothing_keeps_the_special_tokens(tokenizer):
    small, old = subset(tokenizer, [])
    assert old.tolist() == list(tokenizer.vocab.special_ids)
    assert {*small.encode("北京 abc").token_ids} == {small.vocab.unk_id}


def test_new_tokens_come_last_and_know_their_pieces(tokenizer, tmp_path):
    tokens = ["堃", "京", "堃", "😀"]
    more, pieces = extend(tokenizer, tokens)
    new = [t for t in ("堃", "😀") if t not in tokenizer.vocab.index]
    assert list(more.vocab.tokens) == [*tokenizer.vocab.tokens, *new]
    assert len(pieces) == len(new) > 0
    assert all(0 <= i < len(tokenizer.vocab.tokens) for row in pieces for i in row)
    more.save(tmp_path)
    for one in (more, load_tokenizer(tmp_path)):
        assert one.encode("北😀").token_ids[-1] == len(tokenizer.vocab.tokens) + len(
            new
        ) - 1  # fmt: skip
        assert one.encode(TEXT).token_ids.tolist() == (
            tokenizer.encode(TEXT).token_ids.tolist()
        )


@pytest.mark.parametrize("kind", ["unigram", "word"])
def test_a_new_word_wins_over_its_pieces(kind):
    tokenizer = make(kind)
    more, [pieces] = extend(tokenizer, ["小学"])
    names = [tokenizer.vocab.tokens[i] for i in pieces]
    assert names == ["小", "学"]  # not the mark before a Unigram text
    encoding = more.encode("王小学")
    assert more.vocab.tokens[encoding.token_ids[-1]] == "小学"
    assert encoding.offsets[-1].tolist() == [1, 3]


def test_a_new_token_of_nothing_known_starts_as_the_unknown_one(tokenizer):
    _, [pieces] = extend(tokenizer, ["堃"])
    assert pieces == [tokenizer.vocab.unk_id]


@pytest.mark.parity
def test_transformers_reads_the_smaller_folder(shared, tmp_path):
    transformers = pytest.importorskip("transformers")
    lines = real_texts(shared, share=20)
    whole = load_tokenizer(shared("models/e5-small-zh"))
    seen = {int(i) for one in whole.encode_batch(lines) for i in one.token_ids}
    # Ids moved on purpose: the special tokens are no longer the first.
    order = [*sorted(seen - {*whole.vocab.special_ids}), *whole.vocab.special_ids]
    for tokenizer in (
        whole.with_vocab(order, ["堃堃"]),
        tiny_tokenizer().with_vocab([*range(5, 7000), *range(5)], ["堃"]),
    ):
        folder = tmp_path / tokenizer.kind
        folder.mkdir()
        tokenizer.save(folder)
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        vocab = tokenizer.vocab
        assert theirs.pad_token_id == vocab.pad_id
        assert theirs.mask_token_id == vocab.mask_id
        for encoding, ids in zip(
            tokenizer.encode_batch(lines), theirs(lines)["input_ids"], strict=True
        ):
            assert [vocab.begin_id, *encoding.token_ids, vocab.end_id] == ids
    raw = json.loads((tmp_path / "unigram" / "tokenizer.json").read_text("utf-8"))
    assert len(raw["added_tokens"]) == 4
