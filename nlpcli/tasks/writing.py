"""Tasks of writing: a target after a source, learnt and decoded.

With one stack: [CLS] source [SEP] target [SEP], as UniLM masks it: the source sees all
of itself, the target its past too (Dong et al. 2019, arXiv 1905.03197; Su,
kexue.fm/archives/6933). With an encoder and a decoder each reads its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import ConfigError, DataError
from nlpcli.metrics.perplexity import perplexity
from nlpcli.records.form import E
from nlpcli.tasks.protocol import (
    Answer,
    Decode,
    EncodedWindow,
    Model,
    Recipe,
    Setup,
    Sizes,
    Writes,
)
from nlpcli.text.batching import Features, Field
from nlpcli.text.layouts import Apart, Layout, Prefix, ended, start_id
from nlpcli.text.windows import whole_window

if TYPE_CHECKING:
    from nlpcli.decoders.constraints import Constraint, Forbid


class Writing(Recipe[E], Writes[E]):
    """A recipe says what is source and what target, and overrides what is its own.

    Its options are SequenceOptions. ``attention``: "unilm" or "causal". ``room``:
    tokens that stay for the target where a source is too long and loses its end.
    ``own_fields``: how further features of its prompts pad. ``takes_both``: whether
    source and target may stand apart, in an encoder and a decoder.
    """

    main_score = "log_likelihood"
    attention = "unilm"
    takes_both = True
    defaults = GenerateOptions(beam=4, num=1)

    def __init__(
        self, setup: Setup, own_fields: Mapping[str, Field] | None = None
    ) -> None:
        super().__init__(setup)
        self.vocab = self.tokenizer.vocab
        self.longest = setup.config.data.max_length
        self.apart = self.takes_both and _apart(self.options.model, setup.backbone)
        self.layout: Layout = (
            Apart(self.vocab, start_id(self.vocab, setup.backbone.decoder_start))
            if self.apart
            else Prefix(self.vocab)
        )
        self.fields = {**self.layout.fields, **(own_fields or {})}
        pieces = setup.config.tokenizer.pieces
        self.by_character = self.spells or pieces == "characters"
        self.room = (self.longest - 3) // 2

    def source(self, example: E) -> str:
        """What is given; nothing is answered to a blank one."""
        return example.text

    def target(self, example: E) -> str:
        """What is to be written; "" where there is no gold."""
        raise NotImplementedError

    def ids(self, text: str) -> np.ndarray:
        """The tokens of a text: its characters, or its pieces."""
        if self.by_character:
            return self.tokenizer.encode_characters(text).token_ids
        return self.tokenizer.encode(text).token_ids

    def sequences(self, example: E) -> list[Features]:
        """What is learnt from an example."""
        source, target = self.ids(self.source(example)), self.ids(self.target(example))
        most = self.longest - 3
        cut = len(source) + len(target) > most and len(target) > self.room
        target = target[: self.room] if cut else target
        source = source[: most - len(target)]
        ids, _ = ended(self.vocab, [target])
        learn = ids != self.vocab.unk_id
        learn[-1] = not cut
        return [self.layout.learnt(source, ids, learn)]

    def prompt(self, example: E) -> Features:
        """What stands before the answer."""
        source = self.ids(self.source(example))[: self.longest - 3 - self.room]
        return self.layout.asked(source)

    def prompts(
        self, examples: Sequence[E], options: GenerateOptions
    ) -> list[Features]:
        """What stands before each answer, with room for one of such a length."""
        return [self.prompt(example) for example in examples]

    def refusal(self, example: E) -> DataError | None:
        """Why an example cannot be answered."""
        return None

    def constraints(self) -> Sequence[Constraint]:
        """What answers must keep; the same objects each time, since programs are
        compiled for them."""
        return (self.words,)

    def searched(self, options: GenerateOptions) -> GenerateOptions:
        """How many hypotheses are wanted from the decoder."""
        return options

    def outputs(
        self,
        decode: Decode,
        example: E,
        hypotheses: Sequence[Hypothesis],
        options: GenerateOptions,
    ) -> list[Answer]:
        """Hypotheses as outputs, best first."""
        return [self.output(hypothesis) for hypothesis in hypotheses]

    def output(self, hypothesis: Hypothesis, **more: Any) -> Answer:
        """One hypothesis as it is told."""
        ids = hypothesis.token_ids
        return {
            "text": self.tokenizer.text(ids),
            "score": round(hypothesis.score, 4),
            "finish_reason": hypothesis.finish_reason,
            "tokens": [self.vocab.tokens[i] for i in ids],
            **more,
        }

    @cached_property
    def words(self) -> Forbid:
        """Without the tokens that never come."""
        from nlpcli.decoders.constraints import Forbid

        size = self.setup.backbone.vocab_size
        return Forbid(self.never(size), size)

    def never(self, size: int) -> set[int]:
        """Ids that no answer holds: special ones, rows beyond the vocabulary, and
        pieces of several characters where characters are learnt."""
        tokens = self.vocab.tokens
        never = {*self.vocab.special_ids, *range(len(tokens), size)}
        if self.by_character:
            never |= {i for i, t in enumerate(tokens) if len(t.removeprefix("▁")) > 1}
        return never - {self.vocab.end_id}

    def encode(self, examples: Sequence[E], gold: bool) -> list[list[EncodedWindow]]:
        return [
            [
                EncodedWindow(features, whole_window(len(example.text)))
                for features in self.sequences(example)
            ]
            for example in examples
        ]

    def build(self, backbone: Any) -> Model:
        from nlpcli.heads.seq2seq_model import Seq2SeqModel
        from nlpcli.heads.sequence_model import sequence_model

        if self.apart:
            return Seq2SeqModel(backbone, self.options, self.vocab.special_ids)
        return sequence_model(backbone, self.options, self.attention, self.vocab)

    def write(
        self, decode: Decode, examples: Sequence[E], options: GenerateOptions
    ) -> list[Answer | DataError]:
        answers: list[Answer | DataError] = [
            self.refusal(example) or {"outputs": []} for example in examples
        ]
        wanted = [
            i
            for i, (example, answer) in enumerate(zip(examples, answers, strict=True))
            if self.source(example).strip() and not isinstance(answer, DataError)
        ]
        prompts = self.prompts([examples[i] for i in wanted], options)
        found = decode(prompts, self.searched(options), self.constraints(), wanted)
        for i, hypotheses in zip(wanted, found, strict=True):
            outputs = self.outputs(decode, examples[i], hypotheses, options)
            answers[i] = {"outputs": outputs[: options.num or 1]}
        return answers

    def gold(self, example: E) -> Any:
        return self.target(example) or None


def _apart(model: str, backbone: Sizes) -> bool:
    """Whether a source is read by a stack of its own; as the checkpoint is."""
    apart = backbone.num_decoder_layers > 0
    if model == "auto" or (model == "seq2seq") == apart:
        return apart
    has = "an encoder and a decoder" if apart else "no decoder"
    raise ConfigError(
        [f"task.model: expected auto, since backbone.model has {has}, got {model}"]
    )


def best_texts(answers: Sequence[Answer]) -> list[str]:
    """The first output of each answer, "" where there is none."""
    return [a["outputs"][0]["text"] if a["outputs"] else "" for a in answers]


def likelihood(
    answers: Sequence[Answer], count: int | None = None
) -> dict[str, float | None]:
    """``perplexity`` and ``log_likelihood`` of the gold, by token or by ``count``."""
    nll = sum(answer["nll"] for answer in answers)
    if count is None:
        count = sum(answer["target_tokens"] for answer in answers)
    return {
        "perplexity": perplexity(nll, count),
        "log_likelihood": -nll / count if count else None,
    }
