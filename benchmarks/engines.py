"""Engines beside each other: entities of a run, vectors of an encoder.

    python benchmarks/engines.py RUN MODEL TEXTS.jsonl[.gz] [--lines 400] [--threads 2]

RUN is a finished ner run, MODEL a published encoder (mean pooling), TEXTS real
sentences under "text". Each side has a process of its own: nlpcli on TensorFlow
(float32, bfloat16), its exports in onnxruntime (float32, int8) and OpenVINO (float32,
the bfloat16 hint, int8), and for vectors transformers on PyTorch (float32, bfloat16).
From text to entities (tokenizer, windows, Viterbi and scores in it) and from text to
vectors, best of ``--rounds``; start-up is until the first answer is there. Prints one
table.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import named_processor

EXPORTS = {"onnx": None, "onnx-int8": "int8", "openvino": None, "openvino-int8": "int8"}
SIDES = (
    *("tensorflow", "tensorflow-bfloat16", "onnx", "onnx-int8", "openvino"),
    *("openvino-bfloat16", "openvino-int8", "torch", "torch-bfloat16"),
)
WORKS = ("entities", "vectors")


def main() -> None:
    """Export once, run each side by itself, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--lines", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--exports", type=Path, help="where exports are kept")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.exports = options.exports or Path(folder)
        export_all(options)
        rows = {work: rows_of(options, work) for work in options.works}
    print(
        f"{named_processor()}; {options.threads} threads, {options.lines} lines of ",
        end="",
    )
    print(f"{options.texts.name}, batches of {options.batch_size}")
    for work, found in rows.items():
        first = found["tensorflow"]["rate"]
        print(f"\n{work:20}{'lines/s':>9}{'ratio':>7}{'start s':>9}{'peak MiB':>10}")
        for side, row in found.items():
            print(
                f"{side:20}{row['rate']:9.0f}{row['rate'] / first:7.2f}"
                f"{row['start']:9.1f}{row['peak']:10.0f}   {row['apart']}"
            )


def rows_of(options: argparse.Namespace, work: str) -> dict[str, dict[str, Any]]:
    """Each side's figures for one work, and how far it is from TensorFlow's answers."""
    found: dict[str, dict[str, Any]] = {}
    for side in options.sides:
        if work == "entities" and side.startswith("torch"):
            continue
        words = ["--exports", str(options.exports), "--side", side, "--work", work]
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], *words],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        row = json.loads(done.stdout.splitlines()[-1])
        answers = row.pop("answers")
        row["apart"] = apart(work, found, answers)
        found[side] = {**row, "answers": answers}
    return found


def apart(work: str, found: dict[str, dict[str, Any]], answers: list[Any]) -> str:
    """How answers compare with those of TensorFlow."""
    if not found:
        return ""
    gold = found["tensorflow"]["answers"]
    if work == "entities":
        right = sum(
            len({*map(str, a)} & {*map(str, b)})
            for a, b in zip(gold, answers, strict=True)
        )
        total = sum(map(len, gold)) + sum(map(len, answers))
        return f"F1 of its entities {2 * right / total:.4f}"
    cosines = (np.array(gold) * np.array(answers)).sum(axis=1)
    return f"least cosine {cosines.min():.4f}"


def export_all(options: argparse.Namespace) -> None:
    """Write what is not there yet, in a process that leaves nothing behind."""
    used = {side.removesuffix("-bfloat16") for side in options.sides}
    for side in used & EXPORTS.keys():
        for work in options.works:
            if (options.exports / f"{work}-{side}").exists():
                continue
            words = ["--exports", str(options.exports), "--side", side, "--work", work]
            words += ["--write", EXPORTS[side] or "float32"]
            subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], *words],
                check=True,
                stdout=subprocess.DEVNULL,
            )


