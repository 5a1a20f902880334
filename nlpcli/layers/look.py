"""Where the queries of a block look."""

from __future__ import annotations

from typing import Any, NamedTuple

# keys, values: (batch x key heads, places, head size); sums of linear attention
Cache = tuple[Any, Any]


class Crossed(NamedTuple):
    """What a block looks at in another stack.

    keys, values: its own for the places there, as in a cache. mask: bool, (batch, 1, 1,
    places). places: what the scheme of positions prepared for them.
    """

    keys: Any
    values: Any
    mask: Any
    places: Any = ()


class Look(NamedTuple):
    """What a walk through the blocks knows beside the hidden states.

    mask: bool, True = may look; broadcasts to (batch, heads, queries, keys), or over a
    cache to (batch, 1, places, queries). places: what the scheme of positions prepared
    for all blocks. cache: keys and values of one block that came before, into which
    those of the queries are written from ``slot`` on. keep: whether a block gives back
    its keys and values. crossed: what is written about, where a block looks there too.
    """

    mask: Any = None
    places: Any = ()
    cache: Cache | None = None
    slot: Any = None
    keep: bool = False
    crossed: Crossed | None = None
