"""The training loop: epochs, evaluation, early stopping, checkpoints, resume."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from nlpcli import __version__
from nlpcli.config import RunConfig
from nlpcli.engine import build
from nlpcli.engine.answers import answering
from nlpcli.engine.loaded import decoding
from nlpcli.engine.run_dir import RunDir
from nlpcli.engine.run_log import RunLog
from nlpcli.engine.state import FILE, State, read_state
from nlpcli.errors import CheckpointError, DivergedError
from nlpcli.files.atomic import write_atomic
from nlpcli.files.programs import seal_programs
from nlpcli.progress import Progress
from nlpcli.runtime import weights
from nlpcli.runtime.batches import (
    micro_batches,
    padding_share,
    training_plan,
)
from nlpcli.runtime.blocks import shared_blocks
from nlpcli.runtime.datasets import signature, to_device
from nlpcli.runtime.device import Device, explain_memory
from nlpcli.runtime.diagnose import first_not_finite
from nlpcli.runtime.forward import Forward
from nlpcli.runtime.loss import model_loss, tape
from nlpcli.runtime.optimizer import AdamW, schedule
from nlpcli.runtime.prefetch import prefetch
from nlpcli.runtime.step import LossScale, StepResult, TrainStep
from nlpcli.text.batching import Features

logger = logging.getLogger("nlpcli")

MEASURED = 1000  # batches whose padding is told
ANSWERED = 32  # most rows of an evaluation where steps are measured by tokens


class Loop:
    """One training run in motion; build it inside the strategy's scope."""

    def __init__(
        self,
        config: RunConfig,
        run: RunDir,
        device: Device,
        model: Any,
        prepared: Any,
        progress: Progress,
    ) -> None:
        self.config = config
        self.run = run
        self.device = device
        self.model = model
        self.recipe = prepared.recipe
        self.windows = prepared.windows
        self.dev = prepared.dev
        self.buckets = prepared.buckets
        self.family = prepared.start.family
        self.backbone_config = prepared.start.config
        self.steps = prepared.steps
        self.data = prepared.data
        self.progress = progress
        self.state = State()
        options = config.train
        blocks = shared_blocks(model.stacks, device.blocks, device.islands)
        self.plan = training_plan(
            self.recipe.fields,
            self.windows.bound,
            self.buckets,
            model,
            device,
            options.accumulate,
            blocks is not None,
        )
        self.optimizer = AdamW(model.parameters(), options, compiled=blocks is not None)
        self.train_step = TrainStep(
            tape(model_loss(model, blocks), self.optimizer.variables),
            self.optimizer,
            device.strategy,
            options.clip_norm,
            device.xla,
            signature(self.plan, self.windows.sample),
        )
        self.forward = Forward(model, device.xla, self.buckets, device.lanes)
        batch_size = 2 * options.batch_size if options.batch_size else ANSWERED
        decode = decoding(self.recipe, self.forward, device, batch_size)
        self.answer = answering(
            self.recipe, self.forward, decode, batch_size, tuning=True
        )
        first = islice(self.windows.epoch_lengths(0), MEASURED)
        self.padding = padding_share(first, self.plan)
        self.loss_scale = LossScale(device.precision == "float16")
        self.stop = threading.Event()
        self.stopped_by = signal.SIGINT

    def run_all(self, resume: bool) -> tuple[str, dict[str, Any]]:
        """Train to the end or to an interrupt; the status and the best scores."""
        if resume:
            self._restore()
        tensorboard = self.config.runtime.tensorboard and self.device.chief
        self.log = RunLog(self.run, self.progress, tensorboard)
        self.log.pending = list(self.state.pending_losses)
        logger.info("padding %.0f %% of tokens", 100 * self.padding)
        self.progress.start(f"train {self.config.recipe}", self.steps)
        try:
            with self._graceful_interrupt():
                status = self._epochs()
        except BaseException:
            self.run.mark("failed", self._summary())
            raise
        finally:
            self.progress.finish()
            self.log.close()
        if status == "finished":
            self.run.mark_finished(self._summary())
        else:
            self.run.mark("interrupted", self._summary())
        return status, self.run.read_scores()

    def train_on(self, features: list[Features]) -> StepResult:
        """One update on a batch of unpadded features; DivergedError ends it."""
        state, options = self.state, self.config.train
        state.step += 1
        batches = [
            to_device(batch, self.device.strategy)
            for batch in micro_batches(features, self.plan)
        ]
        longest = max(len(item["token_ids"]) for item in features)
        with explain_memory(
            f"training step {state.step}, "
            f"{-(-len(features) // options.accumulate)} rows of {longest} tokens",
            f"{'train.batch_tokens' if options.batch_tokens else 'train.batch_size'} "
            "or data.max_length, or raise train.accumulate",
        ):
            result = self.train_step(
                batches,
                options.head_lr * schedule(state.step, self.steps, options),
                self.optimizer.host_scalars(state.step),
                self.loss_scale.value,
            )
        if not self.loss_scale.update(result.finite):
            self._diverged(features, result)
        return result

    def _epochs(self) -> str:
        state, options = self.state, self.config.train
        # An interrupt leaves after a step, before the evaluation that it brings.
        if self._due():
            self._evaluate()
        while state.evaluated < self.steps:
            if state.step < self.steps and not self._epoch():
                return "interrupted"
            state.epoch, state.batch = state.epoch + 1, 0
            if options.eval_every is None or state.step >= self.steps:
                self._evaluate()
            if options.patience is not None and state.stale >= options.patience:
                logger.info("no better score for %d evaluations", state.stale)
                break
        self._save_last()
        return "finished"

    def _epoch(self) -> bool:
        """One pass over the data from where the state is; False when interrupted."""
        state, options = self.state, self.config.train
        done = state.batch
        for number, features in enumerate(prefetch(self.windows.epoch(state.epoch))):
            if number < done:
                continue
            if state.step >= self.steps:
                return True
            result = self.train_on(features)
            state.batch = number + 1
            self._note(features, result)
            if self.stop.is_set():
                self._save_last()
                return False
            if self._due():
                self._evaluate()
            if state.step % options.save_every == 0:
                self._save_last()
        return True

    def _due(self) -> bool:
        """Whether this step, inside an epoch, brings an evaluation still to come."""
        step, every = self.state.step, self.config.train.eval_every
        due = every is not None and step % every == 0 and 0 < step < self.steps
        return due and self.state.evaluated < step

    def _note(self, features: list[Features], result: StepResult) -> None:
        state, options = self.state, self.config.train
        row = {
            "step": state.step,
            "epoch": state.epoch + 1,
            "lr": (options.lr or 0.0) * schedule(state.step, self.steps, options),
            "seconds": round(state.seconds, 2),
            "programs": self.train_step.programs(),
        }
        seconds = self.log.step(features, result, row, state.step == self.steps)
        state.seconds += seconds or 0.0

    def _diverged(self, features: list[Features], result: StepResult) -> None:
        place = first_not_finite(self.model, self.plan.pad(features))
        raise DivergedError(
            f"step {self.state.step} (epoch {self.state.epoch + 1}): loss "
            f"{result.loss}, gradient norm {result.grad_norm}; first non-finite "
            f"value: {place}; expected finite numbers: lower train.lr or train.head_lr"
        )

    def _evaluate(self) -> None:
        state, started = self.state, time.monotonic()
        with self._averaged_weights():
            answers = self.answer(self.dev)
            scores = self.recipe.score(self.dev, answers)
            value = scores[self.recipe.main_score]
            better = value is not None and (state.best is None or value > state.best)
            if better or state.best_step == 0:
                state.best, state.best_step, state.stale = value, state.step, 0
                told = {"step": state.step, **scores}
                self.run.save_best(self._write_model, told)
            else:
                state.stale += 1
        state.evaluated = state.step
        self.log.evaluation(state.step, state.epoch, scores, time.monotonic() - started)
        seal_programs()

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        if not self.optimizer.averages:
            yield
            return
        kept = [v.numpy() for v in self.optimizer.variables]
        for variable, average in zip(
            self.optimizer.variables, self.optimizer.averages, strict=True
        ):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(self.optimizer.variables, kept, strict=True):
                variable.assign(value)

    def _save_last(self) -> None:
        state = self.state
        state.loss_scale = self.loss_scale.value
        state.loss_scale_calm = self.loss_scale.calm
        state.pending_losses = self.log.pending
        state.random_states = [
            v.numpy().tolist() for v in weights.random_states(self.model)
        ]

        def write(folder: Path) -> None:
            self._write_model(folder)
            weights.save_arrays(
                folder / "optimizer.safetensors", self.optimizer.state()
            )
            write_atomic(folder / FILE, state.text())

        self.run.save("last", write)

    def _write_model(self, folder: Path) -> None:
        build.write_model(
            folder,
            self.recipe,
            self.family,
            self.backbone_config,
            weights.learnt_variables(self.model),
            self.buckets,
        )

    def _restore(self) -> None:
        folder = self.run.folder("last")
        self.state = read_state(folder)
        self.loss_scale.calm = self.state.loss_scale_calm
        if self.loss_scale.enabled:
            self.loss_scale.value = self.state.loss_scale
        weights.assign(
            weights.learnt_variables(self.model), folder / "model.safetensors"
        )
        variables = weights.random_states(self.model)
        shapes = [(len(state),) for state in self.state.random_states]
        if shapes != [tuple(variable.shape) for variable in variables]:
            raise CheckpointError(
                f"{folder / FILE}: expected {len(variables)} random states as this "
                f"model has, got {len(shapes)}"
            )
        for variable, value in zip(variables, self.state.random_states, strict=True):
            variable.assign(value)
        weights.assign(self.optimizer.state(), folder / "optimizer.safetensors")
        self.run.trim_metrics(self.state.step)
        # what was accepted, if anything was, is what the run is of from now on
        self.run.mark("running", {"data": self.data, "nlpcli": __version__})
        logger.info("resumed at step %d of %d", self.state.step, self.steps)

    def _summary(self) -> dict[str, Any]:
        state = self.state
        return {
            "score_name": self.recipe.main_score,
            "score": state.best,
            "steps": state.step,
            "seconds": round(state.seconds, 2),
            "programs": self.train_step.programs(),
        }

    @contextmanager
    def _graceful_interrupt(self) -> Iterator[None]:
        """First Ctrl-C, SIGTERM or SIGHUP: finish the step and save.

        A second one leaves, but for SIGHUP: the system and the shell both send it,
        some send it with SIGTERM, and none of that asks twice.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        hangup = getattr(signal, "SIGHUP", None)  # Windows has none
        asked = threading.Event()

        def handler(number: int, frame: Any) -> None:
            if asked.is_set() and number != hangup:
                if number == signal.SIGINT:
                    signal.signal(number, signal.default_int_handler)
                    raise KeyboardInterrupt
                signal.signal(number, signal.SIG_DFL)
                raise SystemExit(128 + number)
            if number != hangup:
                asked.set()
            if not self.stop.is_set():
                self.stop.set()
                self.stopped_by = signal.Signals(number)
                logger.warning("stopping after this step; again to leave at once")

        caught = [signal.SIGINT]
        for number in filter(None, (signal.SIGTERM, hangup)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                caught.append(number)
        previous = {number: signal.signal(number, handler) for number in caught}
        try:
            yield
        finally:
            for number, known in previous.items():
                signal.signal(number, known)