def write_export(options: argparse.Namespace, quantize: str) -> None:
    """One export: of the run, or of the encoder's vectors."""
    from nlpcli.engine.embed import Embedder
    from nlpcli.engine.export_engine import export_engine, write_programs
    from nlpcli.text.batching import collate, round_up, sizes_of

    engine: Any = options.side.split("-")[0]
    folder = options.exports / f"{options.work}-{options.side}"
    int8 = "int8" if quantize == "int8" else None
    if options.work == "entities":
        export_engine(options.run, folder, engine, int8)
        return
    embedder = Embedder.open(options.model, pooling="mean", prefix="")
    batches = []
    for texts in (["好", "王小明"], ["他在北京大学读书", "他来了", "天气真好"]):
        rows = embedder.reader.features(texts)
        sizes = round_up([sizes_of(row, embedder.fields) for row in rows], 1)
        batches.append(collate(rows, embedder.fields, sizes))
    folder.mkdir()
    write_programs(
        folder,
        embedder.model,
        (batches[0], batches[1]),
        embedder.forward,
        engine,
        int8 is not None,
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One side's figures: lines a second, seconds to the first answer, peak memory."""
    if options.write:
        write_export(options, options.write)
        return {}
    from nlpcli.records.read import read_rows

    texts = [row["text"] for row in read_rows(options.texts)]
    step = max(1, len(texts) // options.lines)
    texts = texts[::step][: options.lines]
    started = time.perf_counter()
    answer = opened(options)
    answer(texts[:1])
    start = time.perf_counter() - started
    answer(texts[: 4 * options.batch_size])
    seconds = []
    for _ in range(options.rounds):
        started = time.perf_counter()
        answers = answer(texts)
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = len(texts) / min(seconds)
    return {"rate": rate, "start": start, "peak": peak, "answers": answers}


def opened(options: argparse.Namespace) -> Any:
    """What answers lines, as plain values."""
    if options.work == "vectors":
        return vectors(options)
    predict = predictor(options)

    def answer(texts: list[str]) -> list[Any]:
        return [
            [[e["start"], e["end"], e["label"]] for e in found["entities"]]
            for found in predict(texts)
        ]

    return answer


def predictor(options: argparse.Namespace) -> Any:
    """From lines to entities."""
    precision: Any = "bfloat16" if "bfloat16" in options.side else "float32"
    if options.side.startswith("tensorflow"):
        set_threads(options)
        from nlpcli.engine.predict import Predictor

        return Predictor(options.run, "ner", options.batch_size, precision).predict
    from nlpcli.engine.exported import ExportDir, ExportedRun

    folder = options.exports / f"entities-{options.side.removesuffix('-bfloat16')}"
    export = ExportDir.open(folder)
    runtime = replace(export.config.runtime, threads=options.threads)
    export = replace(export, config=replace(export.config, runtime=runtime))
    return ExportedRun(export, None, options.batch_size, precision).predict


def vectors(options: argparse.Namespace) -> Any:
    """From lines to vectors."""
    precision: Any = "bfloat16" if "bfloat16" in options.side else "float32"
    if options.side.startswith("torch"):
        return torch_vectors(options, precision)
    if options.side.startswith("tensorflow"):
        set_threads(options)
        from nlpcli.engine.embed import Embedder

        encode = Embedder.open(
            options.model, None, "mean", "", options.batch_size, precision
        ).encode
        return lambda texts: encode(texts).tolist()
    from nlpcli.engine.vectors import TextVectors
    from nlpcli.runtime.onnx_engine import OnnxProgram
    from nlpcli.runtime.openvino_engine import OpenVinoProgram
    from nlpcli.runtime.programs import ProgramForward
    from nlpcli.text.sentences import SentenceReader
    from nlpcli.text.tokenizers.load import load_tokenizer

    folder = options.exports / f"vectors-{options.side.removesuffix('-bfloat16')}"
    program: Any
    if options.side.startswith("onnx"):
        program = OnnxProgram(folder / "model.onnx", options.threads)
    else:
        program = OpenVinoProgram(folder / "model.xml", precision, options.threads)
    reader = SentenceReader(load_tokenizer(options.model), 512)
    size = json.loads((options.model / "config.json").read_text())["hidden_size"]
    forward = ProgramForward([program], {}, str(folder))
    encode = TextVectors(reader, forward, size, options.batch_size).encode
    return lambda texts: encode(texts).tolist()


def set_threads(options: argparse.Namespace) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)


def torch_vectors(options: argparse.Namespace, precision: str) -> Any:
    """transformers, the same batches."""
    from torch_encoder import torch_encoder

    size, threads = options.batch_size, options.threads
    encode = torch_encoder(options.model, size, threads, precision)
    return lambda texts: encode(texts).tolist()


if __name__ == "__main__":
    main()
