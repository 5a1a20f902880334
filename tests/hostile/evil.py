"""A process of its own, which may be killed: patterns in, what each takes out.

Each line of stdin is ``[pattern, flags, anchored, strings]``. Every string is made long
in stages; only those that took longest go on to the next one. A line of stdout is
``[seconds, megabytes, string]``: the longest time, the most memory, and the string that
took the time.
"""

from __future__ import annotations

import json
import re
import sys
import time
import tracemalloc

STAGES = ((200, 40), (3000, 10), (24_000, 4))  # characters, strings that go on
LONG = 300_000  # characters by which the memory is measured


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
        for _ in pattern.finditer(text):
            pass
    return time.process_time() - start


def megabytes(pattern: re.Pattern[str], anchored: bool, parts: list[str]) -> float:
    """The most memory that the pattern takes for a long text."""
    tracemalloc.start()
    seconds(pattern, anchored, parts, LONG)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 2**20


for line in sys.stdin:
    source, flags, anchored, strings = json.loads(line)
    compiled = re.compile(source, flags)
    longest = 0.0
    for length, kept in STAGES:
        ranked = sorted((seconds(compiled, anchored, s, length), s) for s in strings)
        longest, strings = ranked[-1][0], [s for _, s in ranked[-kept:]]
    memory = max(megabytes(compiled, anchored, parts) for parts in strings)
    print(json.dumps([longest, memory, strings[-1]]), flush=True)
