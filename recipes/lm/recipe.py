"""A language model as it was published: it goes on, it chooses, it measures a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from nlpcli.decoders.constraints import Forbid
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import CheckpointError, DataError, UsageError
from nlpcli.heads.sequence_model import sequence_model
from nlpcli.heads.sequence_options import SequenceOptions
from nlpcli.metrics.exact_match import accuracy
from nlpcli.metrics.perplexity import perplexity
from nlpcli.records.lines import Lines
from nlpcli.records.read import json_rows
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import (
    Answer,
    Decode,
    EncodedWindow,
    Model,
    Recipe,
    Setup,
    Weighs,
    Writes,
)
from nlpcli.text.batching import Features
from nlpcli.text.sequences import prompt_features, sequence_fields, training_features

from .ending import Ending, told_until
from .form import TextExample
from .likelihood import Choice, choose, total_of, windows_of
from .template import Template, answer_of

_SHORT = GenerateOptions(beam=1, num=1, max_length=32)
_CHOSEN = GenerateOptions(num=1)
_FREE = GenerateOptions(num=1, top_p=0.9, temperature=1.0, max_length=64, seed=0)


class LanguageModelRecipe(
    Recipe[TextExample], Writes[TextExample], Weighs[TextExample]
):
    """Solved examples, the text, then what the model says.

    Raw text is sampled; where a template or solved examples ask for a short answer,
    the likeliest is searched.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.vocab = self.tokenizer.vocab
        self.fields = sequence_fields(self.vocab.pad_id)
        self.template = Template.of(self.options.template)
        self.longest = setup.backbone.longest
        begin = self.vocab.begin_id if self.options.begin else None
        self._begin = np.array([] if begin is None else [begin], np.int32)
        between = self.options.between
        # a line end has no token in BERT's vocabularies: the end of a text has
        self.apart = bool(between) and not len(self._tokens(between))
        solved = self._solved()
        self.ahead, self.shots = self._begin, ""
        if self.apart:
            self.ahead = self._separated(solved)
        else:
            self.shots = "".join(shot + between for shot in solved)
        short = bool(solved) or self.template.head != "{text}"
        self.defaults = _SHORT if short else _FREE
        if self.options.answers:
            self.defaults = _CHOSEN
        self.ending = Ending(self.tokenizer, self._until(bool(solved)))
        self.stops = self.ending.stops
        size = setup.backbone.vocab_size
        never = {*self.vocab.special_ids, *range(len(self.vocab.tokens), size)}
        self._words = Forbid(never - {self.vocab.end_id}, size)

    @property
    def main_score(self) -> str:
        return "accuracy" if self.options.answers else "log_likelihood"

    def ask(self, row: Row) -> TextExample:
        for key in self.template.keys:
            row.string(key)
        return TextExample(row)

    def admit(self, example: TextExample, learning: bool) -> None:
        for key in self.template.keys if self.options.answers else ("text",):
            example.row.string(key)
        names = self.options.answers
        if names and (answer := answer_of(example.row)) not in names:
            raise example.row.error(
                f"expected an answer among task.choices ({', '.join(names)}), got "
                f"{answer!r}"
            )

    def encode(
        self, examples: Sequence[TextExample], gold: bool
    ) -> list[list[EncodedWindow]]:
        raise NotImplementedError("a language model as it is has nothing to learn")

    def build(self, backbone: Any) -> Model:
        if not backbone.config.causal:
            raise CheckpointError(
                "expected a model that writes (GPT-2, LLaMA, Qwen ...), got one that "
                "reads both sides"
            )
        model = sequence_model(backbone, SequenceOptions(), "causal", self.vocab)
        backbone.segment_rows = None  # raw text has no speakers
        return model

    def gold(self, example: TextExample) -> Any:
        return example.answer

    def write(
        self, decode: Decode, examples: Sequence[TextExample], options: GenerateOptions
    ) -> list[Answer | DataError]:
        answers: dict[int, Answer | DataError] = {}
        asked: dict[int, tuple[str, str]] = {}
        for number, example in enumerate(examples):
            if not self._says(example.row):
                answers[number] = {"outputs": []}
                continue
            try:
                asked[number] = self._put(example.row)
            except DataError as error:
                answers[number] = error
        if self.options.answers:
            answers |= self._chosen(decode, asked, options)
        else:
            answers |= self._continued(decode, asked, options)
        return [answers[number] for number in range(len(examples))]

    def weigh(self, decode: Decode, examples: Sequence[TextExample]) -> list[Answer]:
        if not self.options.answers:
            return self._measured(decode, examples)
        found = self.write(decode, examples, self.defaults)
        if error := next((x for x in found if isinstance(x, DataError)), None):
            raise error
        return [x for x in found if not isinstance(x, DataError)]

    def score(
        self, examples: Sequence[TextExample], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        """``perplexity`` is by token that something stands before, ``perplexity_by_
        character`` by character of the lines; ends of lines are not measured."""
        if self.options.answers:
            pairs = zip(examples, answers, strict=True)
            right = [
                [x.answer] == [y["text"] for y in a["outputs"][:1]] for x, a in pairs
            ]
            return {"accuracy": accuracy(right)}
        nll = sum(answer["nll"] for answer in answers)
        tokens = sum(answer["tokens"] for answer in answers)
        if not tokens:
            file, _, _ = examples[0].origin.rpartition(":")
            raise DataError(f"{file}: expected text to measure, got none")
        characters = sum(len(example.text) for example in examples)
        return {
            "perplexity": perplexity(nll, tokens),
            "perplexity_by_character": perplexity(nll, characters),
            "log_likelihood": -nll / tokens,
            "tokens": tokens,
            "characters": characters,
            "windows": sum(answer["windows"] for answer in answers),
            "window": self.window,
            "stride": self.stride,
        }

    @property
    def window(self) -> int:
        """Tokens that a text is measured in."""
        wanted: int = self.options.window
        return wanted if self.longest is None else min(wanted, self.longest)

    @property
    def stride(self) -> int:
        """New tokens of each further window; half of one that the positions cut."""
        stride: int = self.options.stride
        cut = self.window < self.options.window
        return max(self.window // 2, 1) if cut and stride >= self.window else stride

    def shown(self, text: str) -> str:
        return self.ending.shown(text)

    def _solved(self) -> list[str]:
        """The solved examples."""
        if self.options.shots is None:
            return []
        told = []
        with Lines(self.options.shots) as lines:
            for row in json_rows(lines):
                if isinstance(row, DataError):
                    raise row
                before, behind = self.template.before(row), self.template.behind(row)
                told.append(before + answer_of(row) + behind)
        if not told:
            raise DataError(f"{self.options.shots}: expected solved examples, got none")
        return told

    def _separated(self, solved: Sequence[str]) -> np.ndarray:
        """Solved examples as tokens, each with the end of a text behind it."""
        end = np.array([self.vocab.end_id], np.int32)
        parts = [part for shot in solved for part in (self._tokens(shot), end)]
        return np.concatenate([self._begin, *parts])

    def _until(self, solved: bool) -> str | None:
        """What ends an answer beside the model's own end."""
        if self.options.until is not None:
            return told_until(self.tokenizer, str(self.options.until))
        tail = self.template.tail
        fixed = tail if not Template(tail, "").keys else ""
        if fixed or not solved or self.apart:
            return fixed or None
        return self.options.between or None

    def _says(self, row: Row) -> bool:
        """Whether there is anything to go on from."""
        return any(str(row.get(key, "")).strip() for key in self.template.keys)

    def _put(self, row: Row) -> tuple[str, str]:
        """What stands before an answer and behind it; DataError for too many tokens."""
        before = self.shots + self.template.before(row)
        count = len(self._ids(before))
        if self.longest is not None and count >= self.longest:
            raise row.error(
                f"expected fewer than {self.longest} tokens (the positions of the "
                f"model) before an answer, got {count}"
            )
        return before, self.template.behind(row)

    def _ids(self, text: str) -> np.ndarray:
        """What stands before an answer, the solved examples too."""
        return np.concatenate([self.ahead, self._tokens(text)])

    def _tokens(self, text: str) -> np.ndarray:
        return self.tokenizer.encode(text).token_ids

    def _continued(
        self,
        decode: Decode,
        asked: dict[int, tuple[str, str]],
        options: GenerateOptions,
    ) -> dict[int, Answer | DataError]:
        prompts = [self._ids(before) for before, _ in asked.values()]
        features = [prompt_features(ids, np.zeros(len(ids)), 0) for ids in prompts]
        found = decode(features, options, (self._words,), list(asked))
        found = self.ending.weighed(decode, prompts, found)
        return {
            number: {"outputs": [self._output(x) for x in hypotheses]}
            for number, hypotheses in zip(asked, found, strict=True)
        }

    def _output(self, hypothesis: Hypothesis) -> Answer:
        text = self.tokenizer.text(hypothesis.token_ids, begins=False)
        return {
            "text": self.ending.cut(text),
            "score": round(hypothesis.score, 4),
            "finish_reason": hypothesis.finish_reason,
            "tokens": [self.vocab.tokens[i] for i in hypothesis.token_ids],
        }

    def _chosen(
        self,
        decode: Decode,
        asked: dict[int, tuple[str, str]],
        options: GenerateOptions,
    ) -> dict[int, Answer | DataError]:
        _refuse_search(options)
        names = self.options.answers
        choices: list[Choice] = []
        for number, (before, behind) in asked.items():
            for name in names:
                features = self._choice(before, name + behind)
                choices.append(Choice(number, name, features))
        return choose(decode, choices, self.longest, options.num or 1)

    def _choice(self, before: str, said: str) -> Features:
        """A whole sequence, of which the tokens of what is said are targets."""
        found = self.tokenizer.encode(before + said)
        ids, learn = found.token_ids, found.offsets[:, 1] > len(before)
        ids = np.concatenate([self.ahead, ids])
        learn = np.concatenate([self.ahead < 0, learn])
        return training_features(ids, np.zeros(len(ids)), learn)

    def _measured(
        self, decode: Decode, examples: Sequence[TextExample]
    ) -> list[Answer]:
        cut = [
            windows_of(ids, self.window, self.stride)
            for ids in (
                np.concatenate([self._begin, self._tokens(x.text)]) for x in examples
            )
        ]
        losses = iter(decode.token_losses([window for own in cut for window in own]))
        answers: list[Answer] = []
        for own in cut:
            found = [next(losses) for _ in own]
            answers.append(
                {
                    "nll": sum(map(total_of, found)),
                    "tokens": sum(map(len, found)),
                    "windows": len(own),
                }
            )
        return answers


def _refuse_search(options: GenerateOptions) -> None:
    """Raise UsageError for options of writing, where choices are weighed."""
    # beams are as many as answers where nobody asked for them
    weighed = replace(options, num=None, seed=None)
    if weighed.beam == (options.num or 1):
        weighed = replace(weighed, beam=None)
    for name, value in asdict(weighed).items():
        if value is not None:
            raise UsageError(
                f"--{name.replace('_', '-')}: expected none beside --choices, which "
                "are weighed, not written"
            )


build_recipe = LanguageModelRecipe
