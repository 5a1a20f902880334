"""Flags of tokenizer_config.json and tokenizer.json: obeyed, refused or told."""

import json
import logging

import pytest

from nlpcli.errors import CheckpointError
from nlpcli.text.tokenizers.load import load_tokenizer
from nlpcli.text.tokenizers.settings import Cleaning
from nlpcli.text.tokenizers.unigram import UnigramTokenizer
from tests.text.real_texts import SPECIAL, real_texts, vocab_of
from tests.text.test_unigram import RAW

TOKENS = [
    *SPECIAL,
    *("很", "iphone", "iP", "##hone", "cafe", "caf", "##é", "Cafe", "的人", "##有"),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS), encoding="utf-8")

    def write(config=None, normalizer=None, kind=None):
        if config is not None:
            config = {**config, "nlpcli_kind": kind} if kind else config
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        if normalizer is not None:
            raw = {"model": {"type": "WordPiece"}, "normalizer": normalizer}
            (tmp_path / "tokenizer.json").write_text(json.dumps(raw))
        return tmp_path

    return write


@pytest.fixture
def told_of(caplog, monkeypatch):
    """The log, whatever an earlier test of the command line did to the logger."""
    caplog.set_level(logging.INFO, "nlpcli")
    return caplog


def pieces(folder, text):
    tokenizer = load_tokenizer(folder)
    return [tokenizer.vocab.tokens[i] for i in tokenizer.encode(text).token_ids]


CASES = [
    ({}, "iPhone很", ["iphone", "很"]),
    ({"do_lower_case": True}, "iPhone很", ["iphone", "很"]),
    ({"do_lower_case": False}, "iPhone很", ["iP", "##hone", "很"]),
    ({}, "Café很", ["cafe", "很"]),
    ({"strip_accents": None}, "Café很", ["cafe", "很"]),
    ({"strip_accents": False}, "Café很", ["caf", "##é", "很"]),
    ({"do_lower_case": False}, "café很", ["caf", "##é", "很"]),
    ({"do_lower_case": False, "strip_accents": True}, "Café很", ["Cafe", "很"]),
    ({"tokenize_chinese_chars": True}, "的人有", ["[UNK]"] * 3),
    ({"tokenize_chinese_chars": False}, "的人有", ["的人", "##有"]),
    ({"tokenize_chinese_chars": False}, "的人有 很", ["的人", "##有", "很"]),
]


@pytest.mark.parametrize(("config", "text", "expected"), CASES)
@pytest.mark.parametrize("kind", ["wordpiece", "word"])
def test_flags_are_obeyed(folder, tmp_path, config, text, expected, kind):
    found = folder(config, kind=kind)
    if kind == "word":  # jieba cuts first: 的人 is no word of it, é is one
        alone = {"的人": ["[UNK]"] * 2, "##有": ["[UNK]"], "##é": ["[UNK]"]}
        expected = [part for token in expected for part in alone.get(token, [token])]
    assert pieces(found, text) == expected
    again = tmp_path / "again"
    again.mkdir()
    load_tokenizer(found).save(again)
    assert pieces(again, text) == expected
    assert load_tokenizer(again).cleaning == load_tokenizer(found).cleaning


BERT_NAMES = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


@pytest.mark.parametrize(("config", "text", "expected"), CASES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_so_are_those_of_tokenizer_json(folder, config, text, expected, wrapped):
    own = {"type": "BertNormalizer", "clean_text": True}
    own |= {BERT_NAMES[key]: value for key, value in config.items()}
    normalizer = {"type": "Sequence", "normalizers": [own]} if wrapped else own
    assert pieces(folder(None, normalizer), text) == expected


def test_tokenizer_config_json_goes_before_tokenizer_json(folder):
    normalizer = {
        "type": "BertNormalizer", "lowercase": False, "strip_accents": True,
        "handle_chinese_chars": False,
    }  # fmt: skip
    found = folder({"do_lower_case": True, "strip_accents": None}, normalizer)
    assert load_tokenizer(found).cleaning == Cleaning(True, None, False)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"do_lower_case": "false"}, "do_lower_case: expected true or false, got 'fa"),
        ({"do_lower_case": 0}, "do_lower_case: expected true or false, got 0"),
        ({"do_lower_case": None}, "do_lower_case: expected true or false, got None"),
        ({"strip_accents": "no"}, "strip_accents: expected true or false or null, got"),
        ({"tokenize_chinese_chars": 1}, "tokenize_chinese_chars: expected true or"),
        ({"do_basic_tokenize": False}, "do_basic_tokenize: expected True .*got False"),
        ({"wordpieces_prefix": "@@"}, "wordpieces_prefix: expected '##' .*got '@@'"),
        ({"never_split": ["[SEP]", "C++"]}, "never_split: not supported, got 'C\\+\\+"),
        ({"nlpcli_kind": "x"}, "nlpcli_kind: expected wordpiece, word, unigram, bpe, "),
        ([], "expected a JSON object"),
    ],
)
def test_what_is_no_flag_or_not_supported_is_refused(folder, config, told):
    with pytest.raises(CheckpointError, match=rf"tokenizer_config\.json: {told}"):
        load_tokenizer(folder(config))


