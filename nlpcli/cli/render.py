"""Answers as a person reads them, for ``--format text``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nlpcli.files.json_text import dumps, in_one_line
from nlpcli.records.marks import names_of


def render(text: str, answer: Mapping[str, Any]) -> str:
    """One line: the text with its entities in brackets, or what else was answered."""
    if "outputs" in answer:
        return "\t".join(output_lines(answer))
    if "entities" in answer:
        return in_one_line(bracketed(text, answer["entities"]))
    if "spo_list" in answer:
        return in_one_line("; ".join(map(_triple, answer["spo_list"])))
    if "label" in answer or "labels" in answer:
        return in_one_line(", ".join(names_of(answer)))
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


def output_lines(answer: Mapping[str, Any]) -> list[str]:
    """A line for each generated output: its text, and in brackets what the recipe adds.

    ``3+3*2 (value: 9)``; an answer without outputs is one empty line.
    """
    return [_output_line(output) for output in answer["outputs"]] or [""]


def _triple(triple: Mapping[str, Any]) -> str:
    """``(三体, 作者, 刘慈欣)``"""
    return f"({triple['subject']}, {triple['predicate']}, {triple['object']})"


# keys of every output; what is left is the recipe's own
_COMMON = frozenset(("text", "score", "finish_reason", "tokens"))


def _output_line(output: Mapping[str, Any]) -> str:
    told = [
        f"{key.replace('_', ' ')}: {f'{value:.4g}' if type(value) is float else value}"
        for key, value in output.items()
        if key not in _COMMON
        and isinstance(value, (str, int, float))
        and not isinstance(value, bool)
    ]
    tail = f" ({', '.join(told)})" if told else ""
    return in_one_line(f"{output['text']}{tail}")
