"""Raw text to generated text, through the best weights of a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nlpcli.config import Precision
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.loaded import decoding, open_run
from nlpcli.errors import NlpcliError, NotFoundError
from nlpcli.runtime.decoding import Decoding
from nlpcli.text.batching import Features
from nlpcli.text.tokenizers.load import text_of


class Generator:
    """A loaded run that writes. ``timings``: seconds by what they went into."""

    def __init__(
        self,
        run: Path | None = None,
        recipe: str | None = None,
        batch_size: int = 8,
        precision: Precision | None = None,
    ) -> None:
        """Load ``run``, the newest finished run of ``recipe``, or the shipped model.

        Raises NotFoundError when there is none or when the recipe does not generate.
        """
        loaded = open_run(run, recipe, precision)
        if not hasattr(loaded.recipe, "generate"):
            raise NotFoundError(
                f"{loaded.run.path}: a run of {loaded.run.config.recipe}, which does "
                "not generate text"
            )
        self.run = loaded.run
        self.recipe = loaded.recipe
        self.decode = decoding(loaded.recipe, loaded.model, batch_size)
        self._load_seconds = loaded.seconds
        self._asked = 0

    @property
    def timings(self) -> dict[str, float]:
        """Seconds of loading, compiling and decoding so far."""
        return {
            "load": self._load_seconds,
            "compile": self.decode.compile_seconds,
            "decode": self.decode.decode_seconds,
        }

    def options(self, asked: GenerateOptions) -> GenerateOptions:
        """What was asked for over the recipe's defaults."""
        return asked.over(self.recipe.generation)

    def generate(
        self, texts: Sequence[str], asked: GenerateOptions
    ) -> list[dict[str, Any] | NlpcliError]:
        """An answer for each text, in order; an error in the place of a bad one."""
        answers: list[dict[str, Any] | NlpcliError] = []
        examples, numbers = [], []
        for text in texts:
            try:
                examples.append(self.recipe.prompt(text))
                numbers.append(self._asked + len(answers))
                answers.append({})
            except NlpcliError as error:
                answers.append(error)
        self._asked += len(texts)
        decode = _Numbered(self.decode, numbers)
        found = iter(self.recipe.generate(decode, examples, self.options(asked)))
        return [
            answer if isinstance(answer, NlpcliError) else next(found)
            for answer in answers
        ]

    def stream(self, text: str, asked: GenerateOptions) -> Iterator[str]:
        """Pieces of the answer to one text, as they come; raises what went wrong.

        The whole answer is kept as ``last_answer``.
        """
        pieces: queue.Queue[Any] = queue.Queue()

        def work() -> None:
            try:
                example = self.recipe.prompt(text)
                decode = _Streaming(self.decode, pieces.put, self.recipe)
                (answer,) = self.recipe.generate(decode, [example], self.options(asked))
                pieces.put(answer)
            except Exception as error:  # noqa: BLE001 - raised again by the reader
                pieces.put(error)

        threading.Thread(target=work, daemon=True, name="nlpcli-stream").start()
        told = ""
        while isinstance(piece := pieces.get(), str):
            if piece.startswith(told):
                yield piece[len(told) :]
                told = piece
        if isinstance(piece, Exception):
            raise piece
        outputs = piece["outputs"]
        whole = outputs[0]["text"] if outputs else ""
        if whole.startswith(told):
            yield whole[len(told) :]
        self.last_answer = piece


class _Numbered:
    """Decoding whose sampling goes by the number of the input line."""

    def __init__(self, decode: Decoding, numbers: Sequence[int]) -> None:
        self.inner = decode
        self.numbers = list(numbers)

    def __call__(
        self,
        prompts: Sequence[Features],
        options: GenerateOptions,
        constraints: Any = (),
        keys: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        if keys is None:
            keys = range(len(prompts))
        if self.numbers and max(keys, default=0) < len(self.numbers):
            keys = [self.numbers[key] for key in keys]
        return self.inner(prompts, options, constraints, keys)

    def loss(self, features: Sequence[Features]) -> list[tuple[float, int]]:
        return self.inner.loss(features)


class _Streaming:
    """Decoding that tells the best answer so far after each token."""

    def __init__(self, decode: Decoding, tell: Any, recipe: Any) -> None:
        self.inner = decode
        self.tell = tell
        self.recipe = recipe

    def __call__(
        self,
        prompts: Sequence[Features],
        options: GenerateOptions,
        constraints: Any = (),
        keys: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        answers: list[list[Hypothesis]] = []
        for number, prompt in enumerate(prompts):
            key = 0 if keys is None else keys[number]
            found: list[Hypothesis] = []
            for found in self.inner.stream(prompt, options, constraints, key):
                if len(prompts) == 1 and len(found) == 1:
                    self.tell(text_of(self.recipe.tokenizer.vocab, found[0].token_ids))
            answers.append(found)
        return answers

    def loss(self, features: Sequence[Features]) -> list[tuple[float, int]]:
        return self.inner.loss(features)
