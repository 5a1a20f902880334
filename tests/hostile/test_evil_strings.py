"""No regular expression of the tree takes more than its share for any text."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

from tests.hostile.regexes import Pattern, called, patterns

MOST = (
    0.5  # seconds for 24,000 characters: a linear pattern takes 3 ms, a square one 2 s
)
MEMORY = (
    20.0  # megabytes for 300,000: what keeps places to go back to takes 35 and more
)
PATIENCE = 30.0  # seconds for all strings of a pattern, then the process is killed
UNITS = ["a", "A", "1", "1.", " ", "\t", "(", "((", "1(", ")", "[", '"', "\\", "\n"]
UNITS += [
    "/",
    "^",
    "a1",
    "1a",
    "a ",
    " \t",
    "天",
    "天 ",
    "一",
    "。",
    "％",
    "#",
    ":",
    "\0",
]
ENDS = ["", "!", " ", "\0", "\n"]


@pytest.mark.slow
def test_every_pattern_of_the_tree() -> None:
    found = patterns()
    assert len(found) > 50
    slow = []
    child = start()
    for pattern, module in found.items():
        longest, memory, parts = ask(child, pattern)
        if longest > MOST or memory > MEMORY:
            told = f"{longest:.1f} s, {memory:.0f} MB for {parts}"
            slow.append(f"{module}: {pattern.text!r}: {told}")
            child.kill()
            child = start()
    child.kill()
    assert not slow, "\n".join(slow)


@pytest.mark.parametrize(
    ("text", "anchored"),
    [
        (r"(?:[A-Za-z]+[23]?)+[)）]", False),  # exponential: units of an answer
        (r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", True),  # square: 111...x as a number
        (r"(?P<token> |[^ ]+) +(?:.* +)?(?P<tag>[^ ]+)", True),  # cubic: a column line
        (r"\s+$", False),
        (r'"(?:[^"\\]|\\.?)*(?:"|\Z)', False),  # 2 GB for a string of 16 MB
    ],
)
def test_what_is_caught(text: str, anchored: bool) -> None:
    with start() as child:
        longest, memory, _ = ask(child, Pattern(text, 0, anchored), patience=3.0)
        child.kill()
    assert longest > MOST or memory > MEMORY


def test_a_pattern_made_in_a_function_is_asked_about() -> None:
    source = "import re\ndef f(x):\n    return re.search(x + '+', 'aaa')"
    with pytest.raises(KeyError, match=r"a\.b:3: what patterns"):
        list(called("a.b", ast.parse(source)))


def start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("evil.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(
    child: subprocess.Popen[str], pattern: Pattern, patience: float = PATIENCE
) -> tuple[float, float, list[str]]:
    """The longest time of one string, the memory, and the string's parts; infinity
    where it never ends."""
    assert child.stdin is not None and child.stdout is not None
    timer = Timer(patience, child.kill)
    timer.start()
    try:
        child.stdin.write(json.dumps([*pattern, attacks(pattern)]) + "\n")
        child.stdin.flush()
        line = child.stdout.readline()
    finally:
        timer.cancel()
    longest, memory, parts = json.loads(line) if line else (float("inf"), 0.0, [])
    return longest, memory, parts


def attacks(pattern: Pattern) -> list[list[str]]:
    """What stands before, what is repeated, what stands behind.

    Parts of strings that match, each repeated where it stands, and a general list.
    """
    found = [
        [before, unit, end] for before in ("", "1(") for unit in UNITS for end in ENDS
    ]
    for text in matching(pattern):
        for start in range(len(text)):
            for end in range(start + 1, min(start + 3, len(text)) + 1):
                found += [[text[:start], text[start:end], x] for x in ("", "!", "\0\n")]
    return found


def matching(pattern: Pattern) -> list[str]:
    """A few short strings that the pattern finds something in."""
    found: list[str] = []

    @settings(
        max_examples=8,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.from_regex(re.compile(pattern.text, pattern.flags)))
    def gather(text: str) -> None:
        found.append(text[:16])

    try:
        gather()
    except (HypothesisException, UnicodeError):
        return []  # such as surrogates alone, which it never makes
    return list(dict.fromkeys(found))
