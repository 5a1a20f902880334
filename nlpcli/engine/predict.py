"""Lines of input to answers, through the best weights of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nlpcli.config import AskedPrecision, Xla
from nlpcli.engine.answers import answer_all, ask_all
from nlpcli.engine.loaded import open_run
from nlpcli.engine.run_dir import RunDir
from nlpcli.errors import NlpcliError, NotFoundError
from nlpcli.records.row import Row
from nlpcli.tasks.protocol import Answer, Answers


class Predictor:
    """A loaded run. ``predict`` may be called again and again, with any lines."""

    def __init__(
        self,
        run: RunDir | Path | None = None,
        recipe: str | None = None,
        batch_size: int = 32,
        precision: AskedPrecision = "auto",
        xla: Xla | None = None,
        sets: Sequence[str] = (),
    ) -> None:
        """Load ``run``, or the newest finished run of ``recipe``.

        ``sets``: as for ``open_run``. Raises NotFoundError when there is none or when
        it is of another recipe.
        """
        loaded = open_run(run, recipe, precision, xla, sets, answers=True)
        if not isinstance(loaded.recipe, Answers):
            raise NotFoundError(
                f"{loaded.run.path}: a run of {loaded.run.config.recipe}, which "
                "generates text: `nlpcli generate`"
            )
        self.run = loaded.run
        self.recipe = loaded.recipe
        self.model = loaded.model
        self.batch_size = batch_size
        self.forward = loaded.forward

    def predict(self, lines: Sequence[Row | str]) -> list[Answer | NlpcliError]:
        """An answer for each line, in order; an error in the place of a bad one."""
        asked = ask_all(self.recipe, lines)
        found = answer_all(self.recipe, self.forward, asked.examples, self.batch_size)
        return asked.answers(found)
