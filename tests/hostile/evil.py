"""A process of its own, which may be killed: patterns in, the seconds of each out.

Each line of stdin is ``[pattern, flags, anchored, strings]``. Every string is made long
in stages; only those that took longest go on to the next one.
"""

from __future__ import annotations

import json
import re
import sys
import time

STAGES = ((300, 40), (3000, 10), (24_000, 10))  # characters, strings that go on


def seconds(
    pattern: re.Pattern[str], anchored: bool, parts: list[str], length: int
) -> float:
    """How long the pattern takes for ``before + again and again + after``."""
    before, again, after = parts
    text = before + again * (length // len(again)) + after
    start = time.process_time()
    if anchored:
        pattern.match(text)
        pattern.fullmatch(text)
    else:
        pattern.sub("", text)
    return time.process_time() - start


for line in sys.stdin:
    source, flags, anchored, strings = json.loads(line)
    compiled = re.compile(source, flags)
    longest = 0.0
    for length, kept in STAGES:
        ranked = sorted((seconds(compiled, anchored, s, length), s) for s in strings)
        longest, strings = ranked[-1][0], [s for _, s in ranked[-kept:]]
    print(json.dumps([longest, strings[-1]]), flush=True)
