"""Word level against bert4keras: its rules in plain Python, and the package."""

import importlib.util
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nlpcli.text.tokenizers.load import load_tokenizer
from nlpcli.text.tokenizers.settings import Cleaning
from nlpcli.text.tokenizers.word_level import WordTokenizer, segmenter
from tests.text import google_bert
from tests.text.real_texts import SPECIAL, real_texts, vocab_of

SCRIPT = Path(__file__).with_name("bert4keras_tokens.py")
TEXT = "王小明在北京大学读书，Iphone 2011 cafe abc"
WORDS = ["北京", "北京大学", "读书", "2011", "iphone", "cafe", "大学"]


def rendering(text, vocab, lowercase=True, strip=None, han_apart=True):
    """Fold, cut with jieba, words of the vocabulary whole, the others in pieces."""
    text = text.lower() if lowercase else text
    if lowercase if strip is None else strip:
        parts = unicodedata.normalize("NFD", text)
        text = "".join(c for c in parts if unicodedata.category(c) != "Mn")
    found = []
    for word in segmenter().cut(text, HMM=False):
        if word in vocab:
            found.append(word)
        else:
            found += google_bert.tokenize(word, vocab, lowercase, strip, han_apart)
    return found


CLEANINGS = {
    "folded": Cleaning(),
    "cased": Cleaning(lowercase=False),
    "accents kept": Cleaning(strip_accents=False),
    "accents only": Cleaning(lowercase=False, strip_accents=True),
    "han together": Cleaning(han_apart=False),
}


@pytest.fixture(scope="module", params=CLEANINGS.values(), ids=CLEANINGS)
def tokenizer(request):
    more = [*WORDS, "ας", "é", "##é", "王北"]
    return WordTokenizer(vocab_of([TEXT + "σς한"], more), *request.param)


def tokens(tokenizer, text):
    return [tokenizer.vocab.tokens[i] for i in tokenizer.encode(text).token_ids]


COMMON = st.sampled_from(
    ["北京", "大学", "读书", "caf", "iPhone", "2011", " ", "王", "，"]
)
ODD = st.sampled_from(
    "éÉe\u0301İσＡ\u3000\0\x01\ufffd😀\u200d\ufe0f한\ue000\ud800\udc00#["
)
texts = st.lists(COMMON | ODD, max_size=15).map("".join)


@given(text=texts)
@example(text="CAFÉ北京大学 ΑΣ")
@example(text="ΑΣ' ΑΣΑ İ北京")
def test_agrees_with_the_rendering(tokenizer, text):
    plain = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    expected = rendering(plain, tokenizer.vocab.index, *tokenizer.cleaning)
    assert tokens(tokenizer, text) == expected


@given(text=texts)
def test_offsets_are_those_of_the_text(tokenizer, text):
    encoding = tokenizer.encode(text)
    starts, ends = encoding.offsets.T
    assert encoding.offsets.dtype == encoding.token_ids.dtype == np.int32
    assert np.all((starts >= 0) & (starts < ends) & (ends <= len(text)))
    assert np.all(np.diff(starts) >= 0) and np.all(np.diff(ends) >= 0)
    for token, (start, end) in zip(
        tokens(tokenizer, text), encoding.offsets.tolist(), strict=True
    ):
        covered = "".join(google_bert.words(text[start:end], *tokenizer.cleaning))
        alone = np.sum((starts < end) & (ends > start)) == 1
        if token != "[UNK]" and alone:
            piece = token.removeprefix("##").replace("ς", "σ")
            assert covered.replace("ς", "σ") == piece


def test_words_whole_and_others_in_pieces(tokenizer):
    encoding = tokenizer.encode("在北京大学读书")
    assert tokens(tokenizer, "在北京大学读书") == ["在", "北京大学", "读书"]
    assert encoding.offsets.tolist() == [[0, 1], [1, 5], [5, 7]]


def test_accents_are_folded_before_the_cut():
    tokenizer = WordTokenizer(vocab_of([TEXT], WORDS))
    for text in ("Café北京", "Cafe\u0301北京"):
        assert tokens(tokenizer, text) == ["cafe", "北京"]
        assert tokenizer.encode(text).offsets[1].tolist() == [len(text) - 2, len(text)]


def test_special_tokens_in_a_text_and_single_characters():
    tokenizer = WordTokenizer(vocab_of([TEXT], WORDS))
    for name in SPECIAL:
        assert not {*tokenizer.encode(name).token_ids} & {*tokenizer.vocab.special_ids}
    index, unknown = tokenizer.vocab.index, tokenizer.vocab.unk_id
    expected = [index["北"], unknown, index["a"], unknown, unknown]
    assert tokenizer.character_ids("北 A\0😀").tolist() == expected


def test_a_vocabulary_of_words_is_recognised(tmp_path):
    words = [f"北{chr(0x4E00 + i)}" for i in range(1001)]
    content = "".join(f"{token}\r\n" for token in [*SPECIAL, "王", *words])
    (tmp_path / "vocab.txt").write_bytes(content.encode())
    assert load_tokenizer(tmp_path).kind == "word"
    assert load_tokenizer(tmp_path, "wordpiece").kind == "wordpiece"
    load_tokenizer(tmp_path, "wordpiece").save(tmp_path)
    assert load_tokenizer(tmp_path).kind == "wordpiece"


def test_jieba_leaves_no_file_in_the_shared_folder(tmp_path):
    code = (
        "from nlpcli.text.tokenizers.word_level import segmenter as s;"
        "list(s().cut('北京'))"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import tempfile as t; print(t.gettempdir())"],
        env=environment, cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def words_of(lines):
    """The commonest words that jieba cuts, as a WoBERT vocabulary has them."""
    counted: dict[str, int] = {}
    for line in lines:
        for word in segmenter().cut(line.lower(), HMM=False):
            counted[word] = counted.get(word, 0) + 1
    return [w for w, n in counted.items() if n > 2 and len(w) > 1 and w.isalnum()]


def test_real_texts_agree_with_the_rendering(shared):
    lines = real_texts(shared, share=10)
    tokenizer = WordTokenizer(vocab_of(lines[::2], words_of(lines)))
    for line, encoding in zip(lines, tokenizer.encode_batch(lines), strict=True):
        found = [tokenizer.vocab.tokens[i] for i in encoding.token_ids]
        assert found == rendering(line, tokenizer.vocab.index)


@pytest.mark.parity
@pytest.mark.slow
def test_real_texts_agree_with_bert4keras(shared, tmp_path):
    if importlib.util.find_spec("bert4keras") is None:
        pytest.skip("needs bert4keras")
    lines = real_texts(shared)
    tokenizer = WordTokenizer(vocab_of(lines[::2], words_of(lines[::10])))
    tokenizer.save(tmp_path)
    (tmp_path / "texts.json").write_text(json.dumps(lines))
    subprocess.run(
        [sys.executable, str(SCRIPT), *(str(tmp_path / name) for name in (
            "vocab.txt", "texts.json", "ids.json"))], check=True, capture_output=True,
    )  # fmt: skip
    expected = json.loads((tmp_path / "ids.json").read_text())
    vocab = tokenizer.vocab
    for line, encoding, ids in zip(
        lines, tokenizer.encode_batch(lines), expected, strict=True
    ):
        assert [vocab.begin_id, *encoding.token_ids, vocab.end_id] == ids, line
