"""A token that stands twice in a published vocabulary: rows keep their lines.

PaddleNLP's ernie_3.0_nano_zh has "$" on two lines; BERT's loaders keep the last.
"""

import numpy as np
import pytest

from nlpcli.text.tokenizers.load import extend, load_tokenizer, subset
from nlpcli.text.tokenizers.unigram import UnigramTokenizer
from nlpcli.text.tokenizers.vocab import read_vocab, text_of
from tests.text.real_texts import SPECIAL
from tests.text.test_unigram import RAW

TOKENS = [*SPECIAL, "上", "$", "海", "$", "##$", "北京", "", ""]
FIRST, LAST = 6, 8


@pytest.fixture
def folder(tmp_path):
    content = "".join(f"{token}\n" for token in TOKENS)
    (tmp_path / "vocab.txt").write_bytes(content.encode())
    return tmp_path


def test_the_last_line_is_its_id_and_no_other_id_moves(folder):
    vocab = read_vocab(folder / "vocab.txt")
    assert list(vocab.tokens) == TOKENS
    assert vocab.index["$"] == LAST and vocab.index[""] == 12
    for token in ("[PAD]", "[MASK]", "上", "海", "##$", "北京"):
        assert vocab.index[token] == TOKENS.index(token)
    assert vocab.repeated == {"$": [FIRST, LAST], "": [11, 12]}
    assert vocab.special_ids == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("kind", ["wordpiece", "word"])
def test_texts_have_the_last_id_and_read_back(folder, tmp_path, kind):
    tokenizer = load_tokenizer(folder, kind)
    encoding = tokenizer.encode("上$海")
    assert encoding.token_ids.tolist() == [5, LAST, 7]
    assert encoding.offsets.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert tokenizer.character_ids("$海").tolist() == [LAST, 7]
    assert tokenizer.encode_characters("海 $").token_ids.tolist() == [7, LAST]
    assert text_of(tokenizer.vocab, [5, FIRST, LAST, 7]) == "上$$海"
    out = tmp_path / "out"
    out.mkdir()
    tokenizer.save(out)
    assert (out / "vocab.txt").read_bytes() == (folder / "vocab.txt").read_bytes()


@pytest.mark.parametrize("kind", ["wordpiece", "word"])
def test_fewer_and_more_tokens(folder, kind):
    whole = load_tokenizer(folder, kind)
    used = whole.encode("海$").token_ids
    small, old = subset(whole, used.tolist())
    assert old.tolist() == [0, 1, 2, 3, 4, 7, LAST]
    both, kept = subset(whole, range(len(TOKENS)))
    assert kept.tolist() == list(range(len(TOKENS)))
    more, pieces = extend(whole, ["$", "上海"])
    assert list(more.vocab.tokens) == [*TOKENS, "上海"]
    assert pieces == [[5, 7]]
    for other, rows in ((small, old), (both, kept), (more, np.arange(len(TOKENS)))):
        assert np.array_equal(rows[other.encode("海$").token_ids], used)


def test_a_special_token_that_stands_twice(tmp_path):
    content = "".join(f"{token}\n" for token in [*SPECIAL, "上", "[PAD]", "[UNK]"])
    (tmp_path / "vocab.txt").write_text(content, encoding="utf-8")
    tokenizer = load_tokenizer(tmp_path)
    vocab = tokenizer.vocab
    assert (vocab.pad_id, vocab.unk_id, vocab.special_ids) == (6, 7, (2, 3, 4, 6, 7))
    assert tokenizer.encode("上海").token_ids.tolist() == [5, 7]
    small, old = subset(tokenizer, [5])
    assert old[small.encode("上海").token_ids].tolist() == [5, 7]


def test_a_unigram_piece_that_stands_twice(tmp_path):
    pieces = RAW["model"]["vocab"]
    twice = [*pieces, ["北京", 0.0]]
    raw = {**RAW, "model": {**RAW["model"], "vocab": twice}}
    tokenizer = UnigramTokenizer(raw, "tokenizer.json")
    last = len(pieces)
    assert tokenizer.vocab.index["北京"] == last
    ids = tokenizer.encode("北京").token_ids.tolist()
    assert ids[-1] == last
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path).encode("北京").token_ids.tolist() == ids
    small, old = subset(tokenizer, ids)
    assert old[small.encode("北京").token_ids].tolist() == ids


@pytest.mark.parity
def test_transformers_gives_the_same_ids(folder):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizer.from_pretrained(folder)
    ours = load_tokenizer(folder).encode("上$海 a$").token_ids.tolist()
    assert theirs("上$海 a$", add_special_tokens=False)["input_ids"] == ours
