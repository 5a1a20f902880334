"""Raw text to answers, through the best weights of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlpcli.config import Precision, Xla
from nlpcli.engine.answers import answer_all
from nlpcli.engine.loaded import forward_of, open_run
from nlpcli.errors import NlpcliError, NotFoundError


class Predictor:
    """A loaded run. ``predict`` may be called again and again, with any texts."""

    def __init__(
        self,
        run: Path | None = None,
        recipe: str | None = None,
        batch_size: int = 32,
        precision: Precision | None = None,
        xla: Xla | None = None,
    ) -> None:
        """Load ``run``, or the newest finished run of ``recipe``.

        Raises NotFoundError when there is none or when it is of another recipe.
        """
        loaded = open_run(run, recipe, precision, xla)
        if not hasattr(loaded.recipe, "predict"):
            raise NotFoundError(
                f"{loaded.run.path}: a run of {loaded.run.config.recipe}, which "
                "generates text: `nlpcli generate`"
            )
        self.run = loaded.run
        self.recipe = loaded.recipe
        self.model = loaded.model
        self.batch_size = batch_size
        self.forward = forward_of(loaded)

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any] | NlpcliError]:
        """An answer for each text, in order; an error in the place of a bad one."""
        answers: list[dict[str, Any] | NlpcliError] = []
        examples = []
        for text in texts:
            try:
                examples.append(self.recipe.prompt(text))
                answers.append({})
            except NlpcliError as error:
                answers.append(error)
        found = iter(answer_all(self.recipe, self.forward, examples, self.batch_size))
        return [
            answer if isinstance(answer, NlpcliError) else next(found)
            for answer in answers
        ]
