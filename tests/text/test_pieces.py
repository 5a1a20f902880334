"""SentencePiece models: read without the library, the same pieces as with it."""

import math

import pytest
from tokenizers import Tokenizer, models, normalizers
from tokenizers import pre_tokenizers as pre

from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.text.tokenizers.load import load_tokenizer, subset
from nlpcli.text.tokenizers.piece_model import read_piece_model
from nlpcli.text.tokenizers.pieces import chinese_pieces
from nlpcli.text.tokenizers.vocab import Vocab
from tests.text import made_tokenizers as made
from tests.text.made_tokenizers import piece_model

SPACED = [t for t in made.TEXTS if "\n" not in t and "\t" not in t]


def tokenizer(folder, raw, name="spiece.model"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(raw)
    return load_tokenizer(folder)


def test_what_a_file_says(tmp_path):
    pieces = [("<unk>", 0.0, 2), ("▁今", -1.5, 1), ("x", -2.25, 4)]
    path = tmp_path / "spiece.model"
    path.write_bytes(piece_model(pieces, {3: 2, 35: 1, 41: -1}, {2: b"\0\1", 4: 0}))
    found = read_piece_model(path)
    assert (found.pieces, found.scores) == (["<unk>", "▁今", "x"], [0.0, -1.5, -2.25])
    assert (found.types, found.algorithm, found.byte_fallback) == ([2, 1, 4], 2, True)
    ids = found.unk_id, found.bos_id, found.eos_id, found.pad_id
    assert ids == (0, -1, 2, -1)  # the last two are the format's defaults
    assert (found.charsmap, found.dummy_prefix) == (b"\0\1", True)
    assert (found.squeezes_spaces, found.escapes_spaces) == (False, True)
    assert found.piece(1) == "▁今" and found.piece(-1) is found.piece(3) is None


def test_t5_finds_the_pieces_of_the_library(tmp_path):
    ours = tokenizer(tmp_path, made.t5_pieces())
    found = read_piece_model(tmp_path / "spiece.model")
    theirs = Tokenizer(
        models.Unigram(list(zip(found.pieces, found.scores, strict=True)), unk_id=2)
    )
    theirs.normalizer = normalizers.Sequence(
        [normalizers.Strip(left=False), normalizers.Replace("  ", " ")]
    )
    theirs.pre_tokenizer = pre.Metaspace()
    assert ours.kind == "unigram"
    # a "▁" of the text itself is another thing to the library's Metaspace
    for text in (t for t in SPACED if not {"\u3000", "▁"} & set(t)):
        expected = theirs.encode(text).ids
        assert ours.encode(text).token_ids.tolist() == expected, text


def test_t5_has_its_sentinels_and_no_begin(tmp_path):
    vocab = tokenizer(tmp_path, made.t5_pieces()).vocab
    own = len(read_piece_model(tmp_path / "spiece.model").pieces)
    assert len(vocab.tokens) == own + 100
    assert vocab.tokens[-1] == "<extra_id_0>" and vocab.tokens[own] == "<extra_id_99>"
    assert (vocab.pad_id, vocab.end_id, vocab.unk_id) == (0, 1, 2)
    assert vocab.begin_id is None
    assert vocab.special_ids == (0, 1, 2, *range(own, own + 100))


def test_mt5_has_its_own(tmp_path):
    ours = tokenizer(tmp_path, made.t5_pieces(sentinels=True))
    assert ours.vocab.tokens[-1] == "▁<extra_id_0>"
    size = len(ours.vocab.tokens)
    assert ours.vocab.special_ids == (0, 1, 2, *range(size - 10, size))
    assert ours.text([size - 1, *ours.encode("今天").token_ids, 1]) == "今天"


@pytest.mark.parametrize("build", [made.t5_pieces, made.llama_pieces])
def test_what_is_saved_is_read_again(build, tmp_path):
    ours = tokenizer(tmp_path / "a", build(), "tokenizer.model")
    (tmp_path / "b").mkdir()
    ours.save(tmp_path / "b")
    again = load_tokenizer(tmp_path / "b")
    assert (again.kind, again.vocab.tokens) == (ours.kind, ours.vocab.tokens)
    for name in ("begin_id", "end_id", "pad_id", "unk_id", "special_ids"):
        assert getattr(again.vocab, name) == getattr(ours.vocab, name)
    for text in made.TEXTS:
        one, other = again.encode(text), ours.encode(text)
        assert one.token_ids.tolist() == other.token_ids.tolist()
        assert one.offsets.tolist() == other.offsets.tolist()


def names(ours, text):
    return [ours.vocab.tokens[i] for i in ours.encode(text).token_ids]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("the", ["▁the"]),
        ("read the", ["▁read", "▁the"]),
        ("今天天气", ["▁", "今天天气"]),
        ("  the", ["▁▁", "▁the"]),
        ("a    the", ["▁", "a", "▁▁", "▁", "▁the"]),
        ("堃", ["▁", "<0xE5>", "<0xA0>", "<0x83>"]),
        ("<s>", ["▁", "<0x3C>", "s", "<0x3E>"]),
        ("a\n", ["▁", "a", "<0x0A>"]),
    ],
)
def test_llama_joins_by_score_and_knows_every_byte(text, expected, tmp_path):
    ours = tokenizer(tmp_path, made.llama_pieces(), "tokenizer.model")
    assert ours.kind == "bpe"
    assert names(ours, text) == expected
    assert ours.text(ours.encode(text).token_ids) == text
    vocab = ours.vocab
    assert (vocab.begin_id, vocab.end_id, vocab.pad_id, vocab.unk_id) == (1, 2, 2, 0)


