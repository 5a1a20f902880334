"""A run as programs for other engines, checked before they are handed over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from nlpcli import __version__
from nlpcli.config.loader import to_yaml
from nlpcli.engine import build
from nlpcli.engine.answers import answer_all, ask_all
from nlpcli.engine.build import Loaded, write_settings
from nlpcli.engine.exported import (
    DECODER,
    SERVED,
    ExportDir,
    Target,
    is_ours,
    stage_names,
    write_state,
)
from nlpcli.engine.run_dir import RunDir, choose_run
from nlpcli.errors import CheckpointError, UsageError
from nlpcli.files.atomic import explained, open_to_others
from nlpcli.files.named import refuse_sources, refuse_within
from nlpcli.files.swap import publish_folder, refuse_other
from nlpcli.runtime import onnx_engine, openvino_engine, trace
from nlpcli.runtime.batches import Runner
from nlpcli.runtime.device import open_device
from nlpcli.runtime.forward import Forward
from nlpcli.runtime.programs import ProgramForward
from nlpcli.tasks.protocol import Answers, Embeds, Recipe, Writes
from nlpcli.text.batching import Features, collate, round_up, sizes_of

logger = logging.getLogger("nlpcli")

SAMPLES = (
    "好。",
    "王小明在北京大学读书。",
    "2024年5月,她坐G1234次列车去了杭州西湖。",
    "《平凡的世界》出版于1986年,作者是路遥。",
    "天气真好,我们一起去公园散步吧,顺便买点水果回来!",
    "阿里巴巴集团总部位于浙江省杭州市,由马云于1999年创立,主要业务是电子商务。",
    "姚明1980年9月12日出生于上海市徐汇区,前中国职业篮球运动员,曾效力于休斯敦火箭队,"
    "2016年入选奈史密斯篮球名人纪念堂。",
    "手机用了三个月,电池一天要充两次,客服说过了7天不能退换,only screenshots are kept,"
    "实在让人失望,不会再买这个牌子了。",
)
TOLERANCE = 1e-4  # of float32, of a number or, above 1, of its share
NEAR = 0.05  # numbers of answers that count as alike
TIMES = 3  # the samples are answered; the best counts


def export_engine(
    run: RunDir | Path,
    destination: Path,
    to: Target,
    quantize: str | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write a run as programs for an engine, with all that its answers need.

    The programs are the whole model up to its logits, in float32 or, with ``quantize``
    "int8", with kernels of int8. Before they take their place they answer eight
    samples beside the model; a difference above 1e-4 in float32 raises
    CheckpointError. UsageError for a recipe that writes, whose decoder is no program,
    for int8 in a SavedModel, and as ``export_run`` for a destination that exists.
    """
    if quantize is not None and to == "savedmodel":
        raise UsageError(f"--quantize {quantize}: --to savedmodel writes float32")
    opened = choose_run(run, None)
    sources = [opened.path, opened.folder("best")]
    read = [file for folder in sources for file in (folder, *folder.iterdir())]
    refuse_sources(destination, read)
    refuse_within(destination, [opened.path / "best", opened.path / "last"])
    refuse_other(destination, is_ours, force)
    options = replace(
        opened.config.runtime, precision="float32", xla="off", strategy="one"
    )
    open_device(options, opened.config.seed)
    loaded = build.load_run(opened.config, opened.folder("best"))
    recipe, model = loaded.recipe, loaded.model
    if not isinstance(recipe, Answers):
        raise UsageError(
            f"--to {to}: expected a recipe that predicts, {opened.config.recipe} "
            "writes, and what decodes it is not part of a model (--to hf takes it)"
        )
    forward = Forward(model, xla=False)
    report: dict[str, Any] = {"destination": str(destination), "to": to}
    report["quantize"] = quantize

    def write(folder: Path) -> None:
        stages = write_programs(
            folder, model, _batches(recipe), forward, to, quantize is not None
        )
        dimension = None
        if isinstance(recipe, Embeds):
            dimension = forward(_batches(recipe)[0])["vectors"].shape[1]
        write_state(
            folder,
            opened.config.recipe,
            __version__,
            to,
            quantize=quantize,
            stages=stages,
            dimension=dimension,
        )
        _write_recipe(folder, opened, loaded)
        export = ExportDir(folder, opened.config, to, stages, dimension)
        report.update(_checked(export, recipe, forward, destination, quantize))

    with explained(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
    publish_folder(destination, write, is_ours, force)
    lost = ["what writes: its decoder"] if isinstance(recipe, Writes) else []
    for line in lost:
        logger.warning("%s: not in it: %s", destination, line)
    files = sorted(path.name for path in destination.iterdir())
    return {**report, "lost": lost, "files": files}


def write_programs(
    folder: Path,
    model: Any,
    batches: tuple[Features, Features],
    forward: Callable[[Features], Any],
    to: Target,
    int8: bool,
) -> int:
    """Write the programs of a model; how many there are.

    batches: two of different sizes, as the model reads them.
    """
    programs = trace.trace(model, *(model.stages(batch, forward) for batch in batches))
    if to == "savedmodel":
        trace.save(programs, folder / SERVED)
        return len(programs)
    for name, program in zip(stage_names(len(programs)), programs, strict=True):
        if to == "onnx":
            onnx_engine.write(program, folder / f"{name}.onnx", int8)
        else:
            openvino_engine.write(program, folder / f"{name}.xml", int8)
    return len(programs)


def _write_recipe(folder: Path, run: RunDir, loaded: Loaded) -> None:
    """What answers need beside the programs."""
    recipe, model = loaded.recipe, loaded.model
    (folder / "config.yaml").write_text(to_yaml(run.config), encoding="utf-8")
    write_settings(folder, recipe, loaded.family, model.backbone.config, loaded.buckets)
    if arrays := model.decoding():
        save_file(arrays, folder / DECODER)
        open_to_others(folder / DECODER)


def _features(recipe: Recipe[Any]) -> list[Features]:
    examples = ask_all(recipe, SAMPLES).examples
    windows = recipe.encode(examples, gold=False)
    return [window.features for own in windows for window in own]


def _batches(recipe: Recipe[Any]) -> tuple[Features, Features]:
    """Two batches of samples that differ in rows and in every length."""
    read = _features(recipe)
    few, many = read[:2], read[2:7]
    return _batch(recipe, few), _batch(recipe, many)


def _batch(recipe: Recipe[Any], features: list[Features]) -> Features:
    sizes = round_up([sizes_of(item, recipe.fields) for item in features], 1)
    return collate(features, recipe.fields, sizes)


def _checked(
    export: ExportDir,
    recipe: Recipe[Any],
    forward: Forward,
    shown: Path,
    quantize: str | None,
) -> dict[str, Any]:
    """How programs compare with the model on the samples; CheckpointError where they
    differ in float32."""
    if export.to == "savedmodel":
        programs: Any = trace.load(export.path / SERVED)
    else:
        programs = export.programs(threads=export.config.runtime.threads)
    theirs = ProgramForward(programs, forward.decoding(), str(shown))
    difference = _difference(recipe, forward, theirs)
    if quantize is None and not difference <= TOLERANCE:
        raise CheckpointError(
            f"{shown}: expected logits within {TOLERANCE} of the run's, got a "
            f"difference of {difference:.2e}"
        )
    one, ours = _timed(recipe, forward)
    other, found = _timed(recipe, theirs)
    alike = sum(_alike(a, b) for a, b in zip(ours, found, strict=True))
    name = export.to if quantize is None else f"{export.to} {quantize}"
    count = len(SAMPLES)
    logger.info(
        "parity: %d samples, largest difference of logits %.1e, %d of %d answers alike",
        *(count, difference, alike, count),
    )
    logger.info(
        "speed: %d samples, %s %.1f ms, TensorFlow float32 %.1f ms",
        *(count, name, other * 1e3, one * 1e3),
    )
    return {
        "max_difference": difference,
        "answers_alike": f"{alike} of {count}",
        "seconds": round(other, 5),
        "tensorflow_seconds": round(one, 5),
    }


def _difference(recipe: Recipe[Any], ours: Forward, theirs: ProgramForward) -> float:
    """The largest of any stage's outputs, over a batch with pads and mixed lengths."""
    worst = 0.0
    for batch in ours.model.stages(_batch(recipe, _features(recipe)), ours):
        expected, found = ours(batch), theirs(batch)
        for name, values in expected.items():
            scale = np.maximum(np.abs(values), 1.0)
            apart = np.abs(found[name].astype(np.float64) - values) / scale
            worst = max(worst, float(apart.max(initial=0.0)))
    return worst


def _timed(recipe: Recipe[Any], forward: Runner) -> tuple[float, list[Any]]:
    """The least seconds that the samples take, and their answers."""
    examples = ask_all(recipe, SAMPLES).examples
    found = answer_all(recipe, forward, examples, len(SAMPLES))
    seconds = []
    for _ in range(TIMES):
        started = time.perf_counter()
        answer_all(recipe, forward, examples, len(SAMPLES))
        seconds.append(time.perf_counter() - started)
    return min(seconds), found


def _alike(one: Any, other: Any) -> bool:
    """Whether two answers say the same, but for small differences of numbers."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= NEAR
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)
