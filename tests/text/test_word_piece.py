"""WordPiece against Google's rules in plain Python, and against transformers."""

import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nlpcli.errors import CheckpointError
from nlpcli.text.tokenizers.load import load_tokenizer, tiny_tokenizer
from nlpcli.text.tokenizers.settings import Cleaning
from nlpcli.text.tokenizers.vocab import Vocab
from nlpcli.text.tokenizers.word_piece import LONGEST_WORD, WordPieceTokenizer
from tests.text import google_bert
from tests.text.real_texts import SPECIAL, real_texts, vocab_of

# Later Unicode versions than the library's moved or added marks; 3.2 and these are old
# enough for both sides. Those that changed their class since are left out.
OLD = "".join(
    chr(code)
    for code in range(0x110000)
    if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Co", "Cs")
    and chr(code) not in "\u166d\u1734\u1885\u1886"
)
EMOJI = "😀👨👩👧\u200d\ufe0f🏽🇨🇳❤1\u20e3"
ODD = "Σσςİıſßéｅ\u0301ＡＢ１\u3000\xa0\xad\u200b\0\x01\x0b\x7f\x85\u2028\ufeff\ufffd"
RARE = "\ue000\uf8ff\U0010fffd\U0002b820\U0002b91f\U0002b920𠮷한\ud800\udc00々〇"
COMMON = "王小明在北京大学abzABZ019 \t\n\r,.。！[]#'-"
characters = st.one_of(
    st.sampled_from(COMMON), st.sampled_from(EMOJI + ODD + RARE), st.sampled_from(OLD)
)
texts = st.text(characters, max_size=40)

CLEANINGS = {
    "folded": Cleaning(),
    "cased": Cleaning(lowercase=False),
    "accents kept": Cleaning(strip_accents=False),
    "accents only": Cleaning(lowercase=False, strip_accents=True),
    "han together": Cleaning(han_apart=False),
    "cased, han together": Cleaning(False, None, False),
}
BASE = "王小明在北京大学abz019.,!#[]Σσςiſsße한ᄒ\u1161ᆫ\ue000\U0002b820𠮷😀々〇"
WORDS = [
    "é",
    "##é",
    "É",
    "王小",
    "##小明",
    "学ab",
    "ab",
    "##ab",
    "##19",
    "##bz",
    "ασ",
    "##ας",
    "σς",
]
VOCAB = Vocab(
    tuple(dict.fromkeys([*SPECIAL, *BASE, *(f"##{c}" for c in BASE), *WORDS]))
)


@pytest.fixture(scope="module", params=CLEANINGS.values(), ids=CLEANINGS)
def tokenizer(request):
    return WordPieceTokenizer(VOCAB, *request.param)


def tokens(tokenizer, text):
    return [tokenizer.vocab.tokens[i] for i in tokenizer.encode(text).token_ids]


@given(text=texts)
@example(text="ασΣ ΑΣ\x01Α ΣΑ ΑΣ'Α Σ ΑİΣ")
@example(text="\ud83d\ude00北")
@example(text="a\ue000b a\U0002b820b")
def test_agrees_with_googles_rules(tokenizer, text):
    expected = google_bert.tokenize(text, VOCAB.index, *tokenizer.cleaning)
    assert tokens(tokenizer, text) == expected


def test_every_old_character_is_of_googles_class():
    """A letter, a mark, a space or nothing: seen by what happens between a and b."""
    vocab = Vocab((*SPECIAL, "a", "b", "##b"))
    letters = [c for c in OLD if unicodedata.category(c) != "Lo"]
    for low, high in [(0xE000, 0xF8FF), *google_bert.HAN]:
        inside = {low, low + 1, high, *range(low, high, 17)}
        letters += [chr(code) for code in {low - 1, high + 1} | inside]
    ours = WordPieceTokenizer(vocab).encode_batch([f"a{c}b" for c in letters])
    wrong = [
        f"{ord(c):x}"
        for c, encoding in zip(letters, ours, strict=True)
        if [vocab.tokens[i] for i in encoding.token_ids]
        != google_bert.tokenize(f"a{c}b", vocab.index)
    ]
    assert wrong == []


