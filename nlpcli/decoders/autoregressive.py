"""Greedy, beam and sampling in one loop, over whatever speaks.

Everything has a static shape, so that the loop is one compiled program. The prompt is
read once and shared by all hypotheses of its row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from keras import ops, tree

from nlpcli.decoders import scores as score
from nlpcli.decoders.constraints import Constraint, Context
from nlpcli.decoders.noise import gumbel
from nlpcli.decoders.speaker import Speaker

UNSATISFIED = 1e4  # what a broken constraint costs in the ranking
MOST_ENDS = 3  # ends of a hypothesis that are looked at in one step


class Numbers(NamedTuple):
    """What may change without compiling again.

    Scalars, but for limit: (batch,) int32, most tokens of each row's answer, and
    keys: (batch,) int32 of the noise.
    """

    limit: Any
    keys: Any
    temperature: Any
    top_k: Any
    top_p: Any
    repetition_penalty: Any
    length_penalty: Any
    min_length: Any
    expected_length: Any


class Search(NamedTuple):
    """The loop's state. (batch, width, ...) for what grows, (batch, num, ...) for
    what has ended; logits of the token to come; memory as the speaker has it.
    ``scores`` and ``ended_ranks`` choose, with the repetition penalty and the
    pressure to end in them; ``logps`` and ``ended_logps`` are the model's own."""

    step: Any
    logits: Any
    tokens: Any
    scores: Any
    logps: Any
    satisfied: Any
    done: Any
    ended_tokens: Any
    ended_logps: Any
    ended_ranks: Any
    ended_satisfied: Any
    states: Any
    memory: Any


