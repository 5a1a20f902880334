"""What ends an answer beside the model's own end: a text, one token or several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.errors import ConfigError
from nlpcli.tasks.protocol import Decode
from nlpcli.text.batching import Features
from nlpcli.text.sequences import training_features
from nlpcli.text.tokenizers.encoding import Tokenizer

from .likelihood import total_of


class Ending:
    """Answers are written until ``until``; None or "" for the model's own end alone.

    ``stops``: the tokens that begin with it, if it is a token: the loop ends there
    ("\\n\\n" is one where bytes were joined to pieces, and ends an answer as "\\n"
    does). Otherwise the answer is cut when it is there.
    """

    def __init__(self, tokenizer: Tokenizer, until: str | None) -> None:
        self.tokenizer = tokenizer
        self.until = until or ""
        self.stops = self._stops()

    def cut(self, text: str) -> str:
        """A text up to its end."""
        return text.split(self.until)[0] if self.until else text

    def shown(self, text: str) -> str:
        """Without what may become the end of the answer."""
        cut = self.cut(text)
        most = range(min(len(self.until) - 1, len(text)), 0, -1) if cut == text else ()
        held = next((n for n in most if text.endswith(self.until[:n])), 0)
        return cut[:-held] if held else cut

    def weighed(
        self,
        decode: Decode,
        prompts: Sequence[np.ndarray],
        found: Sequence[Sequence[Hypothesis]],
    ) -> list[list[Hypothesis]]:
        """The same answers, likeliest first, those that went on past their end with
        the tokens before it and the likelihood of those and it."""
        answers = [list(own) for own in found]
        cuts: list[tuple[int, int, int]] = []
        features: list[Features] = []
        for row, (prompt, own) in enumerate(zip(prompts, answers, strict=True)):
            for rank, hypothesis in enumerate(own):
                if (places := self._places(hypothesis.token_ids)) is not None:
                    cuts.append((row, rank, places[0]))
                    ids = np.concatenate([prompt, hypothesis.token_ids[: places[1]]])
                    learn = np.arange(len(ids)) >= len(prompt)
                    features.append(training_features(ids, np.zeros(len(ids)), learn))
        losses = decode.token_losses(features) if features else []
        for (row, rank, shown), loss in zip(cuts, losses, strict=True):
            whole = answers[row][rank]
            answers[row][rank] = Hypothesis(
                whole.token_ids[:shown], -total_of(loss), "end", whole.satisfied
            )
        for row in {row for row, _, _ in cuts}:
            answers[row].sort(key=lambda hypothesis: -hypothesis.score)
        return answers

    def _places(self, ids: np.ndarray) -> tuple[int, int] | None:
        """How many tokens are shown, and how many with the end; None without one."""
        if self.cut(whole := self._text(ids)) == whole:
            return None
        told = [self._text(ids[:count]) for count in range(len(ids) + 1)]
        shown = next(n for n, x in enumerate(told) if x.startswith(self.cut(whole)))
        return shown, next(n for n, x in enumerate(told) if self.until in x)

    def _text(self, ids: Sequence[int] | np.ndarray) -> str:
        return self.tokenizer.text(ids, begins=False)

    def _stops(self) -> tuple[int, ...]:
        ids = self.tokenizer.encode(self.until).token_ids.tolist()
        if len(ids) != 1 or self._text(ids) != self.until:
            return ()
        vocab = self.tokenizer.vocab
        name, special = vocab.tokens[ids[0]], {*vocab.special_ids}
        found = (i for i, token in enumerate(vocab.tokens) if token.startswith(name))
        return tuple(i for i in found if i not in special)


def told_until(tokenizer: Tokenizer, until: str) -> str:
    """What somebody says that an answer ends with; ConfigError where none can."""
    ids = tokenizer.encode(until).token_ids
    if until and (not len(ids) or tokenizer.vocab.unk_id in ids):
        raise ConfigError(
            [
                f"task.until: expected text that the model has tokens for, got "
                f"{until!r}, which no answer can end with"
            ]
        )
    return until
