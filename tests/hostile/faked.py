"""The real command in a child process, over stand-ins for every model.

``python -m tests.hostile.faked predict ner ...`` answers a text with the text itself:
as a label, a generated text, a token of a mask. ``MEMORY`` bounds its address space.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ONE = {"OPENBLAS_NUM_THREADS": "1"}  # each takes addresses


def nlpcli(
    *words: str | Path,
    cwd: Path | None = None,
    stdin: bytes | int | None = b"",
    closed: tuple[int, ...] = (),
    memory: int = 0,
    **streams: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end; ``closed``: descriptors that it never had."""

    def close() -> None:
        for number in closed:
            os.close(number)

    given = {"stdin": stdin} if isinstance(stdin, int) else {"input": stdin}
    return subprocess.run(
        [sys.executable, "-m", "tests.hostile.faked", *map(str, words)],
        cwd=cwd or ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MEMORY": str(memory), **ONE},
        preexec_fn=close if closed else None,
        timeout=250,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given, **streams},
    )


def assert_one_line(done: subprocess.CompletedProcess[bytes], code: int, told: str):
    """An error is one line that says what is wrong, and never a traceback."""
    assert (done.returncode, done.stderr.count(b"\n")) == (code, 1), done.stderr
    line = done.stderr.decode()
    assert line.startswith("nlpcli: error: ") and told in line


class Predictor:
    def __init__(self, *_: Any) -> None:
        self.predict = answers(
            lambda text: {
                "entities": [
                    {"start": 0, "end": len(text), "label": text, "text": text}
                ]
            }
        )


class Filler:
    def __init__(self, *_: Any) -> None:
        pass

    def fill(self, rows: list[Any], top: int) -> list[Any]:
        def mask(text: str) -> dict[str, Any]:
            return {"masks": [{"tokens": [{"text": text, "probability": 0.5}]}]}

        return answers(mask)(rows)


class Generator:
    timings: dict[str, float] = {}  # noqa: RUF012

    def __init__(self, *_: Any) -> None:
        pass

    def options(self, asked: Any) -> Any:
        from nlpcli.decoders.options import GenerateOptions

        return asked.over(GenerateOptions(top_p=0.9))

    def generate(self, rows: list[Any], asked: Any) -> list[Any]:
        return answers(lambda text: {"outputs": [{"text": text, "note": text}]})(rows)

    def turn(self, history: list[str], line: str) -> Any:
        from nlpcli.records.row import Row

        return Row({"text": line})

    def stream(self, row: Any, asked: Any) -> Iterator[str]:
        yield from row.string("text")


def answers(answer: Callable[[str], dict[str, Any]]) -> Callable[[list[Any]], list]:
    def given(row: Any) -> Any:
        from nlpcli.errors import DataError

        try:
            return answer(row.string("text"))
        except DataError as error:
            return error

    return lambda rows: [given(row) for row in rows]


def main() -> None:
    if memory := int(os.environ.get("MEMORY", "0")):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    module("nlpcli.engine.predict", Predictor=Predictor)
    module("nlpcli.engine.generate", Generator=Generator)
    module("nlpcli.engine.fill", Filler=Filler)
    if "index" in sys.argv:
        from tests.hashed_words import HashedWords

        module("nlpcli.engine.embed", Embedder=HashedWords)
    elif "runs" not in sys.argv:
        opened = types.SimpleNamespace(path=Path("run"))
        module("nlpcli.engine.run_dir", choose_run=lambda run, name: opened)
    if "fill" in sys.argv:
        from nlpcli.checkpoints import download

        download.resolve_model = lambda *_, **__: Path("model")  # type: ignore
    from nlpcli.cli.main import run

    run()


def module(name: str, **values: Any) -> None:
    made = types.ModuleType(name)
    made.__dict__.update(values)
    sys.modules[name] = made


if __name__ == "__main__":
    main()
