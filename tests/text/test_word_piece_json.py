"""BERT tokenizers that have a tokenizer.json and no vocab.txt."""

import pytest
from tokenizers import Tokenizer

from nlpcli.errors import CheckpointError
from nlpcli.text.tokenizers.load import load_tokenizer
from tests.text import made_tokenizers as made

TEXTS = [t for t in made.TEXTS if "\u200d" not in t]  # Google keeps what it drops


@pytest.mark.parametrize("lowercase", [True, False])
def test_ids_are_those_of_the_library(lowercase, tmp_path):
    made.write(tmp_path, made.word_piece(lowercase))
    ours = load_tokenizer(tmp_path)
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert (ours.kind, ours.lowercase) == ("wordpiece", lowercase)
    assert ours.vocab.tokens == tuple(
        theirs.id_to_token(i) for i in range(theirs.get_vocab_size())
    )
    for text in TEXTS:
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text).token_ids.tolist() == expected, text
    assert ours.vocab.unk_id == 1
    assert {*ours.encode("[SEP]").token_ids.tolist()}.isdisjoint({0, 2, 3, 4})


def test_what_is_saved_is_read_again(tmp_path):
    ours = load_tokenizer(made.write(tmp_path / "a", made.word_piece(lowercase=False)))
    (tmp_path / "b").mkdir()
    ours.save(tmp_path / "b")
    again = load_tokenizer(tmp_path / "b")
    assert again.vocab.tokens == ours.vocab.tokens and not again.lowercase
    for text in made.TEXTS:
        assert again.encode(text).token_ids.tolist() == (
            ours.encode(text).token_ids.tolist()
        )


def test_a_vocabulary_of_words_is_word_level(tmp_path):
    raw = made.word_piece()
    vocab, size = raw["model"]["vocab"], len(raw["model"]["vocab"])
    words = [chr(0x4E00 + n) + chr(0x4E01 + n) for n in range(1100)]
    new = [word for word in words if word not in vocab]
    vocab |= {word: size + n for n, word in enumerate(new)}
    assert load_tokenizer(made.write(tmp_path, raw)).kind == "word"


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        ({"continuing_subword_prefix": "@@"}, {}, "expected '##', got '@@'"),
        ({}, {"pre_tokenizer": {"type": "Whitespace"}}, "expected BertPreTokenizer"),
        ({}, {"normalizer": None}, "expected BertNormalizer"),
        ({"vocab": {"[UNK]": 0, "[SEP]": 1}}, {}, r"expected a token \[PAD\] or <pad>"),
        ({"vocab": {"a\nb": 0}}, {}, r"expected tokens of one line, got 'a\\nb'"),
        ({"vocab": {"[PAD]": 0, "[UNK]": "1"}}, {}, "expected numbers from 0 to"),
    ],
)
def test_a_bad_file_is_named(model, change, message, tmp_path):
    raw = made.word_piece()
    raw = {**raw, "model": {**raw["model"], **model}, "added_tokens": [], **change}
    made.write(tmp_path, raw)
    with pytest.raises(CheckpointError, match=rf"tokenizer\.json: .*{message}"):
        load_tokenizer(tmp_path)


def test_a_kind_that_was_asked_for_and_is_another(tmp_path):
    made.write(tmp_path, made.gpt2())
    for kind, name in {"wordpiece": "WordPiece", "unigram": "Unigram"}.items():
        with pytest.raises(CheckpointError, match=f"expected a {name} model, got BPE"):
            load_tokenizer(tmp_path, kind)
