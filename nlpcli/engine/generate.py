"""Raw text to generated text, through the best weights of a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nlpcli.config import Precision, Quantize
from nlpcli.decoders.constraints import Constraint
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.engine.answers import ask_all
from nlpcli.engine.loaded import decoding, open_model, open_run
from nlpcli.engine.run_dir import RunDir
from nlpcli.errors import NlpcliError, NotFoundError
from nlpcli.records.row import Row
from nlpcli.runtime.decoding import Decoding
from nlpcli.tasks.protocol import Answer, Talks, Writes
from nlpcli.text.batching import Features


class Generator:
    """A loaded run that writes. ``timings``: seconds by what they went into."""

    def __init__(
        self,
        run: RunDir | Path | None = None,
        recipe: str | None = None,
        batch_size: int = 8,
        precision: Precision | None = None,
        sets: Sequence[str] = (),
        model: Path | None = None,
        quantize: Quantize | None = None,
    ) -> None:
        """Load ``run``, the newest finished run of ``recipe``, or the shipped model.

        ``model``: a folder of published weights, for a recipe that needs no training;
        ``sets``, ``quantize``: as for ``open_run``. Raises NotFoundError when there is
        none or when the recipe does not generate.
        """
        loaded = (
            open_run(run, recipe, precision, sets=sets, quantize=quantize)
            if model is None
            else open_model(model, recipe or "", precision, sets, quantize)
        )
        decode = decoding(loaded.recipe, loaded.forward, loaded.device, batch_size)
        if decode is None or not isinstance(loaded.recipe, Writes):
            raise NotFoundError(
                f"{loaded.run.path}: a run of {loaded.run.config.recipe}, which does "
                "not generate text"
            )
        self.run = loaded.run
        self.recipe = loaded.recipe
        self.writer: Writes[Any] = loaded.recipe
        self.decode = decode
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
        return asked.over(self.writer.defaults)

    def turn(self, history: Sequence[str], line: str) -> Row:
        """A line of a conversation, after what was said where the recipe hears it."""
        if isinstance(self.recipe, Talks):
            return self.recipe.turn(history, line)
        return Row({"text": line})

    def generate(
        self, lines: Sequence[Row | str], asked: GenerateOptions
    ) -> list[Answer | NlpcliError]:
        """An answer for each line, in order; an error in the place of a bad one."""
        good = ask_all(self.recipe, lines)
        decode = _Numbered(self.decode, [self._asked + n for n in good.numbers])
        self._asked += len(lines)
        return good.answers(
            self.writer.write(decode, good.examples, self.options(asked))
        )

    def stream(self, line: Row, asked: GenerateOptions) -> Iterator[str]:
        """Pieces of the answer to one line, as they come; raises what went wrong.

        The whole answer is kept as ``last_answer``.
        """
        pieces: queue.Queue[Any] = queue.Queue()

        def work() -> None:
            try:
                example = self.recipe.ask(line)
                decode = _Streaming(self.decode, pieces.put, self.recipe)
                (answer,) = self.writer.write(decode, [example], self.options(asked))
                pieces.put(answer)
            except BaseException as error:  # noqa: BLE001 - raised again by the reader
                pieces.put(error)

        threading.Thread(target=work, daemon=True, name="nlpcli-stream").start()
        told = ""
        while isinstance(piece := pieces.get(), str):
            if piece.startswith(told):
                yield piece[len(told) :]
                told = piece
        if isinstance(piece, BaseException):
            raise piece
        outputs = piece["outputs"]
        whole = outputs[0]["text"] if outputs else ""
        if whole.startswith(told):
            yield whole[len(told) :]
        self.last_answer = piece


class _Around:
    """A decoder in another's clothes."""

    def __init__(self, decode: Decoding) -> None:
        self.inner = decode

    def loss(self, features: Sequence[Features]) -> list[tuple[float, int]]:
        return self.inner.loss(features)

    def token_losses(self, features: Sequence[Features]) -> list[Any]:
        return self.inner.token_losses(features)

    def run(self, features: Sequence[Features], output: str) -> list[Any]:
        return self.inner.run(features, output)


class _Numbered(_Around):
    """Decoding whose sampling goes by the number of the input line."""

    def __init__(self, decode: Decoding, numbers: Sequence[int]) -> None:
        super().__init__(decode)
        self.numbers = list(numbers)

    def __call__(
        self,
        prompts: Sequence[Features],
        options: GenerateOptions,
        constraints: Sequence[Constraint] = (),
        keys: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        if keys is None:
            keys = range(len(prompts))
        if self.numbers and max(keys, default=0) < len(self.numbers):
            keys = [self.numbers[key] for key in keys]
        return self.inner(prompts, options, constraints, keys)


class _Streaming(_Around):
    """Decoding that tells the best answer so far after each token."""

    def __init__(self, decode: Decoding, tell: Any, recipe: Any) -> None:
        super().__init__(decode)
        self.tell = tell
        self.recipe = recipe

    def __call__(
        self,
        prompts: Sequence[Features],
        options: GenerateOptions,
        constraints: Sequence[Constraint] = (),
        keys: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        answers: list[list[Hypothesis]] = []
        for number, prompt in enumerate(prompts):
            key = 0 if keys is None else keys[number]
            found: list[Hypothesis] = []
            for found in self.inner.stream(prompt, options, constraints, key):
                if len(prompts) == 1 and len(found) == 1:
                    ids = found[0].token_ids
                    text = self.recipe.tokenizer.text(ids, finished=False)
                    self.tell(self.recipe.shown(text))
            answers.append(found)
        return answers
