"""What a training tells: metrics.jsonl, TensorBoard, the progress line, warnings."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from nlpcli.engine.metrics_file import is_number
from nlpcli.engine.run_dir import RunDir
from nlpcli.progress import Progress
from nlpcli.runtime.events import EventWriter
from nlpcli.text.batching import Features

logger = logging.getLogger("nlpcli")

FLAT = 0.98  # of the first losses: above it, training has not learnt


class RunLog:
    """Collects steps; every ``every`` of them it writes one line."""

    def __init__(
        self, run: RunDir, progress: Progress, tensorboard: bool, every: int = 10
    ) -> None:
        self.run = run
        self.progress = progress
        self.every = every
        self.writer = EventWriter(run.event_folder()) if tensorboard else None
        known = run.read_metrics()
        self.losses = [row["loss"] for row in known if is_number(row.get("loss"))]
        self.pending: list[float] = []  # losses that no line tells yet
        self._restart()

    def step(
        self, features: list[Features], result: Any, row: Mapping[str, Any], last: bool
    ) -> float | None:
        """Note one step; the seconds since the last line when it writes one."""
        self._tokens += sum(len(item["token_ids"]) for item in features)
        self.pending.append(result.loss)
        step = row["step"]
        if step % self.every and not last:
            return None
        seconds = time.monotonic() - self._started
        loss = float(np.mean(self.pending))
        self.pending = []
        if is_number(loss):
            self.losses.append(loss)
        values = {
            "loss": loss,
            "lr": row["lr"],
            "grad_norm": result.grad_norm,
            "tokens_per_second": round(self._tokens / max(seconds, 1e-9), 1),
        }
        self.run.append_metrics({**row, **values})
        self.progress.update(
            step,
            epoch=row["epoch"],
            loss=round(loss, 4),
            tokens_per_second=round(values["tokens_per_second"]),
        )
        self._scalars("train", step, values)
        self._restart()
        return seconds

    def evaluation(
        self, step: int, epoch: int, scores: Mapping[str, Any], seconds: float
    ) -> None:
        """Note the scores of the development data, and warn when nothing is learnt."""
        shown = {k: v for k, v in scores.items() if not isinstance(v, dict)}
        self.run.append_metrics(
            {
                "step": step,
                "epoch": epoch,
                "dev": shown,
                "eval_seconds": round(seconds, 2),
            }
        )
        logger.info(
            "step %d: %s",
            step,
            ", ".join(
                f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
                for name, value in shown.items()
            ),
        )
        self._scalars("dev", step, {k: v for k, v in shown.items() if v is not None})
        self._warn(step, scores)
        self._restart()

    def close(self) -> None:
        """Close the event file."""
        if self.writer is not None:
            self.writer.close()

    def _warn(self, step: int, scores: Mapping[str, Any]) -> None:
        if scores.get("predicted") == 0 and scores.get("gold"):
            logger.warning(
                "step %d: nothing predicted (gold has %d); if this lasts, raise "
                "train.head_lr or train for longer",
                step,
                scores["gold"],
            )
        if len(self.losses) >= 10:
            first, now = np.mean(self.losses[:3]), np.mean(self.losses[-5:])
            if now > FLAT * first:
                logger.warning(
                    "step %d: the loss is not falling (%.4f at first, %.4f now)",
                    step,
                    first,
                    now,
                )

    def _scalars(self, group: str, step: int, values: Mapping[str, Any]) -> None:
        if self.writer is not None:
            self.writer.scalars(
                step, {f"{group}/{name}": float(v) for name, v in values.items()}
            )

    def _restart(self) -> None:
        self._started = time.monotonic()
        self._tokens = 0
