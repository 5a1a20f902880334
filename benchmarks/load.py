"""Peak memory and time of loading a checkpoint, beside transformers.

    python benchmarks/load.py [--layers 24] [--hidden 1024] [--only float32,h5 ...]

Makes a BERT of random numbers (1.3 GB in float32 as it stands), in turn as one file of
safetensors in float32, bfloat16 and float16, as four shards, as ``tf_model.h5`` and as
``pytorch_model.bin``; each side loads it in a process of its own and keeps it in
float32. Peak: the most that the process held, beyond what it held after its imports,
as a share of the model's size in float32. Seconds: until every number has been added
up once, since a mapped file is only read then; files come from the page cache. The
sums of both sides must agree. Our goal is a peak of 1.15.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

GOAL = 1.15
VOCABULARY = 21128
CASES = ("float32", "bfloat16", "float16", "shards", "h5", "bin")
SIDES = ("nlpcli", "transformers")


def main() -> None:
    """Run every case, or one step of one when asked for by ``--step``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--step", choices=("write", *SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "write":
        write(options.folder, options.case, options.layers, options.hidden)
    elif options.step:
        load = load_nlpcli if options.step == "nlpcli" else load_transformers
        print(json.dumps(load(options.folder)))
    else:
        report((measure(case, options) for case in options.only.split(",")), options)


def measure(case: str, options: argparse.Namespace) -> dict[str, Any]:
    """One kind of file: written, loaded by both sides, thrown away."""
    row: dict[str, Any] = {"file": case}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, __file__, "--case", case, "--folder", folder),
            *("--layers", str(options.layers), "--hidden", str(options.hidden)),
        ]
        subprocess.run([*command, "--step", "write"], check=True)
        row["bytes"] = sum(
            path.stat().st_size
            for path in Path(folder).iterdir()
            if path.suffix != ".json"
        )
        for side in SIDES:
            if (side, case) == ("transformers", "h5"):
                continue  # transformers 5 does not read it
            done = subprocess.run(
                [*command, "--step", side], check=True, stdout=subprocess.PIPE
            )
            row[side] = json.loads(done.stdout.splitlines()[-1])
    sums = [row[side]["sum"] for side in SIDES if side in row]
    if not np.allclose(sums, sums[0], rtol=1e-4):
        sys.exit(f"{case}: the two sides hold different numbers: {sums}")
    return row


def report(rows: Iterator[dict[str, Any]], options: argparse.Namespace) -> None:
    """The table, each row as it comes, or JSON."""
    if options.json:
        print(json.dumps(list(rows), indent=2))
        return
    for number, row in enumerate(rows):
        if number == 0:
            size = row["nlpcli"]["kept"] / 1e6
            print(
                f"{options.layers} layers of {options.hidden}, {size:.0f} MB in "
                f"float32; peak as a share of that (goal {GOAL}), seconds\n"
            )
            head = "| file | MB | " + " | ".join(f"{s}, peak | s" for s in SIDES)
            print(f"{head} |\n|---|" + "---|" * 5)
        cells = [row["file"], f"{row['bytes'] / 1e6:.0f}"]
        for side in SIDES:
            one = row.get(side)
            cells += (
                [f"{one['peak'] / one['kept']:.2f}", f"{one['seconds']:.1f}"]
                if one
                else ["-", "-"]
            )
        print("| " + " | ".join(cells) + " |", flush=True)


