"""[CLS] passage [SEP] answer [SEP] question [SEP]: what is read and what is learnt.

Answer and question are one segment that sees the passage and its own past, so the
answer is written first and the question knows it (Su, kexue.fm/archives/7630).
"""

from __future__ import annotations

import numpy as np

from nlpcli.text.batching import Features
from nlpcli.text.sequences import prompt_features, training_features
from nlpcli.text.tokenizers.vocab import Vocab

SPECIAL_TOKENS = 4


def answer_prompt(vocab: Vocab, passage: np.ndarray) -> Features:
    """What stands before an answer, and the ids that it is copied from."""
    ids = np.concatenate([[vocab.cls_id], passage, [vocab.sep_id]])
    features = prompt_features(ids, np.zeros(len(ids)), next_segment=1)
    return {**features, "source_ids": np.asarray(passage, np.int32)}


def question_prompt(vocab: Vocab, passage: np.ndarray, answer: np.ndarray) -> Features:
    """What stands before a question."""
    ids = np.concatenate(
        [[vocab.cls_id], passage, [vocab.sep_id], answer, [vocab.sep_id]]
    )
    return prompt_features(ids, np.arange(len(ids)) >= len(passage) + 2, 1)


def training_sequence(
    vocab: Vocab,
    passage: np.ndarray,
    answer: np.ndarray,
    question: np.ndarray,
    *,
    answer_length: int,
    question_length: int,
) -> Features:
    """The whole sequence; what is longer than may be written is not learnt as such.

    An answer beyond ``answer_length`` is only given, a question beyond
    ``question_length`` is cut and its end not learnt. Unknown characters of a
    question, which are never written, are no targets.
    """
    whole = len(question) <= question_length
    question = question[:question_length]
    end = [vocab.sep_id] if whole else []
    ids = np.concatenate(
        [[vocab.cls_id], passage, [vocab.sep_id], answer, [vocab.sep_id], question, end]
    )
    target = len(passage) + 2
    asked = target + len(answer) + 1
    places = np.arange(len(ids))
    learn = (places >= asked) & (ids != vocab.unk_id)
    if len(answer) <= answer_length:
        learn |= (places >= target) & (places < asked)
    return training_features(ids, places >= target, learn)
