"""Attention without a softmax: sums over the past in place of scores of pairs."""

from __future__ import annotations

from typing import Any

from keras import ops

from nlpcli.layers.attention import SelfAttention
from nlpcli.layers.look import Cache, Look

LEAST = 1e-30  # of a divisor: a row of padding may look at nothing


class LinearAttention(SelfAttention):
    """phi(q) (sum phi(k) v) / phi(q) (sum phi(k)), where phi is elu + 1.

    (Katharopoulos et al. 2020, arXiv 2006.16236.) What came before is one matrix a
    head, however long it was. A cache is the running sums of phi(k) v, (batch, heads,
    width, key size, head size), and of phi(k), (batch, heads, width, key size), each
    for a hypothesis of its own. Where all look at all, sums are made once; under a mask
    by the query the pairs are multiplied out, as softmax does: the same number.
    Turned positions act on what is summed and not on what it is divided by (Su et al.
    2021, arXiv 2104.09864, section 3.3). All sums are float32; no scale, no dropout.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = None

    def walk(
        self, hidden_states: Any, look: Look, training: bool = False
    ) -> tuple[Any, Cache | None]:
        """What the queries gather, as rows of the last product, (rows, hidden); and
        the sums where asked for."""
        rows = self.qkv.multiply(hidden_states)
        query, key, value = self.parts(rows, hidden_states)
        groups = self.num_heads // self.num_key_heads
        if groups > 1:
            key, value = (ops.repeat(x, groups, axis=1) for x in (key, value))
        query, key, value = _phi(query), _phi(key), ops.cast(value, "float32")
        turned = [self.positions.turn(x, look.places) for x in (query, key)]
        if look.cache is not None:
            sums, totals = look.cache
            sums = sums + turned[1][..., None] * value[..., None, :]
            totals = totals + key
            gathered = ops.einsum("bhwd,bhwde->bhwe", turned[0], sums)
            divisor = ops.sum(query * totals, axis=-1, keepdims=True)
            return self._shared(gathered, divisor), (sums, totals)
        kept = None
        everyone = look.mask is None or look.mask.shape[-2] == 1
        if everyone or look.keep:
            kept = _sums(turned[1], key, value, look.mask)
        if everyone:
            gathered = ops.matmul(turned[0], kept[0])  # type: ignore[index]
            divisor = ops.matmul(query, kept[1][..., None])  # type: ignore[index]
        else:
            seen = ops.cast(look.mask, "float32")
            gathered = ops.matmul(_pairs(*turned) * seen, value)
            divisor = ops.sum(_pairs(query, key) * seen, axis=-1, keepdims=True)
        return self._shared(gathered, divisor), kept if look.keep else None

    def _shared(self, gathered: Any, divisor: Any) -> Any:
        context = gathered / ops.maximum(divisor, LEAST)
        return self._merge(ops.cast(context, self.compute_dtype))


def _phi(x: Any) -> Any:
    """elu + 1, in a form that small values survive: float32."""
    x = ops.cast(x, "float32")
    return ops.where(x > 0, x + 1.0, ops.exp(ops.minimum(x, 0.0)))


def _pairs(query: Any, key: Any) -> Any:
    return ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))


def _sums(turned: Any, key: Any, value: Any, mask: Any) -> Cache:
    """Of phi(k) v and of phi(k) over the places that anyone may look at."""
    if mask is not None:
        real = ops.cast(ops.any(mask, axis=-2), "float32")[..., None]
        turned, key = turned * real, key * real
    return ops.matmul(ops.transpose(turned, (0, 1, 3, 2)), value), ops.sum(key, axis=2)
