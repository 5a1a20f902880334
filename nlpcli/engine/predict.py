"""Raw text to answers, through the best weights of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nlpcli.config import Precision, Xla
from nlpcli.engine import build
from nlpcli.engine.answers import answer_all
from nlpcli.engine.run_dir import RunDir, newest_finished
from nlpcli.errors import NlpcliError, NotFoundError
from nlpcli.runtime.blocks import shared_blocks
from nlpcli.runtime.device import open_device
from nlpcli.runtime.forward import Forward


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
        if run is None:
            self.run = newest_finished(recipe or "")
        else:
            self.run = RunDir.open(run)
        config = self.run.config
        if recipe is not None and config.recipe != recipe:
            raise NotFoundError(
                f"{self.run.path}: expected a run of {recipe}, "
                f"found one of {config.recipe}"
            )
        options = replace(
            config.runtime,
            precision=precision or config.runtime.precision,
            xla=xla or config.runtime.xla,
            strategy="one",
        )
        device = open_device(options, config.seed)
        loaded = build.load_run(config, self.run.folder("best"))
        self.recipe_name = config.recipe
        self.recipe = loaded.recipe
        self.model = loaded.model
        self.batch_size = batch_size
        self.forward = Forward(
            loaded.model,
            device.xla,
            loaded.buckets,
            shared_blocks(loaded.model.backbone, device.blocks),
        )

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
