"""A small Form for tests: notes with tags, three formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_file import parse_json
from nlpcli.files.json_text import dumps
from nlpcli.records.form import Facts, Form, Mark, Reader, Size, Unfit
from nlpcli.records.lines import Lines
from nlpcli.records.row import Row


@dataclass(frozen=True)
class Note:
    text: str
    tags: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True)
class NoteForm(Form[Note]):
    """``{"text", "tags"?}``; lines of ``text #tag #tag``; a JSON list of objects.

    A line of "dull" cannot be learnt; a text of "?" asks for nothing.
    """

    shout: bool = False

    wanted = "notes"
    hint = " (see the notes)"
    label_name = "tag"
    then = "they stay whole"
    told = ("tags", "comments", "empty")
    flags = frozenset({"shout"})

    def with_flags(self, **given: Any) -> NoteForm:
        return replace(self, **given)

    def parse(self, row: Row) -> Note:
        text = row.string("text")
        if text == "dull":
            raise Unfit("too dull", f"{row.origin}: expected more than dull")
        tags = []
        for tag in row.items("tags") if "tags" in row else []:
            if isinstance(tag, str):
                tags.append(tag)
            else:
                row.problems.append(row.error(f"expected a tag, got {tag}"))
        return Note(text, tuple(tags), row.origin)

    def row(self, example: Note) -> dict[str, Any]:
        return {"text": example.text, "tags": list(example.tags)}

    def facts(self, example: Note) -> Facts:
        text, tags = example.text, example.tags
        values = {
            "count": 1,
            "texts": text,
            "mean": float(len(text)),
            "size": Size(len(text)),
        }
        return Facts(
            texts=[text],
            sequences=[[text, *tags]],
            key=text,
            answer=tags,
            labels=[(tag, values) for tag in tags],
            counts={"tags": len(tags), "empty": int(not text)},
            shares={"tagged": bool(tags)},
        )

    @property
    def published(self) -> Mapping[str, Reader[Note]]:
        return {
            "list": Reader(
                lambda lines: (lines.first() or "").startswith("["),
                self._list,
                write=lambda note: dumps(self.row(note)),
                frame=("[", ", ", "]\n"),
            ),
            "plain": Reader(
                lambda lines: lines.first() is not None and lines.first()[0] not in "{",
                self._plain,
                direct=True,
                write=self._as_plain,
                written_as="LOUD" if self.shout else "",
            ),
        }

    def target(self, destination: Path) -> str:
        return "plain" if destination.suffix == ".txt" else "jsonl"

    def _list(self, lines: Lines) -> tuple[str, Iterator[Any]]:
        rows = parse_json("\n".join(str(text) for _, text in lines))
        return "list", (
            self.parse(Row(row, f"{lines.name}: note {n}"))
            for n, row in enumerate(rows, start=1)
        )

    def _plain(self, lines: Lines) -> tuple[str, Iterator[Any]]:
        return "plain text", self._plain_notes(lines)

    def _plain_notes(self, lines: Lines) -> Iterator[Any]:
        for number, text in lines:
            if isinstance(text, DataError):
                yield text
            elif text.startswith("//"):
                yield Mark("comments")
            elif text.strip():
                first, *tags = text.split(" #")
                yield Note(first, tuple(tags), lines.origin(number))

    def _as_plain(self, note: Note) -> str:
        if "\n" in note.text:
            raise DataError(f"{note.origin}: a line cannot hold a line end")
        text = note.text.upper() if self.shout else note.text
        return " #".join([text, *note.tags]) + "\n" if text else ""
