"""What the engine asks of a recipe: a core, and capabilities that it declares.

A recipe is made for a Setup. It never keeps a model: the engine hands it what runs
one. What a recipe can do beside being trained it says by its base classes, and the
engine asks by type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.errors import DataError
from nlpcli.records.form import E, Form
from nlpcli.records.row import Row
from nlpcli.text.batching import Features, Field
from nlpcli.text.sentences import SentenceReader
from nlpcli.text.tokenizers.byte_pair import refuse_joined
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.windows import Window

if TYPE_CHECKING:  # what answers an export imports no keras
    from nlpcli.decoders.constraints import Constraint
    from nlpcli.heads.published_parts import PublishedHead, UnpublishedHead

Answer = dict[str, Any]
Buckets = list[dict[str, int]]


class Sizes(Protocol):
    """What a recipe may know of its encoder before there is one.

    ``vocab_size``: rows of the token table, perhaps more than the tokenizer has;
    ``longest``: tokens that the positions reach, None without a limit;
    ``num_decoder_layers``: blocks of a decoder, 0 without one; ``decoder_start``: the
    token before its first, -1 where nothing says.
    """

    @property
    def vocab_size(self) -> int: ...

    @property
    def hidden_size(self) -> int: ...

    @property
    def max_position_embeddings(self) -> int: ...

    @property
    def longest(self) -> int | None: ...

    @property
    def num_decoder_layers(self) -> int: ...

    @property
    def decoder_start(self) -> int: ...


@dataclass(frozen=True)
class Setup:
    """What a recipe is made for."""

    config: RunConfig
    tokenizer: Tokenizer
    backbone: Sizes


class EncodedWindow(NamedTuple):
    """One window of an example as the model reads it, and where it lies in it."""

    features: Features
    window: Window


class Model(Protocol):
    """A backbone with its heads, as the engine builds, fills, trains and runs it."""

    backbone: Any
    filled: set[str]
    whole_batches: bool

    def published_parts(self) -> dict[str, Any]: ...

    def own_ways(self) -> list[str]: ...

    def decoding(self) -> dict[str, np.ndarray]: ...

    def stages(self, batch: Features, forward: Forward) -> list[Features]: ...

    def __call__(self, inputs: Any, training: bool = False) -> dict[str, Any]: ...

    def task_loss(self, inputs: Any, logits: Mapping[str, Any]) -> tuple[Any, Any]: ...

    def parameters(self) -> list[Any]: ...

    @property
    def variables(self) -> list[Any]: ...

    @property
    def trainable_variables(self) -> list[Any]: ...


class Forward(Protocol):
    """A model as a function from a padded batch to numpy arrays by name.

    ``decoding``: what of it a decoder needs beside the logits.
    """

    def decoding(self) -> Mapping[str, np.ndarray]: ...

    def __call__(self, batch: Features) -> dict[str, np.ndarray]: ...


class Decode(Protocol):
    """What a recipe writes with."""

    def __call__(
        self,
        prompts: Sequence[Features],
        options: GenerateOptions,
        constraints: Sequence[Constraint] = (),
        keys: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """``options.num`` answers to each prompt, best first.

        ``keys``: a number for each prompt, which with the seed decides what is drawn.
        """

    def loss(self, features: Sequence[Features]) -> list[tuple[float, int]]:
        """-log p of the targets of each sequence, and how many there are."""

    def token_losses(self, features: Sequence[Features]) -> list[np.ndarray]:
        """-log p of each target of each sequence, however long the sequences."""

    def run(self, features: Sequence[Features], output: str) -> list[np.ndarray]:
        """One output of the model for each row, in order, as padded."""


class Recipe(ABC, Generic[E]):
    """The core: what one task is. The engine never asks which.

    ``apart``: its model has an encoder and a decoder; ``spells``: it goes by character,
    whatever ``tokenizer.pieces`` is.
    """

    form: Form[E]
    fields: dict[str, Field]
    apart = False
    spells = False

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.tokenizer = setup.tokenizer
        self.options = setup.config.task
        refuse_joined(setup.tokenizer, setup.config, self.spells)
        self.form = self.options.form()

    @property
    @abstractmethod
    def main_score(self) -> str:
        """The name of the score that chooses the best weights."""

    def admit(self, example: E, learning: bool) -> None:
        """Raise DataError for a line that is not fit to be learnt, or to be scored."""

    def learn(self, example: E) -> None:
        """Take in what training data alone can tell, such as the labels."""

    def meet(self, example: E) -> None:
        """Raise DataError for a development example that the model cannot get right."""

    def state(self) -> dict[str, Any]:
        """All that ``learn`` and ``meet`` gathered, as JSON values."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` returned."""

    @abstractmethod
    def ask(self, row: Row) -> E:
        """An example without gold, from a line of input: ``text`` or keys of its own.

        Raises DataError.
        """

    @abstractmethod
    def encode(self, examples: Sequence[E], gold: bool) -> list[list[EncodedWindow]]:
        """Unpadded features of each example's windows.

        With ``gold`` also what can be learnt from it, but for what ``targets`` adds.
        """

    def scored(self, examples: Sequence[E]) -> list[list[EncodedWindow]]:
        """What gives the ``nll`` of gold where answers are generated."""
        return self.encode(examples, gold=True)

    def targets(self, example: E, window: Window) -> Features:
        """The gold of a window, once all labels are known."""
        return {}

    @abstractmethod
    def build(self, backbone: Any) -> Model:
        """Backbone and heads as one model."""

    @abstractmethod
    def gold(self, example: E) -> Any:
        """The gold answer of an example, ready for JSON."""

    @abstractmethod
    def score(self, examples: Sequence[E], answers: Sequence[Answer]) -> dict[str, Any]:
        """Scores by name, ``main_score`` among them."""