def load_nlpcli(folder: Path) -> dict[str, float]:
    """Load as every command does."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    from nlpcli.engine.published import open_published
    from nlpcli.runtime import weights

    if (folder / "pytorch_model.bin").exists():
        import torch  # noqa: F401, an import too
    keras.ops.sum(keras.Variable(np.ones(1)))  # the device is there
    before = held()
    started = time.perf_counter()
    published = open_published(folder)
    published.check_sizes()
    with weights.values_later():
        backbone = published.family.build(published.config)
        published.fill_backbone(backbone)
    variables = weights.learnt_variables(backbone).values()
    total = sum(float(keras.ops.sum(variable.value)) for variable in variables)
    return {
        "seconds": time.perf_counter() - started,
        "peak": peak() - before,
        "kept": 4 * weights.total_size(variables),
        "sum": total,
    }


def load_transformers(folder: Path) -> dict[str, float]:
    """Load as its documentation says, in float32."""
    import torch
    from transformers import BertModel, logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.ones(1).sum()
    before = held()
    started = time.perf_counter()
    model = BertModel.from_pretrained(
        folder, dtype=torch.float32, add_pooling_layer=False
    )
    with torch.no_grad():
        total = sum(float(one.sum()) for one in model.parameters())
    return {
        "seconds": time.perf_counter() - started,
        "peak": peak() - before,
        "kept": 4 * sum(one.numel() for one in model.parameters()),
        "sum": total,
    }


def held() -> int:
    """Bytes that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """The most bytes that the process held; mapped files count."""
    # not ru_maxrss: that begins with what the parent held
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def write(folder: Path, case: str, layers: int, hidden: int) -> None:
    """A folder of random numbers, with no vocabulary."""
    import torch
    from safetensors.torch import save_file

    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": VOCABULARY,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
    }
    (folder / "config.json").write_text(json.dumps(config))
    random = np.random.default_rng(0)
    tensors = {
        name: torch.from_numpy(random.standard_normal(shape, np.float32) + 0.1)
        for name, shape in shapes(layers, hidden)
    }
    if case == "h5":
        write_h5(folder / "tf_model.h5", tensors)
    elif case == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    elif case == "shards":
        places = {}
        for number in range(4):
            some = dict(list(tensors.items())[number::4])
            name = f"model-{number + 1:05}-of-00004.safetensors"
            save_file(some, folder / name, metadata={"format": "pt"})
            places |= dict.fromkeys(some, name)
        index = {"metadata": {}, "weight_map": places}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        dtype = getattr(torch, case)
        tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        path = folder / "model.safetensors"
        save_file(tensors, path, metadata={"format": "pt"})


def shapes(layers: int, hidden: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of BertModel without its pooler."""
    tables = {"word": VOCABULARY, "position": 512, "token_type": 2}
    for name, rows in tables.items():
        yield f"bert.embeddings.{name}_embeddings.weight", (rows, hidden)
    norms = ["bert.embeddings.LayerNorm"]
    linear = {}
    for layer in (f"bert.encoder.layer.{i}" for i in range(layers)):
        for part in ("query", "key", "value"):
            linear[f"{layer}.attention.self.{part}"] = (hidden, hidden)
        linear[f"{layer}.attention.output.dense"] = (hidden, hidden)
        linear[f"{layer}.intermediate.dense"] = (4 * hidden, hidden)
        linear[f"{layer}.output.dense"] = (hidden, 4 * hidden)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in linear.items():
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[:1]
    for name in norms:
        yield f"{name}.weight", (hidden,)
        yield f"{name}.bias", (hidden,)


def write_h5(path: Path, tensors: dict[str, Any]) -> None:
    """The tensors as TFBertModel of transformers 4 saved them."""
    import h5py

    names = []
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"bert"]
        group = file.create_group("bert")
        for name, tensor in tensors.items():
            value = tensor.numpy()
            start, ending = name.replace("layer.", "layer_._").rsplit(".", 1)
            if "LayerNorm" in name:
                ending = {"weight": "gamma", "bias": "beta"}[ending]
            elif "embeddings" in name:
                ending = "weight" if "word" in name else "embeddings"
            elif ending == "weight":
                value, ending = value.T, "kernel"
            scope = start.replace("layer_._", "layer_@").replace(".", "/")
            name = f"tf_bert_model/{scope}/{ending}:0".replace("layer_@", "layer_._")
            names.append(name.encode())
            group.create_dataset(name, data=value)
        group.attrs["weight_names"] = names


if __name__ == "__main__":
    main()
