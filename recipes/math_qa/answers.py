"""From the beams of a question to its answers: values, their order, how sure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from nlpcli.decoders.hypothesis import Hypothesis
from nlpcli.text.expression import ExpressionError
from nlpcli.text.rational import evaluate, value_text
from nlpcli.text.tokenizers.vocab import Vocab, text_of


def outputs(
    vocab: Vocab, hypotheses: Sequence[Hypothesis], sampled: bool = False
) -> list[dict[str, Any]]:
    """An output for each hypothesis; those with a value first, else in their order.

    ``value`` is None for what is no expression or has no value. ``probability`` says
    how sure the value is: the share of all hypotheses, by their probability (samples
    by their number), that have it. One hypothesis alone says nothing of that: None.
    """
    texts = ["".join(text_of(vocab, h.token_ids).split()) for h in hypotheses]
    values = [_value(text) for text in texts]
    weights = _weights(hypotheses, sampled)
    shares: defaultdict[Fraction | None, float] = defaultdict(float)
    for value, weight in zip(values, weights, strict=True):
        shares[value] += weight
    total = math.fsum(weights)
    order = sorted(range(len(values)), key=lambda place: values[place] is None)
    return [
        {
            "text": texts[i],
            "value": None if (value := values[i]) is None else value_text(value),
            "score": round(hypotheses[i].score, 4),
            "probability": (
                round(shares[value] / total, 4)
                if value is not None and len(values) > 1
                else None
            ),
            "finish_reason": hypotheses[i].finish_reason,
            "tokens": [vocab.tokens[token] for token in hypotheses[i].token_ids],
            "satisfied": hypotheses[i].satisfied,
        }
        for i in order
    ]


def _value(text: str) -> Fraction | None:
    try:
        return evaluate(text)
    except ExpressionError:
        return None


def _weights(hypotheses: Sequence[Hypothesis], sampled: bool) -> list[float]:
    if sampled:
        return [1.0] * len(hypotheses)
    best = max((hypothesis.score for hypothesis in hypotheses), default=0.0)
    return [math.exp(hypothesis.score - best) for hypothesis in hypotheses]
