"""Triples (subject, predicate, object), by links between spans or by CasRel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.decoders.triples import ScoredTriple, link_triples, nearest_spans
from nlpcli.errors import DataError
from nlpcli.heads.casrel import OBJECT_POWER, SUBJECT_POWER, CasRelHead, CasRelModel
from nlpcli.heads.gplinker import EntityHead, LinkHead
from nlpcli.heads.task_model import TaskModel
from nlpcli.layers.characters import CharacterLift
from nlpcli.metrics.triples import score_span_triples, score_triples
from nlpcli.recipe import EncodedWindow
from nlpcli.text.batching import Features, Field
from nlpcli.text.characters import align_characters
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.windows import Window, cut_windows
from recipes.triple_extract.examples import Triple, TripleExample, read_examples, spo
from recipes.triple_extract.schema import Schema, Types, read_schema


class TripleRecipe:
    """See nlpcli.recipe.Recipe for what each method promises."""

    main_score = "f1"

    def __init__(self, config: RunConfig, tokenizer: Tokenizer) -> None:
        self.options = config.task
        self.data = config.data
        self.characters = config.tokenizer.pieces == "characters"
        self.tokenizer = tokenizer
        self.predicates: list[str] = []
        self._schema: Schema | None = None
        pad = tokenizer.vocab.pad_id
        self.fields = {
            "token_ids": Field(("tokens",), pad),
            "padding_mask": Field(("tokens",), False),
            "char_ids": Field(("characters",), pad),
            "char_to_token": Field(("characters",)),
            "char_places": Field(("characters",)),
            "char_mask": Field(("characters",), False),
            "subjects": Field(("subjects", None), -1),
            "triples": Field(("triples", None), -1),
            "entities": Field(("entities", None), -1),
            "starts": Field(("triples", None), -1),
            "lasts": Field(("triples", None), -1),
        }

    @property
    def schema(self) -> Schema | None:
        """Types by predicate: of the file, read once, or of the run; None without."""
        if self._schema is None and self.options.schema and not self.predicates:
            self._schema = read_schema(self.options.schema)
        return self._schema

    def read(self, path: str | Path) -> Iterator[TripleExample | DataError]:
        return read_examples(path, self.schema)

    def prompt(self, text: str) -> TripleExample:
        return TripleExample(text, (), "")

    def learn(self, example: TripleExample) -> None:
        if self.schema is not None:
            self.predicates = list(self.schema)
            return
        new = {triple.predicate for triple in example.triples}.difference(
            self.predicates
        )
        if new:
            self.predicates = sorted(new.union(self.predicates))

    def check(self, example: TripleExample) -> None:
        for triple in example.triples:
            if triple.predicate not in self.predicates:
                raise DataError(
                    f"{example.line}: expected a predicate of the training data (or "
                    f"a task.schema that has it), got {triple.predicate!r}"
                )

    def state(self) -> dict[str, Any]:
        return {"predicates": self.predicates, "schema": self._schema}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.predicates = list(state["predicates"])
        schema = state["schema"]
        self._schema = schema and {
            name: [(one, other) for one, other in types]
            for name, types in schema.items()
        }

    def encode(
        self, examples: Sequence[TripleExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        texts = [example.text for example in examples]
        if self.characters:
            encodings = [self.tokenizer.encode_characters(text) for text in texts]
        else:
            encodings = self.tokenizer.encode_batch(texts)
        return [
            self._windows(example, encoding, gold)
            for example, encoding in zip(examples, encodings, strict=True)
        ]

    def _windows(
        self, example: TripleExample, encoding: Any, gold: bool
    ) -> list[EncodedWindow]:
        text = example.text
        if not text or text.isspace():
            return []
        pieces, places = align_characters(encoding.offsets, len(text))
        char_ids = self.tokenizer.character_ids(text)
        vocab = self.tokenizer.vocab
        out = []
        for window in cut_windows(
            pieces, self.data.max_length - 2, 2 * self.data.max_length, self.data.stride
        ):
            inside = slice(window.start, window.end)
            own = encoding.token_ids[window.first_token : window.last_token]
            token_ids = np.concatenate([[vocab.cls_id], own, [vocab.sep_id]])
            features: Features = {
                "token_ids": token_ids.astype(np.int32),
                "padding_mask": np.ones(len(token_ids), bool),
                "char_ids": char_ids[inside].astype(np.int32),
                "char_to_token": np.maximum(
                    pieces[inside] - window.first_token + 1, 0
                ).astype(np.int32),
                "char_places": places[inside].astype(np.int32),
                "char_mask": np.ones(window.end - window.start, bool),
            }
            if gold:
                features |= self._targets(example, window)
            out.append(EncodedWindow(features, window))
        return out

    def _targets(self, example: TripleExample, window: Window) -> Features:
        """Gold of the triples that lie whole in a window, by last characters."""
        rows = []
        for triple in example.triples:
            ends = np.array([*triple.subject, *triple.object]) - window.start
            if ends.min() >= 0 and ends.max() <= window.end - window.start:
                ss, se, os, oe = ends.tolist()
                predicate = self.predicates.index(triple.predicate)
                rows.append((ss, se - 1, predicate, os, oe - 1))
        if self.options.model == "casrel":
            return {
                "subjects": _rows({row[:2] for row in rows}, 2),
                "triples": _rows(rows, 5),
            }
        subjects = {(0, ss, se) for ss, se, _, _, _ in rows}
        objects = {(1, os, oe) for _, _, _, os, oe in rows}
        return {
            "entities": _rows(subjects | objects, 3),
            # Two triples may share a link, which still counts once.
            "starts": _rows([(p, ss, os) for ss, _, p, os, _ in rows], 3),
            "lasts": _rows([(p, se, oe) for _, se, p, _, oe in rows], 3),
        }

    def build(self, backbone: Any) -> TaskModel:
        if not self.predicates:
            raise DataError("training data: expected triples, got texts without any")
        size = backbone.config.hidden_size
        lift = CharacterLift(
            size, self.options.char_layers, backbone.config.hidden_dropout_prob
        )
        if self.options.model == "casrel":
            head = CasRelHead(size, len(self.predicates))
            head.build()
            return CasRelModel(backbone, head, lift, mask_key="char_mask")
        width, efficient = self.options.pointer_dim, self.options.efficient
        predicates = len(self.predicates)
        heads: dict[str, Any] = {
            "entities": EntityHead(2, width, efficient, name="entities"),
            "starts": LinkHead(predicates, width, efficient, name="starts"),
            "lasts": LinkHead(predicates, width, efficient, name="lasts"),
        }
        for linker in heads.values():
            linker.build((None, None, size))
        return TaskModel(
            backbone,
            heads,
            {name: name for name in heads},
            bridge=lift,
            mask_key="char_mask",
        )

    def predict(self, forward: Any, batch: Features) -> list[list[ScoredTriple]]:
        mask = batch["char_mask"]
        if self.options.model == "casrel":
            return self._cascade(forward, batch)
        logits = forward(batch)
        return link_triples(logits["entities"], logits["starts"], logits["lasts"], mask)

    def _cascade(self, forward: Any, batch: Features) -> list[list[ScoredTriple]]:
        """Subjects of all rows, then the objects of as many subjects at a time as
        there are rows, so that each stage has one shape."""
        mask = batch["char_mask"]
        thresholds = (self.options.start_threshold, self.options.end_threshold)
        first = forward(batch)
        subjects = nearest_spans(
            first["subjects"][:, :, None], mask, SUBJECT_POWER, *thresholds
        )
        found: list[list[ScoredTriple]] = [[] for _ in mask]
        owned = [(row, span) for row, spans in enumerate(subjects) for span in spans]
        count = len(mask)
        for at in range(0, len(owned), count):
            some = owned[at : at + count]
            rows = np.zeros(count, np.int32)
            spans = np.zeros((count, 2), np.int32)
            for place, (row, (start, end, _, _)) in enumerate(some):
                rows[place], spans[place] = row, (start, end - 1)
            second = forward(
                {
                    "token_ids": batch["token_ids"],
                    "hidden_states": first["hidden_states"],
                    "candidate_rows": rows,
                    "candidates": spans,
                }
            )
            objects = nearest_spans(
                second["objects"], mask[rows], OBJECT_POWER, *thresholds
            )
            for (row, (start, end, _, sure)), spans_ in zip(
                some, objects, strict=False
            ):
                for object_start, object_end, predicate, score in spans_:
                    object_ = (object_start, object_end)
                    triple = ((start, end), predicate, object_, min(sure, score))
                    found[row].append(triple)
        return found

    def merge(
        self,
        example: TripleExample,
        parts: Sequence[tuple[Window, list[ScoredTriple]]],
    ) -> dict[str, Any]:
        """All windows' triples, but those with an argument that a window may have cut.

        A triple is in no window's core alone, since its two spans may stand apart; one
        that no window holds whole is not found.
        """
        best: dict[Triple, float] = {}
        for window, triples in parts:
            for subject, predicate, object_, score in triples:
                triple = Triple(
                    (subject[0] + window.start, subject[1] + window.start),
                    self.predicates[predicate],
                    (object_[0] + window.start, object_[1] + window.start),
                )
                if not _cut(triple, window, len(example.text)):
                    best[triple] = max(score, best.get(triple, 0.0))
        answers = []
        for triple in sorted(best, key=lambda t: (t.subject, t.object, t.predicate)):
            answer = spo(example.text, triple) | self._types(triple.predicate)
            answers.append({**answer, "score": round(best[triple], 4)})
        return {"spo_list": answers}

    def _types(self, predicate: str) -> dict[str, str]:
        """The types of subject and object where the schema leaves no choice."""
        known: list[Types] = (self._schema or {}).get(predicate, [])
        if len(known) != 1:
            return {}
        return {"subject_type": known[0][0], "object_type": known[0][1]}

    def gold(self, example: TripleExample) -> list[dict[str, Any]]:
        return [spo(example.text, triple) for triple in example.triples]

    def score(
        self, examples: Sequence[TripleExample], answers: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        gold = [self.gold(example) for example in examples]
        found = [answer["spo_list"] for answer in answers]
        scores = score_triples(_strings(gold), _strings(found)).as_dict()
        labels = scores.pop("per_predicate")
        spans = score_span_triples(_places(gold), _places(found))
        return {**scores, "span_f1": spans.micro.f1, "per_label": labels}


def _rows(rows: Any, width: int) -> np.ndarray:
    return np.array(sorted(set(rows)), np.int32).reshape(-1, width)


def _cut(triple: Triple, window: Window, length: int) -> bool:
    """Whether an argument touches an end of the window that is none of the text's."""
    return any(
        (start == window.start > 0) or (end == window.end < length)
        for start, end in (triple.subject, triple.object)
    )


def _strings(texts: Sequence[list[dict[str, Any]]]) -> list[list[Any]]:
    keys = ("subject", "predicate", "object")
    return [[tuple(row[key] for key in keys) for row in rows] for rows in texts]


def _places(texts: Sequence[list[dict[str, Any]]]) -> list[list[Any]]:
    return [
        [
            (tuple(row["subject_span"]), row["predicate"], tuple(row["object_span"]))
            for row in rows
        ]
        for rows in texts
    ]


def build_recipe(config: RunConfig, tokenizer: Tokenizer) -> TripleRecipe:
    """The recipe for a run."""
    return TripleRecipe(config, tokenizer)
