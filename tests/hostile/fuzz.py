"""Mutated files and arguments through the command line: what never may happen.

    python tests/hostile/fuzz.py --seconds 600 --seed 1

Each execution takes a good input (a data file in one of its formats, a configuration, a
run folder, a model folder, a list of arguments), damages it, and runs a verb that needs
no TensorFlow in this process. It must end with an exit code of the contract, no
internal error, print no traceback, no control character, valid JSON under ``--json``,
and not take longer than LONGEST seconds. What breaks a rule is kept with its input.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.recipe import list_recipes
from nlpcli.samples import sample, shipped_run

CODES = {0, 2, 3, 4, 5, 6}
LONGEST = 20.0  # seconds, on a loaded machine
EVIL = [
    *(b"1e999", b"-1", b"NaN", b"Infinity", b"null", b"true", b"{}", b"[]", b'""'),
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\x1b[2J", b"\x9b"),
    "\u202e\u2028\u200b".encode(),
    *(b"[" * 2000, b'{"a":' * 500, b"9" * 5000, b"a" * 20_000, b"\n" * 50, b"\t"),
    *(b'"text": 1, ', b"&x *x", b"!!python/object:os.system", b"0777", b"1:30"),
    *(
        b"../../etc/passwd",
        b"/dev/zero",
        b"\\ud800",
        "龘".encode() * 300,
        b"B-",
        b"I-X",
    ),
]
_DENSE = ("attention.output.dense", "intermediate.dense", "output.dense")
# What no output for people or machines may hold: controls but line feed and tab,
# marks that turn the direction of text.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
WORDS = [
    *("ner", "couplet", "classify", "nre", "", "-", "--", "-h", "--help", "-q", "-v"),
    *(
        "data",
        "check",
        "convert",
        "config",
        "runs",
        "show",
        "list",
        "models",
        "inspect",
    ),
    *(
        "--task",
        "--json",
        "--limit",
        "0",
        "-1",
        "1e9",
        "NaN",
        "--set",
        "a=b",
        "task.x=1",
    ),
    *("train.lr=0", "seed=[1]", "train.epochs=1:30", "--schema", "train", "--diff"),
    *("\x1b]0;x\x07", "\udcff", "龘" * 100, "a" * 5000, "/dev/null", "/", "nowhere"),
    *(
        "--format",
        "json",
        "--to",
        "doccano",
        "--from",
        "jsonl",
        "--skip-bad",
        "--force",
    ),
]


@dataclass
class Report:
    """Executions by kind, exit codes, and what broke a rule."""

    executions: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    finds: list[str] = field(default_factory=list)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four damages."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 8, 64)))
        kind = rng.randrange(7)
        if kind == 0:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[end:]
        elif kind == 2:
            data = data[:at] + rng.choice(EVIL) + data[at:]
        elif kind == 3:
            data = data[:at] + rng.choice(EVIL) + data[end:]
        elif kind == 4:
            data = data[:at] + data[at:end] * rng.randint(2, 30) + data[end:]
        elif kind == 5:
            data = data[:at]
        else:
            lines = data.split(b"\n")
            rng.shuffle(lines)
            data = b"\n".join(lines)
    return data


class Fuzzer:
    """Good inputs in a folder of its own, and the ways to use them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.report = Report()
        self.runner = CliRunner()
        self.data = dict(self._data_files())
        self.model = self._model_folder()
        self.kinds: dict[str, Callable[[], list[str]]] = {
            "data check": self._data_check,
            "data convert": self._data_convert,
            "config": self._config,
            "run folder": self._run_folder,
            "model folder": self._model,
            "arguments": self._arguments,
        }

    def run(self, seconds: float) -> Report:
        """Damage and run until the time is up."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            kind = self.rng.choice(list(self.kinds))
            words = self.kinds[kind]()
            self.report.executions[kind] += 1
            self._execute(kind, words)
        return self.report

    def _execute(self, kind: str, words: list[str]) -> None:
        started = time.monotonic()
        result = self.runner.invoke(app, words)
        seconds = time.monotonic() - started
        self.report.codes[result.exit_code] += 1
        for problem in self._problems(words, result, seconds):
            kept = self.folder.parent / f"find-{len(self.report.finds)}"
            shutil.copytree(self.folder, kept, symlinks=True)
            told = " ".join(map(ascii, words))[:300]
            self.report.finds.append(f"{kind}: {problem}: {told} (kept in {kept})")

    def _problems(self, words: list[str], result: Any, seconds: float) -> Iterator[str]:
        told = result.stdout + result.stderr
        if result.exit_code not in CODES:
            yield f"exit code {result.exit_code}: {told[-300:]!r}"
        if "Traceback" in told:
            yield f"traceback: {told[-300:]!r}"
        if found := UNSAFE.search(told):
            name = unicodedata.name(found[0], f"U+{ord(found[0]):04X}")
            yield f"raw {name} in the output"
        answered = result.exit_code in (0, 4) and not {"-h", "--help"} & {*words}
        if "--json" in words and answered and result.stdout.strip():
            try:
                json.loads(result.stdout, parse_constant=_refuse)
            except ValueError as error:
                yield f"invalid JSON: {error}"
        if seconds > LONGEST:
            yield f"{seconds:.0f} s"

    def _data_files(self) -> Iterator[tuple[str, tuple[str, bytes]]]:
        """Some good lines of each recipe's sample, in each format that is written."""
        for entry in list_recipes():
            if "train" not in entry.verbs:
                continue
            lines = sample(entry.name, "dev").read_bytes().splitlines(keepends=True)[:8]
            yield f"{entry.name}.jsonl", (entry.name, b"".join(lines))
            source = self.folder / "good.jsonl"
            source.write_bytes(b"".join(lines))
            for target in ("columns", "doccano", "label-studio"):
                out = self.folder / f"good.{target}"
                words = ["data", "convert", "--task", entry.name, str(source), str(out)]
                if self.runner.invoke(app, [*words, "--to", target]).exit_code == 0:
                    yield f"{entry.name}.{target}", (entry.name, out.read_bytes())
                    out.unlink()

    def _model_folder(self) -> dict[str, bytes]:
        """A tiny BERT of one layer in Hugging Face's form, file by file."""
        folder = self.folder / "good-model"
        folder.mkdir()
        rng = np.random.default_rng(0)
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (9, 8),
            "embeddings.position_embeddings.weight": (16, 8),
            "embeddings.token_type_embeddings.weight": (2, 8),
        }
        layer, own = "encoder.layer.0.", "attention.self."
        for name in (f"{own}query", f"{own}key", f"{own}value", *_DENSE):
            shapes |= {f"{layer}{name}.weight": (8, 8), f"{layer}{name}.bias": (8,)}
        for name in ("embeddings", f"{layer}attention.output", f"{layer}output"):
            norm = f"{name}.LayerNorm"
            shapes |= {f"{norm}.weight": (8,), f"{norm}.bias": (8,)}
        tensors = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
        save_file(tensors, folder / "model.safetensors")
        sizes = {
            "model_type": "bert",
            "vocab_size": 9,
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 8,
            "max_position_embeddings": 16,
        }
        (folder / "config.json").write_text(json.dumps(sizes))
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"今天北京"]
        (folder / "vocab.txt").write_text("".join(f"{t}\n" for t in tokens), "utf-8")
        (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
        looked = self.runner.invoke(app, ["models", "inspect", str(folder)])
        assert looked.exit_code == 0, looked.output
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def _damaged(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(mutate(data, self.rng))
        return path

    def _damaged_folder(self, name: str, files: dict[str, bytes]) -> Path:
        """A folder with one file damaged, gone, or replaced by something odd."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        chosen = self.rng.choice(list(files))
        for file, data in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mutate(data, self.rng) if file == chosen else data)
        odd = self.rng.randrange(12)
        if odd == 0:
            (folder / chosen).unlink()
        elif odd == 1:
            (folder / chosen).unlink()
            (folder / chosen).mkdir()
        elif odd == 2:
            (folder / chosen).unlink()
            (folder / chosen).symlink_to("/dev/zero")
        return folder

    def _data_check(self) -> list[str]:
        name, (recipe, data) = self.rng.choice(list(self.data.items()))
        path = self._damaged("damaged" + Path(name).suffix, data)
        flags = self.rng.sample(
            ["--json", "--nested", "--limit=3"], self.rng.randint(0, 2)
        )
        return ["data", "check", str(path), "--task", recipe, *flags]

    def _data_convert(self) -> list[str]:
        name, (recipe, data) = self.rng.choice(list(self.data.items()))
        path = self._damaged("damaged" + Path(name).suffix, data)
        out = str(
            self.folder / self.rng.choice(("out.jsonl", "out.bio", "out.jsonl.gz"))
        )
        flags = ["--force", *self.rng.sample(["--skip-bad", "--json"], 1)]
        if self.rng.random() < 0.3:
            flags += ["--to", self.rng.choice(("doccano", "label-studio", "columns"))]
        return ["data", "convert", str(path), out, "--task", recipe, *flags]

    def _config(self) -> list[str]:
        recipe = self.rng.choice(["ner", "couplet", "classify", "simbert"])
        good = self.runner.invoke(app, ["config", recipe]).stdout.encode()
        return ["config", recipe, "-c", str(self._damaged("damaged.yaml", good))]

    def _run_folder(self) -> list[str]:
        shipped = shipped_run("couplet")
        assert shipped is not None
        names = ("run.json", "scores.json", "config.yaml", "best/scores.json")
        files = {
            n: (shipped / n).read_bytes() for n in names if (shipped / n).is_file()
        }
        files["metrics.jsonl"] = b'{"step": 1, "loss": 2.0, "dev": {"f1": 0.5}}\n' * 3
        folder = self._damaged_folder("run", files)
        return ["runs", "show", str(folder), *self.rng.choice(([], ["--json"]))]

    def _model(self) -> list[str]:
        folder = self._damaged_folder("model", self.model)
        return ["models", "inspect", str(folder), *self.rng.choice(([], ["--json"]))]

    def _arguments(self) -> list[str]:
        verb = self.rng.choice(
            ["data", "config", "runs", "models", "recipes", "predict"]
        )
        words = [verb, *(self.rng.choice(WORDS) for _ in range(self.rng.randint(0, 6)))]
        return [word for word in words if "\0" not in word]


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def main() -> None:
    """Run for some time, print the counts, exit with 1 where a rule was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nlpcli-fuzz-") as root:
        folder = Path(root) / "work"
        folder.mkdir()
        report = Fuzzer(folder, options.seed).run(options.seconds)
        print(f"{sum(report.executions.values())} executions", dict(report.executions))
        print("exit codes", dict(sorted(report.codes.items())))
        for find in report.finds[:40]:
            print("FIND", find)
        if report.finds:
            kept = Path(tempfile.mkdtemp(prefix="nlpcli-finds-"))
            for path in Path(root).glob("find-*"):
                shutil.copytree(path, kept / path.name, symlinks=True)
            print(f"{len(report.finds)} finds, kept in {kept}")
    sys.exit(1 if report.finds else 0)


if __name__ == "__main__":
    main()
