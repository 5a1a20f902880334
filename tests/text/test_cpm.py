"""CPM's tokenizer: words, its two signs, and the text again."""

import jieba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.text.tokenizers.load import load_tokenizer
from tests.text import made_tokenizers as made


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cpm")
    (folder / "spiece.model").write_bytes(made.cpm_pieces())
    return load_tokenizer(folder)


def pieces(tokenizer, text):
    encoding = tokenizer.encode(text)
    return [
        (tokenizer.vocab.tokens[i], *span)
        for i, span in zip(encoding.token_ids, encoding.offsets.tolist(), strict=True)
    ]


def test_words_and_their_places(tokenizer):
    assert tokenizer.kind == "cpm"
    assert pieces(tokenizer, "北京大学读书") == [
        ("▁北京大学", 0, 4),
        ("▁读书", 4, 6),
    ]
    assert pieces(tokenizer, "") == []
    assert pieces(tokenizer, "王 ,\n") == [
        ("▁王", 0, 1),
        ("▁", 1, 1),
        ("\u2582", 1, 2),
        ("▁,", 2, 3),
        ("▁", 3, 3),
        ("\u2583", 3, 4),
    ]


def test_a_newline_is_the_piece_that_its_file_calls_cls(tokenizer):
    assert tokenizer.encode("\n").token_ids.tolist()[-1] == 3
    assert tokenizer.encode(" ").token_ids.tolist()[-1] == 10
    assert tokenizer.character_ids("\n 天").tolist()[:2] == [3, 10]
    assert tokenizer.encode_characters("今 天").offsets.tolist() == [[0, 1], [2, 3]]


def test_roles(tokenizer):
    vocab = tokenizer.vocab
    assert (vocab.end_id, vocab.pad_id, vocab.unk_id) == (7, 5, 0)
    assert vocab.begin_id is vocab.mask_id is None
    assert vocab.special_ids == (0, 1, 2, 4, 5, 6, 7, 8)


def test_the_text_comes_back(tokenizer):
    for text in ("今天 天气\n北京大学读书", "王 \n\n 王", "Hello, world! 你好"):
        ids = tokenizer.encode(text).token_ids.tolist()
        assert tokenizer.vocab.unk_id not in ids
        assert tokenizer.text([*ids, 7, 5]) == text
    ids = tokenizer.encode("王 王").token_ids.tolist()
    assert tokenizer.text(ids[1:], begins=False) == " 王"


@given(text=st.text(st.sampled_from("今天气王北京 \n\u3000a,😀▁Ａ"), max_size=20))
def test_offsets_are_those_of_the_text(tokenizer, text):
    starts, ends = tokenizer.encode(text).offsets.T
    assert np.all((starts >= 0) & (starts <= ends) & (ends <= len(text)))
    assert np.all(np.diff(starts) >= 0) and np.all(np.diff(ends) >= 0)
    kept = {i for a, b in zip(starts, ends, strict=True) for i in range(a, b)}
    solid = {i for i, c in enumerate(text) if c not in "\u3000"}
    assert solid <= kept


def test_the_words_are_those_of_jieba(tokenizer):
    text = "他来到了网易杭研大厦，今天天气不错"
    joined = " ".join(jieba.cut(text))  # with its HMM: 杭研 is a word
    assert "杭研" in joined.split()
    inner = tokenizer._pieces.encode(joined).token_ids.tolist()
    assert tokenizer.encode(text).token_ids.tolist() == inner


def test_what_is_saved_is_read_again(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (again.kind, again.vocab.tokens) == ("cpm", tokenizer.vocab.tokens)
    assert again.vocab.special_ids == tokenizer.vocab.special_ids
    text = "今天 天气\n北京"
    assert pieces(again, text) == pieces(tokenizer, text)
    small = again.with_vocab([*range(20)], ["堃"])
    assert small.kind == "cpm" and small.vocab.tokens[-1] == "堃"
    assert (small.vocab.end_id, small.vocab.begin_id) == (7, None)
