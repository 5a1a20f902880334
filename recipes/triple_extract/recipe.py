"""Triples (subject, predicate, object), by links between spans or by CasRel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpcli.decoders.cascade import cascade
from nlpcli.decoders.triples import ScoredTriple, link_triples
from nlpcli.errors import DataError
from nlpcli.metrics.triples import score_span_triples, score_triples
from nlpcli.records.row import Row
from nlpcli.tasks.characters import Characters, Lift
from nlpcli.tasks.labels import Labels
from nlpcli.tasks.protocol import Answer, Forward, Setup
from nlpcli.text.batching import Features, Field
from nlpcli.text.windows import Window

from .form import Span, Triple, TripleExample, TripleForm, spo

if TYPE_CHECKING:
    from nlpcli.heads.task_model import TaskModel


class TripleRecipe(Characters[TripleExample]):
    """GPLinker's spans and links at once, or CasRel's subjects, then their objects."""

    main_score = "f1"
    form: TripleForm

    def __init__(self, setup: Setup) -> None:
        triples = Field(("triples", None), -1)
        own_fields = {
            "subjects": Field(("subjects", None), -1),
            "entities": Field(("entities", None), -1),
            **dict.fromkeys(("triples", "starts", "lasts"), triples),
        }
        super().__init__(setup, own_fields)
        self.casrel = self.options.model == "casrel"
        self.predicates = Labels("predicate")

    def ask(self, row: Row) -> TripleExample:
        return TripleExample(row.string("text"), ())

    def learn(self, example: TripleExample) -> None:
        schema = self.form.schema
        if schema is None:
            self.predicates.learn(triple.predicate for triple in example.triples)
        elif len(self.predicates) != len(schema):
            self.predicates = Labels("predicate", list(schema))

    def meet(self, example: TripleExample) -> None:
        for triple in example.triples:
            if triple.predicate not in self.predicates:
                raise DataError(
                    f"{example.origin}: expected a predicate of the training data (or "
                    f"a task.schema that has it), got {triple.predicate!r}"
                )

    def state(self) -> dict[str, Any]:
        return {"predicates": self.predicates.names, "schema": self.form.schema}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.predicates = Labels("predicate", state["predicates"])
        self.form.schema = state["schema"]

    def targets(self, example: TripleExample, window: Window) -> Features:
        """Gold of the triples that lie whole in a window, by last characters."""
        rows = []
        for triple in example.near(window.start, window.end):
            ends = np.array([*triple.subject, *triple.object]) - window.start
            if ends.min() >= 0 and ends.max() <= window.end - window.start:
                ss, se, os, oe = ends.tolist()
                predicate = self.predicates.number(triple.predicate)
                rows.append((ss, se - 1, predicate, os, oe - 1))
        if self.casrel:
            subjects = [row[:2] for row in rows]
            return {"subjects": _sorted(subjects, 2), "triples": _sorted(rows, 5)}
        arguments = [(0, *row[:2]) for row in rows] + [(1, *row[3:]) for row in rows]
        # Two triples may share a link, which still counts once.
        return {
            "entities": _sorted(arguments, 3),
            "starts": _sorted([(p, ss, os) for ss, _, p, os, _ in rows], 3),
            "lasts": _sorted([(p, se, oe) for _, se, p, _, oe in rows], 3),
        }

    def heads(self, backbone: Any, lift: Lift) -> TaskModel:
        from nlpcli.heads.casrel import CasRelHead, CasRelModel
        from nlpcli.heads.gplinker import EntityHead, LinkHead
        from nlpcli.heads.task_model import TaskModel

        if not len(self.predicates):
            raise DataError("training data: expected triples, got texts without any")
        # The bridge comes first: a seed gives its variables the same numbers as ever.
        bridge, count = lift(), len(self.predicates)
        size = backbone.config.hidden_size
        if self.casrel:
            head = CasRelHead(size, count)
            head.build()
            return CasRelModel(backbone, head, bridge, "char_mask")
        width, efficient = self.options.pointer_dim, self.options.efficient
        heads: dict[str, Any] = {
            "entities": EntityHead(2, width, efficient, name="entities"),
            "starts": LinkHead(count, width, efficient, name="starts"),
            "lasts": LinkHead(count, width, efficient, name="lasts"),
        }
        for linker in heads.values():
            linker.build((None, None, size))
        return TaskModel(backbone, heads, {n: n for n in heads}, bridge, "char_mask")

    def predict(self, forward: Forward, batch: Features) -> list[list[ScoredTriple]]:
        if self.casrel:
            start, end = self.options.start_threshold, self.options.end_threshold
            return cascade(forward, batch, start, end)
        logits, mask = forward(batch), batch["char_mask"]
        return link_triples(logits["entities"], logits["starts"], logits["lasts"], mask)

    def merge(
        self,
        example: TripleExample,
        parts: Sequence[tuple[Window, list[ScoredTriple]]],
    ) -> Answer:
        """All windows' triples, but those with an argument that a window may have cut.

        A triple is in no window's core alone, since its two spans may stand apart; one
        that no window holds whole is not found.
        """
        text = example.text
        best: dict[Triple, float] = {}
        for window, triples in parts:
            for one, number, other, score in triples:
                subject = _placed(one, window, len(text))
                object_ = _placed(other, window, len(text))
                if subject and object_:
                    triple = Triple(subject, self.predicates.names[number], object_)
                    best[triple] = max(score, best.get(triple, 0.0))
        answers = [
            {**spo(text, t), **self._types(t.predicate), "score": round(best[t], 4)}
            for t in sorted(best, key=lambda t: (t.subject, t.object, t.predicate))
        ]
        return {"spo_list": answers}

    def gold(self, example: TripleExample) -> list[dict[str, Any]]:
        return [spo(example.text, triple) for triple in example.triples]

    def score(
        self, examples: Sequence[TripleExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        found = [
            TripleExample(example.text, tuple(map(_triple, answer["spo_list"])))
            for example, answer in zip(examples, answers, strict=True)
        ]
        scores = score_triples(
            [example.strings for example in examples], [x.strings for x in found]
        ).as_dict()
        labels = scores.pop("per_predicate")
        spans = score_span_triples(
            [example.triples for example in examples], [x.triples for x in found]
        )
        return {**scores, "span_f1": spans.micro.f1, "per_label": labels}

    def _types(self, predicate: str) -> dict[str, str]:
        """The types of subject and object where the schema leaves no choice."""
        known = (self.form.schema or {}).get(predicate, [])
        if len(known) != 1:
            return {}
        return {"subject_type": known[0][0], "object_type": known[0][1]}


build_recipe = TripleRecipe


def _sorted(rows: Iterable[tuple[int, ...]], width: int) -> np.ndarray:
    return np.array(sorted(set(rows)), np.int32).reshape(-1, width)


def _placed(span: Span, window: Window, length: int) -> Span | None:
    """A window's span in the text; None at an end of the window that cuts the text."""
    start, end = span[0] + window.start, span[1] + window.start
    cut = start == window.start > 0 or end == window.end < length
    return None if cut else (start, end)


def _triple(row: Mapping[str, Any]) -> Triple:
    subject, object_ = tuple(row["subject_span"]), tuple(row["object_span"])
    return Triple(subject, row["predicate"], object_)
