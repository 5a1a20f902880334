"""A source and its target in one sequence, or apart."""

import numpy as np

from nlpcli.text.layouts import Apart, Prefix, ended, start_id
from nlpcli.text.tokenizers.vocab import Vocab

BERT = Vocab(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "山", "水", "云"))
T5 = Vocab(("<pad>", "</s>", "<unk>", "山", "水", "云"))


def told(features):
    return {name: np.asarray(value).tolist() for name, value in features.items()}


def test_one_sequence():
    ids, owners = ended(BERT, [[5], [6]])
    assert ids.tolist() == [5, 3, 6, 3] and owners.tolist() == [0, 0, 1, 1]
    features = told(Prefix(BERT).learnt([4], ids, owners == 1))
    assert features["token_ids"] == [2, 4, 3, 5, 3, 6, 3]
    assert features["segment_ids"] == [0, 0, 0, 1, 1, 1, 1]
    assert features["predict_at"] == [4, 5] and features["target_ids"] == [6, 3]
    prompt = told(Prefix(BERT).asked([4], [5, 3]))
    assert prompt["token_ids"] == [2, 4, 3, 5, 3] and prompt["next_segment"] == 1
    assert prompt["segment_ids"] == [0, 0, 0, 1, 1]


def test_apart_a_decoder_is_one_behind():
    ids, _ = ended(BERT, [[5, 6]])
    features = told(Apart(BERT, 0).learnt([4], ids, [True, False, True]))
    assert features["token_ids"] == [2, 4, 3]
    assert features["answer_ids"] == [0, 5, 6]
    assert features["predict_at"] == [0, 2] and features["target_ids"] == [5, 3]
    prompt = told(Apart(BERT, 0).asked([4], [5]))
    assert prompt["answer_ids"] == [0, 5] and prompt["answer_mask"] == [True, True]


def test_a_vocabulary_without_a_begin():
    ids, owners = ended(T5, [[3], [4]])
    assert ids.tolist() == [3, 1, 4, 1] and owners.tolist() == [0, 0, 1, 1]
    assert told(Apart(T5, 0).asked([5]))["token_ids"] == [5, 1]


def test_the_start_is_what_is_told_or_the_begin_or_the_pad():
    assert start_id(BERT, 4) == 4 and start_id(BERT) == 2 and start_id(T5) == 0