@given(text=texts)
def test_offsets_are_those_of_the_text(tokenizer, text):
    encoding = tokenizer.encode(text)
    starts, ends = encoding.offsets.T
    assert encoding.offsets.dtype == encoding.token_ids.dtype == np.int32
    assert encoding.offsets.shape == (len(encoding.token_ids), 2)
    assert np.all((starts >= 0) & (starts < ends) & (ends <= len(text)))
    assert np.all(np.diff(starts) >= 0) and np.all(np.diff(ends) >= 0)
    for token_id, (start, end) in zip(
        encoding.token_ids, encoding.offsets.tolist(), strict=True
    ):
        covered = google_bert.words(text[start:end], *tokenizer.cleaning)
        piece = tokenizer.vocab.tokens[token_id].removeprefix("##")
        alone = np.sum((starts < end) & (ends > start)) == 1
        if token_id == tokenizer.vocab.unk_id:
            assert len(covered) == 1
        elif alone:  # a final sigma is one only at the end of its word
            assert [w.replace("ς", "σ") for w in covered] == [piece.replace("ς", "σ")]
        else:  # one character of several pieces
            assert piece in covered[0]


def test_a_word_is_unknown_beyond_googles_length():
    tokenizer = tiny_tokenizer()
    assert len(tokenizer.encode("a" * LONGEST_WORD).token_ids) == LONGEST_WORD == 200
    encoding = tokenizer.encode("x " + "a" * (LONGEST_WORD + 1))
    assert encoding.token_ids.tolist()[1:] == [tokenizer.vocab.unk_id]
    assert encoding.offsets.tolist()[1:] == [[2, 203]]


@pytest.mark.parametrize("name", SPECIAL)
def test_a_special_token_in_a_text_is_plain_characters(name):
    tokenizer = tiny_tokenizer()
    assert tokens(tokenizer, name) == google_bert.tokenize(name, tokenizer.vocab.index)
    assert not {*tokenizer.encode(name).token_ids} & {*tokenizer.vocab.special_ids}


def test_single_characters():
    tokenizer = tiny_tokenizer()
    text = "北 A\u3000\0😀한é"
    index, unknown = tokenizer.vocab.index, tokenizer.vocab.unk_id
    expected = [index["北"], unknown, index["a"], *[unknown] * 4, index["e"]]
    assert tokenizer.character_ids(text).tolist() == expected
    encoding = tokenizer.encode_characters(text)
    assert encoding.offsets[:, 0].tolist() == [0, 2, 4, 5, 6, 7]
    assert encoding.token_ids.tolist() == [expected[i] for i in (0, 2, 4, 5, 6, 7)]
    for nothing in ("", " \u3000"):
        assert tokenizer.encode_characters(nothing).offsets.shape == (0, 2)
        assert tokenizer.encode(nothing).offsets.shape == (0, 2)


def test_a_batch_is_its_texts():
    tokenizer = tiny_tokenizer()
    batch = ["王小明", "", "in 北京", "\ud800"]
    for text, encoding in zip(batch, tokenizer.encode_batch(batch), strict=True):
        alone = tokenizer.encode(text)
        assert np.array_equal(alone.token_ids, encoding.token_ids)
        assert np.array_equal(alone.offsets, encoding.offsets)


@pytest.mark.parametrize("cleaning", CLEANINGS.values(), ids=CLEANINGS)
def test_a_saved_tokenizer_is_the_same(tmp_path, cleaning):
    WordPieceTokenizer(VOCAB, *cleaning).save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (again.kind, again.vocab.tokens) == ("wordpiece", VOCAB.tokens)
    assert again.cleaning == cleaning
    assert again.with_vocab(range(10), ()).cleaning == cleaning


def test_settings_that_are_no_json(tmp_path):
    WordPieceTokenizer(VOCAB).save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: expected JSON"):
        load_tokenizer(tmp_path)


def test_10_000_real_texts_agree_with_googles_rules(shared):
    lines = real_texts(shared)
    tokenizer = WordPieceTokenizer(vocab_of(lines[::2], ["##ing", "http", "##tp"]))
    index = tokenizer.vocab.index
    for line, encoding in zip(lines, tokenizer.encode_batch(lines), strict=True):
        found = [tokenizer.vocab.tokens[i] for i in encoding.token_ids]
        assert found == google_bert.tokenize(line, index)


@pytest.mark.parity
def test_10_000_real_texts_agree_with_transformers(shared, tmp_path):
    transformers = pytest.importorskip("transformers")
    lines = real_texts(shared)
    assert len(lines) == 10_000
    tokenizer = WordPieceTokenizer(vocab_of(lines[::2], ["##ing", "http", "##tp"]))
    tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    vocab = tokenizer.vocab
    for line, encoding, expected in zip(
        lines, tokenizer.encode_batch(lines), theirs(lines)["input_ids"], strict=True
    ):
        assert [vocab.begin_id, *encoding.token_ids, vocab.end_id] == expected, line
