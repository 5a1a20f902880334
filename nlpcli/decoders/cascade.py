"""CasRel's two stages at work: subjects of all rows, then the objects of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nlpcli.decoders.triples import ScoredTriple, nearest_spans
from nlpcli.text.batching import Features

SUBJECT_POWER = 2
OBJECT_POWER = 4


def cascade(
    forward: Callable[[Features], Mapping[str, np.ndarray]],
    batch: Features,
    start_threshold: float,
    end_threshold: float,
) -> list[list[ScoredTriple]]:
    """The triples that a CasRelModel finds in each row, by subject.

    Subjects of all rows, then the objects of as many subjects at a time as there are
    rows, so that each stage has one shape. ``forward`` runs the model, whose mask is
    ``char_mask``; spans count above the thresholds, of probability.
    """
    mask = batch["char_mask"]
    thresholds = start_threshold, end_threshold
    first = forward(batch)
    logits = first["subjects"][:, :, None]
    subjects = nearest_spans(logits, mask, SUBJECT_POWER, *thresholds)
    found: list[list[ScoredTriple]] = [[] for _ in mask]
    owned = [(row, span) for row, spans in enumerate(subjects) for span in spans]
    for at in range(0, len(owned), len(mask)):
        some = owned[at : at + len(mask)]
        rows = np.zeros(len(mask), np.int32)
        spans = np.zeros((len(mask), 2), np.int32)
        for place, (row, (start, end, _, _)) in enumerate(some):
            rows[place], spans[place] = row, (start, end - 1)
        second = forward(second_stage(first["hidden_states"], rows, spans))
        objects = nearest_spans(
            second["objects"], mask[rows], OBJECT_POWER, *thresholds
        )
        for (row, (start, end, _, sure)), own in zip(some, objects, strict=False):
            found[row] += [
                ((start, end), predicate, (object_start, object_end), min(sure, score))
                for object_start, object_end, predicate, score in own
            ]
    return found


def second_stage(
    hidden_states: np.ndarray, rows: np.ndarray, spans: np.ndarray
) -> Features:
    """What a CasRelModel reads to find objects: subjects, and the row of each.

    hidden_states: (batch, length, hidden); rows: (count,); spans: (count, 2), first and
    last character.
    """
    return {
        "hidden_states": hidden_states,
        "candidate_rows": rows,
        "candidates": spans,
    }