@dataclass(frozen=True)
class Decoder:
    """What is fixed in a program: sizes, filters, constraints.

    ``slots`` is the longest answer; ``stops`` end one as ``end_id`` does.
    """

    speaker: Speaker
    end_id: int
    width: int
    num: int
    slots: int
    sampling: bool = False
    filter_k: bool = False
    filter_p: bool = False
    repeats: bool = False
    ngram: int = 0
    constraints: tuple[Constraint, ...] = ()
    stops: tuple[int, ...] = ()

    def begin(self, prompt: Mapping[str, Any], numbers: Numbers) -> Search:
        """Read the prompts: all that comes before the first token.

        Shapes may be dynamic here.
        """
        logits, memory = self.speaker.begin(prompt)
        batch = ops.shape(logits)[0]
        logits = logits[:, None]
        shape, kept = (batch, self.width), (batch, self.num)
        first = ops.arange(self.width) == 0
        alone = (
            ops.zeros(shape) if self.sampling else ops.where(first, 0.0, score.NEVER)
        )
        return Search(
            step=ops.zeros((), "int32"),
            logits=ops.broadcast_to(logits, (*shape, logits.shape[-1])),
            tokens=ops.zeros((*shape, self.slots), "int32"),
            scores=ops.zeros(shape) + alone,
            logps=ops.zeros(shape),
            satisfied=ops.ones(shape, "bool"),
            done=ops.broadcast_to(numbers.limit[:, None] <= 0, shape),
            ended_tokens=ops.zeros((*kept, self.slots), "int32"),
            ended_logps=ops.zeros(kept),
            ended_ranks=ops.full(kept, score.NEVER),
            ended_satisfied=ops.ones(kept, "bool"),
            states=tuple(c.start(prompt, self.width) for c in self.constraints),
            memory=memory,
        )

    def advance(
        self, search: Search, prompt: Mapping[str, Any], numbers: Numbers, until: Any
    ) -> Search:
        """Go on until ``until`` tokens, or until every row is done; static shapes."""
        extend = self.speaker.over(prompt)

        def go_on(search: Search) -> Any:
            open_ = ops.logical_not(ops.all(search.done))
            return ops.logical_and(open_, search.step < until)

        def body(search: Search) -> Search:
            search = self._choose(search, prompt, numbers)
            last = search.step - 1
            logits, memory = extend(
                search.memory,
                ops.take(search.tokens, last, axis=2),
                last,
                # Rows that are done may wait at the edge of the positions.
                ops.minimum(last, numbers.limit - 1),
            )
            return search._replace(logits=logits, memory=memory)

        def pack(values: Sequence[Any]) -> Search:
            packed: Search = tree.pack_sequence_as(search, list(values))
            return packed

        ended = ops.while_loop(
            lambda *values: go_on(pack(values)),
            lambda *values: tuple(tree.flatten(body(pack(values)))),
            tuple(tree.flatten(search)),
        )
        return pack(ended)

    def _choose(
        self, search: Search, prompt: Mapping[str, Any], numbers: Numbers
    ) -> Search:
        """The next token of every hypothesis, and what ends with it."""
        context = Context(prompt, search.step, numbers.limit)
        logits = search.logits
        vocab_size = logits.shape[-1]
        if self.repeats:
            logits = score.penalise_repeats(
                logits, search.tokens, search.step, numbers.repetition_penalty
            )
        logp = score.log_softmax(logits)
        over = search.step + 1 - numbers.expected_length
        logp = score.press_to_end(logp, self.end_id, over)
        is_end = self._ends(ops.arange(vocab_size))
        allowed = ops.logical_not(
            ops.logical_and(is_end, search.step + 1 < numbers.min_length)
        )[None, None]
        if self.ngram:
            again = score.repeats_ngram(
                search.tokens, search.step, self.ngram, vocab_size
            )
            allowed = ops.logical_and(allowed, ops.logical_not(again))
        for constraint, state in zip(self.constraints, search.states, strict=True):
            allowed = ops.logical_and(allowed, constraint.allowed(state, context))
        possible = ops.any(allowed, axis=-1)
        masked = ops.where(
            ops.logical_or(allowed, ops.logical_not(possible)[..., None]),
            logp,
            score.NEVER,
        )
        fine = ops.logical_or(possible, search.done)
        search = search._replace(satisfied=ops.logical_and(search.satisfied, fine))
        if self.sampling:
            return self._draw(search, masked, context, numbers)
        return self._expand(search, masked, context, numbers)

    def _draw(
        self, search: Search, logp: Any, context: Context, numbers: Numbers
    ) -> Search:
        """One sampled token for each hypothesis; those that ended stay as they are."""
        heated = ops.where(
            logp > score.NEVER / 2, logp / numbers.temperature, score.NEVER
        )
        if self.filter_k:
            heated = score.keep_top_k(heated, numbers.top_k)
        if self.filter_p:
            heated = score.keep_top_p(heated, numbers.top_p)
        noise = gumbel(numbers.keys, search.step, self.width, logp.shape[-1])
        tokens = ops.cast(ops.argmax(heated + noise, axis=-1), "int32")
        tokens = ops.where(search.done, self.end_id, tokens)
        gained = score.chosen_logp(search.logits, self._self(tokens), tokens)
        logps = search.logps + ops.where(search.done, 0.0, gained)
        step = search.step + 1
        search = search._replace(
            step=step,
            tokens=_write(search.tokens, tokens, search.step),
            scores=logps,
            logps=logps,
            states=self._moved(search, context, tokens),
        )
        finished = ops.logical_and(ops.logical_not(search.done), self._ends(tokens))
        full = (step >= numbers.limit)[:, None]
        return search._replace(
            done=ops.logical_or(search.done, ops.logical_or(finished, full))
        )

    def _expand(
        self, search: Search, logp: Any, context: Context, numbers: Numbers
    ) -> Search:
        """Keep the ``width`` best that go on and the ``num`` best that ended."""
        batch, width, vocab_size = logp.shape
        cost = ops.where(search.satisfied, 0.0, UNSATISFIED)
        total = ops.maximum((search.scores - cost)[..., None] + logp, score.NEVER)
        flat = ops.reshape(total, (batch, width * vocab_size))
        # so many that what goes on fills the width, whatever ends
        count = (1 + min(1 + len(self.stops), MOST_ENDS)) * width
        ranks, cells = score.top_candidates(flat, min(count, width * vocab_size))
        parents, tokens = cells // vocab_size, cells % vocab_size
        own_cost = ops.take_along_axis(cost, parents, axis=1)
        values = ops.where(ranks > score.NEVER / 2, ranks + own_cost, score.NEVER)
        logps = ops.take_along_axis(search.logps, parents, axis=1)
        logps = logps + score.chosen_logp(search.logits, parents, tokens)
        ends = self._ends(tokens)
        if width == 1:
            # Greedy: the runner-up is looked at only where the best one is the end.
            ends = ops.logical_and(ends, ops.arange(ends.shape[1]) == 0)
        step = search.step + 1
        search = self._keep_ended(
            search, parents, values, logps, ends, step, numbers.length_penalty
        )
        live = ops.where(self._ends(tokens), score.NEVER, ranks)
        # the best ``width`` that go on, in their order
        live, chosen = ops.top_k(live, width)
        parents = ops.take_along_axis(parents, chosen, axis=1)
        tokens = ops.take_along_axis(tokens, chosen, axis=1)
        values = ops.take_along_axis(values, chosen, axis=1)
        logps = ops.take_along_axis(logps, chosen, axis=1)
        # A row that is done, here or for want of room, waits as it is.
        parents = ops.where(search.done, ops.arange(width), parents)
        if width > 1:
            search = self._reordered(search, parents)
        values = ops.where(live > score.NEVER / 2, values, score.NEVER)
        values = ops.where(search.done, search.scores, values)
        best = ops.max(values, axis=1)
        most = ops.cast(numbers.limit, "float32") ** numbers.length_penalty
        worst = ops.min(search.ended_ranks, axis=1)
        closed = ops.logical_or(best <= score.NEVER / 2, worst >= best / most)
        if width == 1:
            closed = ops.logical_or(closed, worst > score.NEVER / 2)
        closed = ops.logical_or(closed, step >= numbers.limit)
        return search._replace(
            step=step,
            tokens=_write(search.tokens, tokens, search.step),
            scores=values,
            logps=ops.where(search.done, search.logps, logps),
            done=ops.logical_or(search.done, closed[:, None]),
            states=self._moved(search, context, tokens),
        )

    def _keep_ended(
        self,
        search: Search,
        parents: Any,
        values: Any,
        logps: Any,
        ends: Any,
        step: Any,
        length_penalty: Any,
    ) -> Search:
        """Those that ended now against those that ended before; done rows stay."""
        fine = ops.take_along_axis(search.satisfied, parents, axis=1)
        ranks = values / ops.cast(step, "float32") ** length_penalty
        ranks = ranks - ops.where(fine, 0.0, UNSATISFIED)
        open_ = ops.logical_not(search.done[:, :1])
        counts = ops.logical_and(ends, ops.logical_and(open_, values > score.NEVER / 2))
        ranks = ops.where(counts, ranks, score.NEVER)
        tokens = ops.take_along_axis(search.tokens, parents[..., None], axis=1)
        tokens = _write(tokens, ops.zeros_like(parents) + self.end_id, step - 1)
        ranks, chosen = ops.top_k(
            ops.concatenate([search.ended_ranks, ranks], axis=1), self.num
        )

        def best(before: Any, now: Any) -> Any:
            both = ops.concatenate([before, now], axis=1)
            index = chosen if len(both.shape) == 2 else chosen[..., None]
            return ops.take_along_axis(both, index, axis=1)

        return search._replace(
            ended_ranks=ranks,
            ended_logps=best(search.ended_logps, logps),
            ended_tokens=best(search.ended_tokens, tokens),
            ended_satisfied=best(search.ended_satisfied, fine),
        )

    def _reordered(self, search: Search, parents: Any) -> Search:
        """Each hypothesis with the past of its parent."""

        def follow(x: Any) -> Any:
            index = ops.reshape(parents, (*parents.shape, *[1] * (len(x.shape) - 2)))
            return ops.take_along_axis(x, index, axis=1)

        return search._replace(
            tokens=follow(search.tokens),
            memory=self.speaker.follow(search.memory, parents),
            satisfied=follow(search.satisfied),
            states=tree.map_structure(follow, search.states),
        )

    def _ends(self, tokens: Any) -> Any:
        """Which token ids end an answer."""
        if not self.stops:
            return tokens == self.end_id
        table = np.zeros(1 + max(self.end_id, *self.stops), bool)
        table[[self.end_id, *self.stops]] = True
        inside = ops.minimum(tokens, len(table) - 1)
        known = ops.take(ops.convert_to_tensor(table), inside)
        return ops.logical_and(known, tokens < len(table))

    def _moved(self, search: Search, context: Context, tokens: Any) -> Any:
        return tuple(
            constraint.advance(state, context, tokens)
            for constraint, state in zip(self.constraints, search.states, strict=True)
        )

    def _self(self, tokens: Any) -> Any:
        return ops.broadcast_to(ops.arange(self.width), tokens.shape)


def _write(table: Any, values: Any, slot: Any) -> Any:
    """table: (batch, width, slots) with ``values``, (batch, width), at ``slot``."""
    here = ops.arange(table.shape[-1]) == slot
    return ops.where(here, values[..., None], table)
