"""Tag schemes: one tag a token on one side, labelled spans on the other.

========  =====================================  =================================
scheme    an entity of three tokens              an entity of one token
========  =====================================  =================================
BIO       B-X I-X I-X                            B-X
IOB1      I-X I-X I-X (B-X after an X entity)    I-X
BMES      B-X M-X E-X                            S-X
BIOES     B-X I-X E-X                            S-X
BILOU     B-X I-X L-X                            U-X
========  =====================================  =================================

BIO is also known as IOB2, BMES as BMESO, BIOES as IOBES. Spans are half open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

Scheme = Literal["BIO", "IOB1", "BMES", "BIOES", "BILOU"]
Span = tuple[int, int, str]  # start, end (exclusive), label
Problem = tuple[int, str]  # token, what is wrong with its tag

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

# (first, middle, last, single) of an entity
_PREFIXES: dict[Scheme, tuple[str, str, str, str]] = {
    "BIO": ("B", "I", "I", "B"),
    "IOB1": ("I", "I", "I", "I"),
    "BMES": ("B", "M", "E", "S"),
    "BIOES": ("B", "I", "E", "S"),
    "BILOU": ("B", "I", "L", "U"),
}
_ALPHABETS: dict[Scheme, frozenset[str]] = {
    scheme: frozenset("BI" if scheme == "IOB1" else prefixes)
    for scheme, prefixes in _PREFIXES.items()
}


def tags_from_spans(length: int, spans: Iterable[Span], scheme: Scheme) -> list[str]:
    """Write spans that do not overlap as ``length`` tags."""
    first, middle, last, single = _PREFIXES[scheme]
    tags = ["O"] * length
    for start, end, label in sorted(spans):
        tags[start:end] = [f"{middle}-{label}"] * (end - start)
        touches = start > 0 and split_tag(tags[start - 1])[1] == label
        opening = "B" if scheme == "IOB1" and touches else None
        if end - start == 1:
            tags[start] = f"{opening or single}-{label}"
        else:
            tags[start] = f"{opening or first}-{label}"
            tags[end - 1] = f"{last}-{label}"
    return tags


def spans_from_tags(
    tags: Sequence[str], scheme: Scheme
) -> tuple[list[Span], list[Problem]]:
    """Read tags as spans, and list every tag that its scheme forbids there.

    With problems the spans are the repaired reading: a part without its beginning
    begins an entity, an entity without its end ends where the next tag starts.
    """
    closes = scheme in ("BMES", "BIOES", "BILOU")
    spans: list[Span] = []
    problems: dict[int, str] = {}  # the first of each token
    start, label = 0, ""  # the open entity; no label, none open
    for place, tag in enumerate(tags):
        prefix, tag_label = split_tag(tag)
        part = _PARTS.get(prefix, "outside")
        if prefix != "O" and prefix not in _ALPHABETS[scheme]:
            problems.setdefault(place, f"{tag} is no tag of {scheme}")
        goes_on = part in ("inside", "end") and tag_label == label
        if label and not goes_on:
            if closes:
                problems.setdefault(place, f"{tag} inside an open {label} entity")
            spans.append((start, place, label))
            label = ""
        if part == "outside":
            continue
        if not goes_on:
            if part in ("inside", "end") and scheme != "IOB1":
                problems.setdefault(place, f"{tag} without the B-{tag_label} before it")
            start, label = place, tag_label
        if part in ("end", "single"):
            spans.append((start, place + 1, label))
            label = ""
    if label:
        if closes:
            problems.setdefault(len(tags) - 1, f"{label} entity without its end")
        spans.append((start, len(tags), label))
    return spans, sorted(problems.items())


_PARTS = {
    "B": "begin",
    "I": "inside",
    "M": "inside",
    "E": "end",
    "L": "end",
    "S": "single",
    "U": "single",
}


def split_tag(tag: str) -> tuple[str, str]:
    """``B-PER.NAM`` as ``("B", "PER.NAM")``; ``O`` as ``("O", "")``."""
    prefix, _, label = tag.partition("-")
    return prefix, label


def is_tag(tag: str) -> bool:
    """Whether a string is a tag of any scheme."""
    prefix, label = split_tag(tag)
    return tag == "O" or (prefix in _PARTS and bool(label))


class SchemeDetector:
    """Tells the scheme of a file from all its tags, fed sentence by sentence.

    B and I alone say BIO, unless no B ever opens an entity on its own (after O, the
    start or another label) while an I does: that is IOB1.
    """

    def __init__(self) -> None:
        self.prefixes: set[str] = set()
        self._free_b = False
        self._free_i = False

    def feed(self, tags: Iterable[str]) -> None:
        """Take in the tags of one sentence."""
        before = ""
        for tag in tags:
            prefix, label = split_tag(tag)
            self.prefixes.add(prefix)
            if label != before:
                self._free_b |= prefix == "B"
                self._free_i |= prefix == "I"
            before = label

    def scheme(self) -> Scheme | None:
        """The one scheme that fits, or None when the prefixes seen belong to none."""
        seen = self.prefixes - {"O"}
        if seen <= _ALPHABETS["BIO"]:
            return "IOB1" if self._free_i and not self._free_b else "BIO"
        # B, E and S alone mean the same in BMES and in BIOES
        for scheme in ("BMES", "BIOES", "BILOU"):
            if seen <= _ALPHABETS[scheme]:
                return scheme
        return None
