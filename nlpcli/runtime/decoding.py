"""Prompts to answers: padding, compiled programs, and reading the result.

A program is made for each (filters, constraints, shapes) that occurs; lengths and rows
are padded to a few sizes so that they are few. XLA compiles them, or nothing does where
that is not wanted. TensorFlow keeps compiled programs on disk between processes where
nlpcli.files.programs set that up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.decoders.autoregressive import Decoder, Numbers, Search
from nlpcli.decoders.constraints import Constraint
from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.decoders.options import GenerateOptions
from nlpcli.files.programs import seal_programs
from nlpcli.runtime.batches import (
    AT_ONCE,
    PROMPTS,
    Plan,
    in_batches,
    in_order,
    pad_prompts,
    prompt_length,
)
from nlpcli.runtime.decode_program import Program
from nlpcli.runtime.device import explain_memory
from nlpcli.runtime.forward import Forward
from nlpcli.text.batching import Bound, Features, Field, cut_falling, sizes_of

NO_LIMIT = 2**30
SCORES = 2**24  # numbers of a block of scores, 64 MB
STREAMED = 128  # least padded prompt of a conversation: it grows without compiling


class Decoding:
    """Generates with one model; its programs live as long as it does.

    ``compiled``: whether XLA compiles them; False under ``runtime.xla: off``.
    ``stops``: tokens that end an answer beside ``end_id``.
    """

    def __init__(
        self,
        forward: Forward,
        fields: Mapping[str, Field],
        end_id: int,
        batch_size: int = 8,
        compiled: bool = True,
        stops: Sequence[int] = (),
    ) -> None:
        self.forward = forward
        self.model: Any = forward.model
        self.fields = fields
        self.end_id = end_id
        self.stops = tuple(stops)
        self.batch_size = batch_size
        self.compiled = compiled
        self.compile_seconds = 0.0
        self.decode_seconds = 0.0
        self._programs: dict[Any, Program] = {}
        self._loss = tf.function(self._losses, autograph=False, reduce_retracing=True)
        self._token_loss = tf.function(
            self._each_loss, autograph=False, reduce_retracing=True
        )

    def __call__(
        self,
        prompts: Sequence[Features],
        options: GenerateOptions,
        constraints: Sequence[Constraint] = (),
        keys: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """``options.num`` answers for each prompt, best first, in order.

        options must be complete (GenerateOptions.over). ``keys``: a number for each
        prompt; with the seed it decides what is sampled, whatever shares the batch.
        """
        numbers = range(len(prompts)) if keys is None else keys

        def run(chosen: list[int]) -> list[list[Hypothesis]]:
            batch = self._open(
                [prompts[i] for i in chosen],
                [numbers[i] for i in chosen],
                options,
                tuple(constraints),
            )
            search = batch.begin()
            return batch.read(batch.advance(search, batch.program.decoder.slots))

        return in_order(
            [sizes_of(item, self.fields) for item in prompts],
            lambda lengths: cut_falling(Bound(self.batch_size).most(lengths)),
            run,
        )

    def stream(
        self,
        prompt: Features,
        options: GenerateOptions,
        constraints: Sequence[Constraint] = (),
        key: int = 0,
    ) -> Iterator[list[Hypothesis]]:
        """The answers to one prompt as they grow, a token at a time."""
        batch = self._open([prompt], [key], options, tuple(constraints), STREAMED)
        search = batch.begin()
        for until in range(1, batch.program.decoder.slots + 1):
            search = batch.advance(search, until)
            yield batch.read(search)[0]
            if bool(np.all(search.done.numpy())):
                return

    def loss(self, features: Sequence[Features]) -> list[tuple[float, int]]:
        """-log p of the targets of each sequence, and how many there are."""

        def work(batch: Features) -> Any:
            return self._loss({k: tf.constant(v) for k, v in batch.items()}).numpy()

        losses = in_batches(features, self._plan(), work)
        counts = [len(item["target_ids"]) for item in features]
        return [(float(x), count) for x, count in zip(losses, counts, strict=True)]

    def token_losses(self, features: Sequence[Features]) -> list[np.ndarray]:
        """-log p of each target of each sequence, however long the sequences."""

        def work(batch: Features) -> Any:
            found = self._token_loss({k: tf.constant(v) for k, v in batch.items()})
            return found.numpy()

        losses = in_batches(features, self._plan(), work)
        counts = [len(item["target_ids"]) for item in features]
        return [x[:count] for x, count in zip(losses, counts, strict=True)]

    def run(self, features: Sequence[Features], output: str) -> list[np.ndarray]:
        """One output of the model for each row, in order, as padded."""
        plan = self.forward.plan(self.fields, self.batch_size * 2)
        return in_batches(features, plan, lambda batch: self.forward(batch)[output])

    def _plan(self) -> Plan:
        """Of rows whose likelihood is asked for."""
        return Plan(self.fields, Bound(self.batch_size * 2, AT_ONCE))

    def _losses(self, batch: Any) -> Any:
        logits = self.model(batch, training=False)["targets"]
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(
            batch["target_ids"], logits
        )
        return tf.reduce_sum(each * tf.cast(batch["target_mask"], tf.float32), axis=1)

    def _each_loss(self, batch: Any) -> Any:
        """(batch, targets), the scores of a few targets at a time: a vocabulary is
        wide."""
        states, ids = self.model.states(batch), batch["target_ids"]
        flat, targets = (
            tf.reshape(states, (-1, states.shape[-1])),
            tf.reshape(ids, (-1,)),
        )
        count = tf.shape(targets)[0]
        block = tf.minimum(count, SCORES // self.model.backbone.config.vocab_size + 1)
        blocks = -(-count // tf.maximum(block, 1))
        more = blocks * block - count
        flat = tf.reshape(tf.pad(flat, ((0, more), (0, 0))), (blocks, block, -1))
        targets = tf.reshape(tf.pad(targets, ((0, more),)), (blocks, block))
        flat.set_shape((None, None, states.shape[-1]))

        def score(given: Any) -> Any:
            logits = self.model.logits(given[0])
            return tf.nn.sparse_softmax_cross_entropy_with_logits(given[1], logits)

        losses = tf.map_fn(
            score,
            (flat, targets),
            fn_output_signature=tf.TensorSpec((None,), tf.float32),
            parallel_iterations=1,
        )
        return tf.reshape(tf.reshape(losses, (-1,))[:count], tf.shape(ids))

    def _open(
        self,
        prompts: Sequence[Features],
        keys: Sequence[int],
        options: GenerateOptions,
        constraints: tuple[Constraint, ...],
        least: int = 1,
    ) -> _Batch:
        batch = pad_prompts(prompts, self.fields, self.batch_size, least)
        limits = np.zeros(len(batch["token_ids"]), np.int32)
        longest = options.max_length or PROMPTS[-1]
        for row, item in enumerate(prompts):
            room = self.model.room(len(item["token_ids"]))
            limits[row] = max(0, min(longest, NO_LIMIT if room is None else room))
        slots = prompt_length(int(limits.max(initial=1)))
        program = self._program(options, constraints, slots)
        seeds = np.zeros(len(limits), np.int32)
        seeds[: len(keys)] = [_seed(options.seed or 0, key) for key in keys]
        return _Batch(self, program, len(prompts), batch, limits, seeds, options)

    def _program(
        self, options: GenerateOptions, constraints: tuple[Constraint, ...], slots: int
    ) -> Program:
        num = options.num or 1
        fixed: dict[str, Any] = {
            "width": num if options.samples else options.beam or 1,
            "num": num,
            "slots": slots,
            "sampling": options.samples,
            "filter_k": options.top_k is not None,
            "filter_p": options.top_p is not None and options.top_p < 1.0,
            "repeats": (options.repetition_penalty or 1.0) != 1.0,
            "ngram": options.no_repeat_ngram or 0,
        }
        key = (*fixed.values(), *map(id, constraints))
        if key not in self._programs:
            speaker = self.model.speaker(fixed["width"], slots)
            decoder = Decoder(
                speaker,
                self.end_id,
                constraints=constraints,
                stops=self.stops,
                **fixed,
            )
            self._programs[key] = Program(decoder, self.model.stacks, self.compiled)
        return self._programs[key]


class _Batch:
    """One padded batch on its way through a program."""

    def __init__(
        self,
        owner: Decoding,
        program: Program,
        count: int,
        batch: Features,
        limits: np.ndarray,
        seeds: np.ndarray,
        options: GenerateOptions,
    ) -> None:
        self.owner = owner
        self.program = program
        self.count = count
        self.limits = limits
        self.options = options
        self.prompt = {name: tf.constant(value) for name, value in batch.items()}
        expected = options.expected_length or NO_LIMIT
        self.numbers = Numbers(
            limit=tf.constant(limits),
            keys=tf.constant(seeds),
            temperature=tf.constant(options.temperature or 1.0, tf.float32),
            top_k=tf.constant(options.top_k or 0, tf.int32),
            top_p=tf.constant(options.top_p or 1.0, tf.float32),
            repetition_penalty=tf.constant(
                options.repetition_penalty or 1.0, tf.float32
            ),
            length_penalty=tf.constant(options.length_penalty or 0.0, tf.float32),
            min_length=tf.constant(options.min_length or 0, tf.int32),
            expected_length=tf.constant(expected, tf.int32),
        )

    def begin(self) -> Search:
        return self._timed(lambda: self.program.begin(self.prompt, self.numbers))

    def advance(self, search: Search, until: int) -> Search:
        return self._timed(
            lambda: self.program.advance(search, self.prompt, self.numbers, until)
        )

    def read(self, search: Search) -> list[list[Hypothesis]]:
        """The answers of each prompt, best first."""
        values = {
            name: getattr(search, name).numpy()
            for name in Search._fields
            if name not in ("logits", "states", "memory")
        }
        step = int(values["step"])
        penalty = self.options.length_penalty or 0.0
        answers = []
        for row in range(self.count):
            found: list[tuple[float, Hypothesis]] = []
            if not self.options.samples:
                for index, rank in enumerate(values["ended_ranks"][row]):
                    if rank > -1e29:
                        found.append((float(rank), self._ended(values, row, index)))
            missing = (self.options.num or 1) - len(found)
            going = sorted(
                (
                    self._going(values, row, index, step, penalty)
                    for index in range(values["tokens"].shape[1])
                ),
                key=lambda item: -item[0],
            )
            found.sort(key=lambda item: -item[0])
            found += [item for item in going if item[0] > -1e29][:missing]
            answers.append([hypothesis for _, hypothesis in found])
        return answers

    def _ended(self, values: Any, row: int, index: int) -> Hypothesis:
        tokens = values["ended_tokens"][row, index]
        length = int(np.argmax(tokens == self.owner.end_id))
        return Hypothesis(
            tokens[:length].copy(),
            float(values["ended_logps"][row, index]),
            "end",
            bool(values["ended_satisfied"][row, index]),
        )

    def _going(
        self, values: Any, row: int, index: int, step: int, penalty: float
    ) -> tuple[float, Hypothesis]:
        """A hypothesis of the loop: still open, or a sample that may have ended."""
        length = min(step, int(self.limits[row]))
        tokens = values["tokens"][row, index, :length]
        ends = np.flatnonzero(np.isin(tokens, [self.owner.end_id, *self.owner.stops]))
        ended = bool(len(ends)) and self.options.samples
        kept = tokens[: ends[0]] if ended else tokens
        fine = bool(values["satisfied"][row, index])
        score = float(values["scores"][row, index])
        rank = score / max(len(kept) + ended, 1) ** penalty
        rank = rank if score > -1e29 else -1e30  # nothing came of it
        reason = "end" if ended else "length"
        logp = float(values["logps"][row, index])
        hypothesis = Hypothesis(kept.copy(), logp, reason, fine)
        return rank - (0.0 if fine else 1e4), hypothesis

    def _timed(self, run: Any) -> Search:
        """Run, and say whether the time went into compiling or decoding."""
        before, started = self.program.traces(), time.perf_counter()
        rows, length = self.prompt["token_ids"].shape
        with explain_memory(
            f"generation, {rows} rows of {length} tokens", "--batch-size or --beam"
        ):
            search: Search = run()
            search.step.numpy()
        seconds = time.perf_counter() - started
        if self.program.traces() > before:
            self.owner.compile_seconds += seconds
            seal_programs()
        else:
            self.owner.decode_seconds += seconds
        return search


def _seed(seed: int, key: int) -> int:
    """One int32 from both."""
    return int(np.random.SeedSequence([seed, key]).generate_state(1)[0] >> 1)
