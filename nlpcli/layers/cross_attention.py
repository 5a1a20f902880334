"""Attention of one stack to what another made."""

from __future__ import annotations

from typing import Any

from keras import ops

from nlpcli.layers.attention import SelfAttention
from nlpcli.layers.dense import Dense
from nlpcli.layers.look import Cache, Crossed, Look


class CrossAttention(SelfAttention):
    """Queries of one stack, keys and values from the states of another.

    (Vaswani et al. 2017, arXiv 1706.03762.) ``read`` makes keys and values, once
    whatever is written about them; ``walk`` looks at them. Its options are
    SelfAttention's; positions only score.
    """

    def make_inputs(self, hidden_size: int, spread: float, bias: bool) -> None:
        policy = self.dtype_policy
        first, *others = self.shares
        self.query = Dense(
            hidden_size, first, spread, bias=bias, name="query", dtype=policy
        )
        self.key_value = Dense(
            hidden_size, sum(others), spread, bias=bias, name="key_value", dtype=policy
        )

    def build(self, input_shape: Any = None) -> None:
        for part in (self.query, self.key_value, self.projection):
            part.build()

    def read(self, states: Any) -> Cache:
        """Keys and values of states, (batch, places, hidden), as a cache has them."""
        key, value = ops.split(self.key_value(states), [self.shares[1]], axis=-1)
        return self._cached(key, self.key_size), self._cached(value, self.head_size)

    def walk(
        self, hidden_states: Any, look: Look, training: bool = False
    ) -> tuple[Any, None]:
        """What the queries gather from ``look.crossed``, as rows of the last product,
        (rows, hidden)."""
        crossed: Crossed = look.crossed  # type: ignore[assignment]
        batch, length = ops.shape(hidden_states)[:2]
        query = ops.reshape(
            self.query(hidden_states), (batch, length, self.num_heads, self.key_size)
        )
        query = ops.transpose(query, (0, 2, 1, 3))
        if self.scale is not None:
            query = query * ops.cast(self.scale, query.dtype)
        if look.cache is not None:
            here = Look(
                ops.transpose(crossed.mask, (0, 1, 3, 2)),
                crossed.places,
                (crossed.keys, crossed.values),
            )
            return self.attend_cached(query, here), None
        key, value = (
            ops.reshape(x, (batch, self.num_key_heads, -1, x.shape[-1]))
            for x in (crossed.keys, crossed.values)
        )
        here = Look(crossed.mask, crossed.places)
        return self.attend(query, key, value, here, training), None

    def _cached(self, x: Any, size: int) -> Any:
        batch, places = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, places, self.num_key_heads, size))
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, places, size))
