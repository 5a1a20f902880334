"""Unigram: a small one built here, and the real one against transformers."""

import json
import shutil
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers

from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.text.characters import align_characters
from nlpcli.text.tokenizers.encoding import encodable
from nlpcli.text.tokenizers.load import load_tokenizer
from nlpcli.text.tokenizers.unigram import UnigramTokenizer
from tests.text.real_texts import real_texts

PIECES = [
    *[["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]],
    *[["▁", -3.0], ["北京", -4.0], ["大学", -4.0], ["▁王", -5.0], ["▁ab", -5.0]],
    *[[c, -8.0] for c in "北京大学王小明abcé株()123⁄<>/s.나"],
    *[["...", -6.0], ["23", -6.0], ["明。", -6.0]],
]
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}


def special(name, number):
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    return {"id": number, "content": name, "special": True, **flags}


def around(number, name):
    return {"id": name, "ids": [number], "tokens": [name]}


RAW = {
    "version": "1.0",
    "truncation": {
        "max_length": 4, "stride": 0, "strategy": "LongestFirst", "direction": "Right",
    },
    "padding": None,
    "added_tokens": [special(name, i) for i, (name, _) in enumerate(PIECES[:4])],
    "normalizer": {
        "type": "Sequence",
        "normalizers": [
            {"type": "Nmt"},
            {"type": "NFKC"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ],
    },
    "pre_tokenizer": {**METASPACE, "split": False},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "</s>", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"<s>": around(0, "<s>"), "</s>": around(2, "</s>")},
    },
    "decoder": {**METASPACE, "split": True},
    "model": {"type": "Unigram", "unk_id": 3, "vocab": PIECES, "byte_fallback": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unigram")
    (folder / "tokenizer.json").write_text(json.dumps(RAW), encoding="utf-8")
    return load_tokenizer(folder)


def pieces(tokenizer, text):
    encoding = tokenizer.encode(text)
    return [
        (tokenizer.vocab.tokens[i], *span)
        for i, span in zip(encoding.token_ids, encoding.offsets.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("北京大学", [("▁", 0, 0), ("北京", 0, 2), ("大学", 2, 4)]),
        ("王小明", [("▁王", 0, 1), ("小", 1, 2), ("明", 2, 3)]),
        (" 北京", [("▁", 0, 1), ("北京", 1, 3)]),
        ("北\u3000 京", [("▁", 0, 0), ("北", 0, 1), ("▁", 2, 3), ("京", 3, 4)]),
        ("ａｂ…", [("▁ab", 0, 2), ("...", 2, 3)]),
        ("王e\u0301", [("▁王", 0, 1), ("é", 1, 2)]),
        (
            "½3",
            [("▁", 0, 0), ("1", 0, 1), ("⁄", 0, 1), ("23", 0, 2)],
        ),
        ("王㈱", [("▁王", 0, 1), ("(", 1, 2), ("株", 1, 2), (")", 1, 2)]),
    ],
)
def test_pieces_and_the_characters_under_them(tokenizer, text, expected):
    assert pieces(tokenizer, text) == expected


def test_characters_belong_to_the_word_and_not_to_the_mark_before_it(tokenizer):
    encoding = tokenizer.encode("北京大学")
    found, places = align_characters(encoding.offsets, 4)
    assert found.tolist() == [1, 1, 2, 2]
    assert places.tolist() == [0, 1, 0, 1]


def test_special_tokens_in_a_text_are_no_special_tokens(tokenizer):
    for name in ("<s>", "</s>", "<pad>", "<unk>"):
        ids = tokenizer.encode(f"王{name}小").token_ids
        allowed = {*range(4, len(PIECES)), tokenizer.vocab.unk_id}
        assert {*ids.tolist()} <= allowed


def test_single_characters(tokenizer):
    index, unknown = tokenizer.vocab.index, tokenizer.vocab.unk_id
    text = "北王ａ 😀\0\ud800…é"
    expected = [index[c] for c in "北王a"] + [unknown] * 4 + [index["..."], index["é"]]
    assert tokenizer.character_ids(text).tolist() == expected
    encoding = tokenizer.encode_characters("北 京")
    assert encoding.offsets.tolist() == [[0, 1], [2, 3]]
    assert encoding.token_ids.tolist() == [index["北"], index["京"]]


NORMALIZER = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
ALPHABET = (
    "王小明北京大学abcＡＢ ...½㈱\u3000\n\0\x01\u0301éİΣ😀\u200d\ufe0f나\ud800\udc00▁"
)
texts = st.text(st.sampled_from(ALPHABET) | st.characters(), max_size=30)


def plain(text):
    text = NORMALIZER.normalize_str(encodable(text))
    return text.replace("▁", " ").strip(" ")


@given(text=texts)
def test_offsets_are_those_of_the_text(tokenizer, text):
    encoding = tokenizer.encode(text)
    starts, ends = encoding.offsets.T
    assert encoding.offsets.dtype == encoding.token_ids.dtype == np.int32
    assert np.all((starts >= 0) & (starts <= ends) & (ends <= len(text)))
    assert np.all(np.diff(starts) >= 0) and np.all(np.diff(ends) >= 0)
    assert np.all((starts < ends)[1:])
    for token, start, end in pieces(tokenizer, text):
        alone = np.sum((starts < end) & (ends > start)) == 1
        if token != "<unk>" and start < end and alone:
            after = end
            while after < len(text) and unicodedata.combining(text[after]):
                after += 1  # the library gives a composed character one place
            whole, part = (plain(text[start:stop]) for stop in (after, end))
            assert token.lstrip("▁") in (whole, part)


def test_a_tokenizer_without_its_word_mark(tokenizer):
    ids = [i for i, (piece, _) in enumerate(PIECES) if piece != "▁"]
    small = tokenizer.with_vocab(ids, ())
    assert pieces(small, "北京") == [("<unk>", 0, 0), ("北京", 0, 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "expected a JSON object"),
        (json.dumps({**RAW, "model": {"type": "BPE"}}), "expected a Unigram model"),
        (json.dumps({**RAW, "model": {"type": "Unigram"}}), "not a tokenizer"),
        (json.dumps({**RAW, "model": {**RAW["model"], "unk_id": None}}), "expected an"),
        (json.dumps({**RAW, "normalizer": 3}), "not a tokenizer"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"tokenizer\.json: {message}"):
        UnigramTokenizer.load(tmp_path)


def test_a_missing_file(tmp_path):
    with pytest.raises(NotFoundError):
        UnigramTokenizer.load(tmp_path)
    with pytest.raises(NotFoundError, match=r"expected vocab\.txt, tokenizer\.json or"):
        load_tokenizer(tmp_path)


@pytest.mark.parity
def test_10_000_real_texts_agree_with_transformers(shared, tmp_path):
    transformers = pytest.importorskip("transformers")
    lines = real_texts(shared)
    ours = load_tokenizer(shared("models/e5-small-zh"))
    ours.save(tmp_path)
    vocab = ours.vocab
    encodings = ours.encode_batch(lines)
    original = shared("models/e5-small-zh")
    shutil.copy(original / "config.json", tmp_path)
    for theirs in (
        transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(original / "tokenizer.json")
        ),
        transformers.AutoTokenizer.from_pretrained(tmp_path),
    ):
        expected = theirs(lines)["input_ids"]
        for line, encoding, ids in zip(lines, encodings, expected, strict=True):
            assert [vocab.begin_id, *encoding.token_ids, vocab.end_id] == ids, line