def test_settings_say_whether_a_token_begins(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    ours = tokenizer(tmp_path, made.llama_pieces(), "tokenizer.model")
    assert ours.vocab.begin_id is None


def test_spaces_are_squeezed_where_the_file_says_so(tmp_path):
    ours = tokenizer(tmp_path, made.t5_pieces())
    assert names(ours, "  the   read  ") == ["▁the", "▁read"]
    assert names(ours, "  ") == names(ours, "") == []
    assert ours.encode("  the").offsets.tolist()[-1][1] == 5


def test_xlm_roberta_numbers_its_pieces_anew(tmp_path):
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    pieces += [("▁今", -1.0, 1), ("天", -2.0, 1)]
    raw = piece_model(pieces, {3: 1}, {4: 1})
    ours = tokenizer(tmp_path, raw, "sentencepiece.bpe.model")
    vocab = ours.vocab
    assert vocab.tokens == ("<s>", "<pad>", "</s>", "<unk>", "▁今", "天", "<mask>")
    assert ours.encode("今天").token_ids.tolist() == [4, 5]
    assert (vocab.begin_id, vocab.end_id, vocab.mask_id) == (0, 2, 6)


def test_which_file_is_read(tmp_path):
    with pytest.raises(NotFoundError, match="or a SentencePiece model, found none"):
        load_tokenizer(tmp_path)
    (tmp_path / "one.model").write_bytes(made.t5_pieces())
    assert load_tokenizer(tmp_path).kind == "unigram"
    (tmp_path / "two.model").write_bytes(made.llama_pieces())
    with pytest.raises(NotFoundError):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(made.llama_pieces())
    assert load_tokenizer(tmp_path).kind == "bpe"
    made.write(tmp_path, made.gpt2())
    assert "Ġ" in "".join(load_tokenizer(tmp_path).vocab.tokens)


@pytest.mark.parametrize(
    ("pieces", "trainer", "cleaning", "message"),
    [
        ([], {}, {}, "it has no pieces"),
        ([("a", 0.0, 1), ("a", 0.0, 1)], {}, {}, "the piece 'a' stands twice"),
        ([("a", math.nan, 1)], {}, {}, "piece 0: expected a number as score"),
        ([("a" * 257, 0.0, 1)], {}, {}, "expected 1 to 256 characters, got 257"),
        ([("", 0.0, 1)], {}, {}, "expected 1 to 256 characters, got 0"),
        ([("a", 0.0, 1)], {40: -1}, {}, "expected an unknown piece"),
        ([("a", 0.0, 1)], {3: 3}, {}, r"model_type 1 or 2\), got 3"),
        ([("a", 0.0, 1)], {}, {5: 0}, "escape_whitespaces: expected true"),
    ],
)
def test_a_bad_model_is_named(pieces, trainer, cleaning, message, tmp_path):
    raw = piece_model(pieces, trainer, cleaning)
    with pytest.raises(CheckpointError, match=rf"spiece\.model: .*{message}"):
        tokenizer(tmp_path, raw)


@pytest.mark.parametrize("build", [made.t5_pieces, made.llama_pieces])
def test_sentencepiece_itself_agrees(build, tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    ours = tokenizer(tmp_path, build())
    theirs = sentencepiece.SentencePieceProcessor()
    theirs.Load(str(tmp_path / "spiece.model"))
    for text in SPACED:
        assert ours.encode(text).token_ids.tolist() == theirs.EncodeAsIds(text), text


@pytest.mark.parity
@pytest.mark.parametrize("build", [made.t5_pieces, made.llama_pieces])
def test_transformers_reads_the_saved_folder(build, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = tokenizer(tmp_path / "a", build())
    (tmp_path / "b").mkdir()
    ours.save(tmp_path / "b")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "b")
    vocab = ours.vocab
    before = [] if vocab.begin_id is None else [vocab.begin_id]
    after = [] if vocab.begin_id is not None else [vocab.end_id]
    for text in made.TEXTS:
        ids = ours.encode(text).token_ids.tolist()
        assert [*before, *ids, *after] == theirs(text)["input_ids"], text


def test_the_pieces_that_chinese_needs():
    han, mixed, other = (
        ["▁", "今天", "▁中", "的", "𠮷"],
        ["GPT-2", "！", "「"],
        ["й", "の"],
    )
    other += ["é", "한", "今の", "▁Straße", "ş"]
    tokens = ("<pad>", "</s>", "<unk>", "<0x00>", "<0xFF>", *han, *mixed, *other)
    vocab = Vocab((*tokens, "▁<extra_id_0>"), beside=("▁<extra_id_0>",))
    last = len(tokens)
    assert chinese_pieces(vocab) == [*range(13), last]
    index = vocab.index
    counts = {index["今天"]: 1000, index["の"]: 5000, index["的"]: 999}
    kept = chinese_pieces(vocab, counts)
    assert kept == [*range(5), index["今天"], index["の"], last]
    assert chinese_pieces(vocab, counts, least=999)[6] == index["的"]


def test_a_vocabulary_of_chinese_pieces_reads_chinese_as_before(tmp_path):
    whole = tokenizer(tmp_path, made.t5_pieces(sentinels=True))
    small, old = subset(whole, chinese_pieces(whole.vocab))
    assert len(old) < len(whole.vocab.tokens)
    text = "今天北京大学的天气：晴，25°C。"
    ids = whole.encode(text).token_ids
    assert old[small.encode(text).token_ids].tolist() == ids.tolist()
    assert small.text(small.encode(text).token_ids) == whole.text(ids)
