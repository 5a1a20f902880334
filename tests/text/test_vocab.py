"""Vocabulary files: every line is one token, whatever stands in it."""

import pytest

from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.text.sequences import lay_out
from nlpcli.text.tokenizers.vocab import Roles, Vocab, read_vocab, tiny_vocab

SPECIAL = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"


def write(tmp_path, content):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_line_is_a_token(tmp_path):
    odd = ["a b", "\u3000", " ", "", "\u2028", "\x85", "##王", "王 "]
    vocab = read_vocab(write(tmp_path, SPECIAL + "".join(f"{t}\n" for t in odd)))
    assert vocab.tokens[5:] == tuple(odd)
    assert [vocab.index[token] for token in odd] == list(range(5, 5 + len(odd)))


@pytest.mark.parametrize("change", ["crlf", "bom", "no end"])
def test_line_ends_and_mark_belong_to_no_token(tmp_path, change):
    content = SPECIAL + "王\n"
    content = {
        "crlf": content.replace("\n", "\r\n"),
        "bom": "\ufeff" + content,
        "no end": content.removesuffix("\n"),
    }[change]
    vocab = read_vocab(write(tmp_path, content))
    assert vocab.tokens == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "王")


def test_a_vocabulary_with_an_end_and_nothing_else():
    vocab = Vocab(("王", "<|endoftext|>"))
    assert (vocab.begin_id, vocab.unk_id, vocab.mask_id) == (None, None, None)
    assert (vocab.end_id, vocab.pad_id, vocab.special_ids) == (1, 1, (1,))
    ids, owners = lay_out(vocab, [[0], [0, 0]])
    assert (ids.tolist(), owners.tolist()) == ([0, 1, 0, 0, 1], [0, 0, 1, 1, 1])
    with pytest.raises(CheckpointError, match=r"expected a token \[CLS\] or <s>"):
        vocab.require("begin")
    with pytest.raises(CheckpointError, match=r"x: expected a token \[SEP\] or </s>"):
        Vocab(("王",), "x")


def test_roles_that_were_named_hold_over_the_well_known_names():
    """CPM's pieces have <s> and </s>, which its model never saw."""
    tokens = ("<unk>", "<s>", "</s>", "<pad>", "<eod>", "<|im_start|>")
    roles = Roles(pad="<pad>", unk="<unk>", end="<eod>")
    vocab = Vocab(tokens, "cpm", roles, beside=("<|im_start|>", "<gone>"))
    ids = (vocab.pad_id, vocab.unk_id, vocab.begin_id, vocab.end_id, vocab.mask_id)
    assert ids == (3, 0, None, 4, None)
    assert vocab.special_ids == (0, 3, 4, 5)
    with pytest.raises(CheckpointError, match="cpm: expected a token <gone>, found"):
        Vocab(tokens, "cpm", Roles(end="<gone>"))


def test_special_ids_go_by_name(tmp_path):
    vocab = Vocab(("王", "</s>", "<s>", "<unk>", "<pad>"))
    ids = (vocab.pad_id, vocab.unk_id, vocab.begin_id, vocab.end_id, vocab.mask_id)
    assert ids == (4, 3, 2, 1, None)
    assert vocab.special_ids == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[PAD]\n[CLS]\n[SEP]\n", r"vocab\.txt: expected a token \[UNK\] or <unk>"),
        ("", r"vocab\.txt: expected a token \[PAD\] or <pad>, found none"),
        (SPECIAL.encode() + "王".encode("gbk"), r"vocab\.txt: expected UTF-8"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, content, message):
    with pytest.raises(CheckpointError, match=message):
        read_vocab(write(tmp_path, content))


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(NotFoundError, match="no such file"):
        read_vocab(tmp_path / "vocab.txt")
    with pytest.raises(CheckpointError, match="expected a plain file, got a folder"):
        read_vocab(tmp_path)


def test_the_built_in_vocabulary_has_every_han_character_of_gb2312():
    vocab = tiny_vocab()
    han = [bytes((a, b)) for a in range(0xB0, 0xF8) for b in range(0xA1, 0xFF)]
    known = [code.decode("gb2312", "ignore") for code in han]
    known = [character for character in known if character]
    assert len(known) == 6763
    assert set(known) <= vocab.index.keys()
    assert {"a", "##a", "0", "##9", "。", "，", "(", "《"} <= vocab.index.keys()
    assert vocab.special_ids == (0, 1, 2, 3, 4)