def test_all_problems_are_told_at_once(folder):
    config = {"do_lower_case": "false", "strip_accents": 3, "never_split": ["a"]}
    with pytest.raises(CheckpointError) as caught:
        load_tokenizer(folder(config))
    assert len(str(caught.value).splitlines()) == 3


def test_a_flag_of_tokenizer_json_is_named_by_its_file(folder):
    normalizer = {"type": "BertNormalizer", "lowercase": "true"}
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: do_lower_case: exp"):
        load_tokenizer(folder(None, normalizer))


def test_harmless_settings_are_no_problem(folder, told_of):
    config = {
        "do_basic_tokenize": True, "never_split": None, "model_max_length": 512,
        "init_inputs": [], "unk_token": "[UNK]", "tokenizer_class": "BertTokenizer",
        "added_tokens_decoder": {"0": {"content": "[PAD]", "special": True}},
    }  # fmt: skip
    assert load_tokenizer(folder(config)).cleaning == Cleaning()
    assert not told_of.records


@pytest.mark.parametrize(
    ("config", "normalizer", "told"),
    [
        ({"added_tokens_decoder": {"15": {"content": "[新]"}}}, None, "'[新]'"),
        ({}, {"type": "BertNormalizer", "clean_text": False}, "clean_text"),
        ({}, {"type": "Lowercase"}, "normalizer is not BERT's"),
    ],
)
def test_what_is_left_out_is_told(folder, told_of, config, normalizer, told):
    load_tokenizer(folder(config, normalizer))
    assert told in told_of.text


def test_the_older_file_of_added_tokens_is_told_too(folder, tmp_path, told_of):
    (tmp_path / "added_tokens.json").write_text('{"[新]": 15}', encoding="utf-8")
    load_tokenizer(folder())
    assert "not in vocab.txt are not used: 1, the first is '[新]'" in told_of.text


def test_a_broken_tokenizer_json_is_told_and_not_taken_for_none(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: expected JSON"):
        load_tokenizer(tmp_path)
    UnigramTokenizer(RAW, "").save(tmp_path)
    assert load_tokenizer(tmp_path).kind == "unigram"


@pytest.mark.parity
@pytest.mark.parametrize(
    "config",
    [
        {"do_lower_case": False},
        {"strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"tokenize_chinese_chars": False},
    ],
)
def test_transformers_reads_the_same_flags(shared, tmp_path, config):
    transformers = pytest.importorskip("transformers")
    lines = [f"Café ÉTÉ {line}" for line in real_texts(shared, share=20)]
    vocab = vocab_of(lines, ["É", "##É", "é", "##é", "的人", "##T", "C"])
    content = "".join(f"{token}\n" for token in vocab.tokens)
    (tmp_path / "vocab.txt").write_text(content, encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", **config}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    ours = load_tokenizer(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert ours.cleaning != Cleaning()
    compared = 0
    for line, encoding, ids in zip(
        lines, ours.encode_batch(lines), theirs(lines)["input_ids"], strict=True
    ):
        if all(len(word) <= 100 for word in line.split()):  # its limit, ours is 200
            assert [vocab.begin_id, *encoding.token_ids, vocab.end_id] == ids, line
            compared += 1
    assert compared > 50