class Answers(ABC, Generic[E]):
    """A recipe that predicts."""

    @abstractmethod
    def predict(self, forward: Forward, batch: Features) -> Sequence[Any]:
        """Run a padded batch through the model and a decoder: a part for each row."""

    @abstractmethod
    def merge(self, example: E, parts: Sequence[tuple[Window, Any]]) -> Answer:
        """The answer to an example from the parts of its windows, ready for JSON."""


class Writes(ABC, Generic[E]):
    """A recipe that generates: ``defaults`` are its options where nothing is said.

    ``stops``: tokens that end an answer beside that of the vocabulary.
    """

    defaults: GenerateOptions
    stops: tuple[int, ...] = ()

    def shown(self, text: str) -> str:
        """What is told of an answer that is still being written."""
        return text

    @abstractmethod
    def write(
        self, decode: Decode, examples: Sequence[E], options: GenerateOptions
    ) -> Sequence[Answer | DataError]:
        """``outputs`` for each example, in order; a DataError in a bad one's place."""


class Weighs(ABC, Generic[E]):
    """A recipe that is scored by how likely its model finds what is given."""

    @abstractmethod
    def weigh(self, decode: Decode, examples: Sequence[E]) -> list[Answer]:
        """What ``score`` needs to know of each example; raises DataError."""


class Embeds(ABC):
    """A recipe whose model makes sentence vectors; ``reader`` is how it reads one."""

    reader: SentenceReader


class Talks(ABC):
    """A recipe that replies."""

    @abstractmethod
    def turn(self, history: Sequence[str], line: str) -> Row:
        """What to reply to, after what was said."""


class Tunes(ABC, Generic[E]):
    """A recipe that chooses on the development data what is no weight either."""

    @abstractmethod
    def tune(self, examples: Sequence[E], parts: Sequence[Any]) -> None:
        """``parts``: what ``predict`` gave for the one window of each example."""


class Exports(ABC):
    """A recipe whose head other tools may have."""

    @abstractmethod
    def published_head(self, model: Any) -> PublishedHead | UnpublishedHead:
        """Its head as transformers has it, or what is lost since it has none such."""


class Fits(ABC):
    """A recipe that fits, before it is scored, what is no weight of training."""

    @abstractmethod
    def fit(self, model: Any, run: Callable[[Sequence[Features], str], Any]) -> None:
        """``run`` gives one output of the model for each row of features."""
