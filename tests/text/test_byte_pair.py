"""Byte-pair encoding: the library's own ids, characters under them, text again."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from nlpcli.errors import CheckpointError
from nlpcli.text.tokenizers.encoding import encodable
from nlpcli.text.tokenizers.load import extend, load_tokenizer, subset
from tests.text import made_tokenizers as made

FORMS = {
    "gpt2": (made.gpt2, made.GPT2),
    "qwen": (made.qwen, made.QWEN),
    "llama3": (made.llama3, made.LLAMA3),
    "llama": (made.llama, made.LLAMA),
}


@pytest.fixture(scope="module", params=FORMS)
def form(request, tmp_path_factory):
    build, settings = FORMS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    made.write(folder, build(), settings)
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return request.param, load_tokenizer(folder), theirs


def test_ids_are_those_of_the_library(form):
    _, ours, theirs = form
    assert ours.kind == "bpe"
    for text, encoding in zip(made.TEXTS, ours.encode_batch(made.TEXTS), strict=True):
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert encoding.token_ids.tolist() == expected, text
        assert encoding.token_ids.dtype == encoding.offsets.dtype == np.int32


def test_every_text_comes_back(form):
    name, ours, _ = form
    # "▁" is a space to LLaMA 2, and Qwen composes letters and their accents
    kept = {"gpt2": made.TEXTS, "llama": made.TEXTS[:-1]}.get(name, made.TEXTS[:7])
    for text in kept:
        assert ours.text(ours.encode(text).token_ids) == text


@given(text=st.text(max_size=20))
def test_any_text_comes_back_and_its_pieces_cover_it(form, text):
    name, ours, _ = form
    encoding = ours.encode(text)
    starts, ends = encoding.offsets.T
    assert np.all((starts >= 0) & (starts <= ends) & (ends <= len(text)))
    if name == "gpt2" or (name == "llama" and "▁" not in text):
        assert ours.text(encoding.token_ids) == encodable(text)
        covered = {i for a, b in encoding.offsets.tolist() for i in range(a, b)}
        assert covered == set(range(len(text)))
        assert np.all(np.diff(starts) >= 0) and np.all(np.diff(ends) >= 0)


def test_each_token_of_a_character_covers_it(form):
    _, ours, _ = form
    encoding = ours.encode("好😀")
    spans = encoding.offsets.tolist()
    assert spans.count([1, 2]) == 4  # its bytes, which no text of the training had
    assert spans[-4:] == [[1, 2]] * 4


def test_the_mark_before_a_text_covers_nothing(form):
    name, ours, _ = form
    spans = ours.encode("今天").offsets.tolist()
    assert (spans[0] == [0, 0]) == (name == "llama")


def test_an_unfinished_character_is_not_told(form):
    _, ours, _ = form
    ids = ours.encode("好😀").token_ids.tolist()
    told = [ours.text(ids[:n], finished=False) for n in range(len(ids) + 1)]
    assert told[-5:] == ["好", "好", "好", "好", "好😀"]
    assert not any("\ufffd" in text for text in told)
    assert ours.text(ids[:-1]) == "好\ufffd"
    assert ours.text([*ids[:-1], *ours.encode("a").token_ids]).startswith("好\ufffd")


def test_a_continuation_keeps_its_space(form):
    _, ours, _ = form
    text = "read the books,  the weather"
    ids = ours.encode(text).token_ids.tolist()
    for cut in range(1, len(ids)):
        assert ours.text(ids[:cut]) + ours.text(ids[cut:], begins=False) == text


def test_special_tokens_in_a_text_are_characters(form):
    _, ours, _ = form
    special = set(ours.vocab.special_ids)
    names = [ours.vocab.tokens[i] for i in special] + ["<|im_start|>", "<s>", "</s>"]
    for name in names:
        text = f"今天{name}天气 {name}"
        ids = ours.encode(text).token_ids
        assert special.isdisjoint(ids.tolist())
        assert ours.text(ids) == text


def test_special_tokens_are_left_out_of_a_text(form):
    _, ours, _ = form
    ids = [ours.vocab.end_id, *ours.encode("今天").token_ids, *ours.vocab.special_ids]
    assert ours.text([*ids, 100_000]) == "今天"


def test_a_token_that_is_not_called_special_is_found(tmp_path):
    ours = load_tokenizer(made.write(tmp_path, made.qwen(), made.QWEN))
    encoding = ours.encode("读<tool_call>书")
    number = ours.vocab.index["<tool_call>"]
    place = encoding.token_ids.tolist().index(number)
    assert encoding.offsets[place].tolist() == [1, 12]
    assert ours.text(encoding.token_ids) == "读<tool_call>书"


def roles(vocab):
    ids = vocab.begin_id, vocab.end_id, vocab.pad_id, vocab.unk_id, vocab.mask_id
    return [None if i is None else vocab.tokens[i] for i in ids]


def test_roles(form):
    name, ours, _ = form
    end, last = "<|endoftext|>", "<|end_of_text|>"
    assert (
        roles(ours.vocab)
        == {
            "gpt2": [None, end, end, None, None],  # it names a begin, and puts none
            "qwen": [None, "<|im_end|>", end, None, None],
            "llama3": ["<|begin_of_text|>", last, last, None, None],
            "llama": ["<s>", "</s>", "</s>", "<unk>", None],
        }[name]
    )


def test_roles_without_settings_go_by_well_known_names(tmp_path):
    ours = load_tokenizer(made.write(tmp_path / "q", made.qwen()))
    end = "<|endoftext|>"
    assert roles(ours.vocab) == [None, end, end, None, None]
    ours = load_tokenizer(made.write(tmp_path / "l", made.llama()))
    assert roles(ours.vocab) == ["<s>", "</s>", "</s>", "<unk>", None]
    folder = made.write(tmp_path / "m", made.qwen())
    told = {"eos_token": {"content": "<|im_end|>"}, "pad_token": "<|endoftext|>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(told))
    assert roles(load_tokenizer(folder).vocab)[1:3] == ["<|im_end|>", end]


@pytest.mark.parametrize("puts", [True, False])
def test_settings_say_whether_a_token_begins(puts, tmp_path):
    build, settings = {True: FORMS["gpt2"], False: FORMS["llama3"]}[puts]
    folder = made.write(tmp_path / "a", build(), {**settings, "add_bos_token": puts})
    ours = load_tokenizer(folder)
    (tmp_path / "b").mkdir()
    ours.save(tmp_path / "b")
    for one in (ours, load_tokenizer(tmp_path / "b"), extend(ours, ["堃"])[0]):
        assert roles(one.vocab)[0] == ("<|endoftext|>" if puts else None)


def test_what_is_saved_is_read_again(form, tmp_path):
    _, ours, _ = form
    ours.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (again.kind, again.vocab.tokens) == ("bpe", ours.vocab.tokens)
    assert roles(again.vocab) == roles(ours.vocab)
    assert again.vocab.special_ids == ours.vocab.special_ids
    for one, other in zip(
        again.encode_batch(made.TEXTS), ours.encode_batch(made.TEXTS), strict=True
    ):
        assert one.token_ids.tolist() == other.token_ids.tolist()


def test_new_tokens_come_last_and_fewer_are_refused(form, tmp_path):
    name, ours, _ = form
    more, [pieces] = extend(ours, ["堃堃"])
    size = len(ours.vocab.tokens)
    assert ours.text(pieces) == "堃堃"
    more.save(tmp_path)
    for one in (more, load_tokenizer(tmp_path)):
        ids = one.encode("今天堃堃天气").token_ids.tolist()
        # the library reads what comes behind as a new text, with its mark before it
        mark = " " if name == "llama" else ""
        assert ids.count(size) == 1 and one.text(ids) == f"今天堃堃{mark}天气"
    with pytest.raises(CheckpointError, match=r"backbone\.prune_vocab: false"):
        subset(ours, [1, 2, 3])


def test_single_characters(form):
    name, ours, _ = form
    vocab = ours.vocab
    unknown = vocab.end_id if vocab.unk_id is None else vocab.unk_id
    ids = ours.character_ids("a1今😀").tolist()
    assert ours.text(ids[:2]) == "a1" and ids[3] == unknown
    assert ids[2] == (vocab.index["今"] if name == "llama" else unknown)
    with pytest.raises(CheckpointError, match=r"expected a vocabulary of characters"):
        ours.encode_characters("今天")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model": {"type": "BPE", "vocab": [], "merges": []}},
            "model.vocab: expected",
        ),
        ({"model": {"type": "BPE", "vocab": {"a": -1}}}, "expected numbers from 0 to"),
        ({"model": {"type": "BPE", "vocab": {"a": 1.5}}}, "expected numbers from 0 to"),
        ({"model": {"type": "BPE", "vocab": {"a": 10**9}}}, "expected numbers from 0"),
        ({"model": {"type": "BPE", "vocab": {"a": 1, "b": 1}}}, "got 1 for 'a' and"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}}, "added_tokens": []}, "a token"),
        ({"model": {"type": "WordLevel", "vocab": {}}}, "got WordLevel"),
        ({"model": {}}, "expected a Unigram, BPE or WordPiece model, got none"),
        ({"added_tokens": [{"id": 1}]}, "added_tokens: expected objects"),
        ({"added_tokens": [{"id": "1", "content": "<x>"}]}, "expected numbers from 0"),
    ],
)
def test_a_bad_file_is_named(change, message, tmp_path):
    made.write(tmp_path, {**made.gpt2(), **change})
    with pytest.raises(CheckpointError, match=rf"tokenizer\.json: .*{message}"):
        load_tokenizer(tmp_path)


@pytest.mark.parity
def test_transformers_reads_the_saved_folder(form, tmp_path):
    transformers = pytest.importorskip("transformers")
    _, ours, _ = form
    ours.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    vocab = ours.vocab
    assert theirs.eos_token_id == vocab.end_id and theirs.pad_token_id == vocab.pad_id
    begin = [] if vocab.begin_id is None else [vocab.begin_id]
    for text in made.TEXTS:
        ids = ours.encode(text).token_ids.tolist()
        assert [*begin, *ids] == theirs(text)["input_ids"], text
        assert ours.text(ids) == theirs.decode(ids)
