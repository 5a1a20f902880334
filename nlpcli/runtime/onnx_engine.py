"""Programs for onnxruntime: converted, made smaller, run; no TensorFlow to run them."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpcli.errors import CheckpointError, UsageError
from nlpcli.runtime.extras import first_line, needs
from nlpcli.text.batching import Features

if TYPE_CHECKING:
    from nlpcli.runtime.trace import Traced

OPSET = 18
MOST_BYTES = 2**31 - 2**24  # of one file of protocol buffers, without the graph
LEAST_UNITS = 64  # of a kernel that is made smaller; those of heads stay as they are


def write(program: Traced, path: Path, int8: bool) -> None:
    """Write a program as one file; UsageError where it is too large for one.

    ``int8``: kernels of int8 with a scale a unit; rows are quantised as they come.
    """
    with needs("onnx"):
        import onnx
        import tf2onnx
    size = sum(4 * math.prod(v.shape) for v in program.model.variables)
    if size > MOST_BYTES:
        raise UsageError(
            f"--to onnx: a file of ONNX holds 2 GB, the weights are {size / 1e9:.1f} "
            "GB (--to openvino takes them)"
        )
    told = logging.getLogger("tf2onnx")
    told.setLevel(logging.CRITICAL)
    converted, _ = tf2onnx.convert.from_function(
        program.of_dict, input_signature=[program.signature], opset=OPSET
    )
    _divide_before_erf(converted)
    onnx.save(converted, path)
    if int8:
        _make_small(converted, path)


class OnnxProgram:
    """A program read from a file of ONNX, ready to run on the processor."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        with needs("onnx"):
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # its errors are told once, as ours
        cores = os.cpu_count() or 1  # threads beyond them wait in turns, and for long
        options.intra_op_num_threads = min(threads or cores, cores)
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # whatever onnxruntime makes of a bad file
            raise CheckpointError(f"{path}: {first_line(error)}") from error
        self.inputs = sorted(port.name for port in self._session.get_inputs())
        self._outputs = [port.name for port in self._session.get_outputs()]

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        found = self._session.run(None, {name: batch[name] for name in self.inputs})
        return dict(zip(self._outputs, found, strict=True))


def _divide_before_erf(converted: Any) -> None:
    """Spell GELU's x / sqrt(2) as onnxruntime knows it, which fuses no other spelling.

    TensorFlow makes a product of a division by a constant.
    """
    from onnx import numpy_helper

    graph, root = converted.graph, np.array(math.sqrt(2.0), np.float32)
    inverse = {
        one.name
        for one in graph.initializer
        if one.data_type == 1
        and math.prod(one.dims) == 1
        and abs(float(numpy_helper.to_array(one).item()) * root - 1.0) < 1e-6
    }
    erfs = {node.input[0] for node in graph.node if node.op_type == "Erf"}
    for node in graph.node:
        if node.op_type == "Mul" and node.output[0] in erfs:
            rest = [name for name in node.input if name not in inverse]
            if len(rest) == 1:
                node.op_type = "Div"
                del node.input[:]
                node.input.extend([rest[0], "sqrt_of_2"])
    if any("sqrt_of_2" in node.input for node in graph.node):
        graph.initializer.append(numpy_helper.from_array(root, "sqrt_of_2"))


def _make_small(converted: Any, path: Path) -> None:
    """Put int8 kernels into a file that was written, but for those of heads."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    sizes = {one.name: one.dims for one in converted.graph.initializer}
    small = [
        node.name
        for node in converted.graph.node
        if node.op_type == "MatMul" and sizes.get(node.input[1], [0])[-1] < LEAST_UNITS
    ]
    whole = path.with_name(f"whole-{path.name}")
    path.rename(whole)
    logging.disable(logging.WARNING)  # it asks for steps of its own
    try:
        quantize_dynamic(
            whole,
            path,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=small,
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)
        whole.unlink()
