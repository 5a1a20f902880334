"""Answers as a person reads them, for ``--format text``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nlpcli.text.json_text import dumps


def render(text: str, answer: Mapping[str, Any]) -> str:
    """One line: the text with its entities in brackets, or what else was answered."""
    if "entities" in answer:
        return _one_line(bracketed(text, answer["entities"]))
    if "label" in answer:
        return _one_line(str(answer["label"]))
    return dumps(dict(answer))


def bracketed(text: str, entities: Sequence[Mapping[str, Any]]) -> str:
    """Entities in place: ``[王小明/PER]在[北京大学/ORG]读书``, inner ones inside."""
    opening: dict[int, int] = {}
    closing: dict[int, list[Mapping[str, Any]]] = {}
    for entity in entities:
        opening[entity["start"]] = opening.get(entity["start"], 0) + 1
        closing.setdefault(entity["end"], []).append(entity)
    parts = []
    for place in range(len(text) + 1):
        # the entity that began last closes first
        for entity in sorted(closing.get(place, ()), key=lambda e: -e["start"]):
            parts.append(f"/{entity['label']}]")
        parts.append("[" * opening.get(place, 0))
        parts.append(text[place : place + 1])
    return "".join(parts)


def _one_line(text: str) -> str:
    """No line end inside, and lone surrogates as ``\\udXXX``."""
    line = text.replace("\r", "\\r").replace("\n", "\\n")
    return line.encode("utf-8", "backslashreplace").decode("utf-8")
