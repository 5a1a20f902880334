"""Programs for OpenVINO: converted, made smaller, run; no TensorFlow to run them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpcli.errors import CheckpointError
from nlpcli.runtime.extras import first_line, needs
from nlpcli.text.batching import Features

if TYPE_CHECKING:
    from nlpcli.runtime.trace import Traced

LEAST_UNITS = 64  # of a kernel that is made smaller; those of heads stay as they are
GROUP = 64  # numbers of a row that are quantised together
HINTS = {"float32": "f32", "bfloat16": "bf16"}


def write(program: Traced, path: Path, int8: bool) -> None:
    """Write a program as ``path`` (.xml) and its weights beside it (.bin).

    ``int8``: kernels of int8 with a scale a unit; rows are quantised as they come.
    """
    from nlpcli.runtime.trace import save

    with needs("openvino"):
        import openvino
        from openvino.frontend import FrontEndManager
    # openvino.convert_model does the same, and tells its maker of it
    reader = FrontEndManager().load_by_framework("tf")
    with tempfile.TemporaryDirectory() as folder:
        save([program], Path(folder))
        converted = reader.convert(reader.load(folder))
        if int8:
            for product, kernel, by_rows in list(_products(converted)):
                _make_small(product, kernel, by_rows)
        openvino.save_model(converted, path, compress_to_fp16=False)


class OpenVinoProgram:
    """A program read from a file of OpenVINO or ONNX, ready to run on the processor."""

    def __init__(
        self, path: Path, precision: str = "float32", threads: int | None = None
    ) -> None:
        with needs("openvino"):
            import openvino
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP,
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            self._program = openvino.Core().compile_model(path, "CPU", settings)
        except Exception as error:  # whatever OpenVINO makes of a bad file
            raise CheckpointError(f"{path}: {first_line(error)}") from error
        self._ports = {_name(port): port for port in self._program.inputs}
        self._outputs = [_name(port) for port in self._program.outputs]
        self.inputs = sorted(self._ports)

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        given = {port: batch[name] for name, port in self._ports.items()}
        found = self._program.create_infer_request().infer(given)
        arrays = [np.array(array) for array in found.values()]
        return dict(zip(self._outputs, arrays, strict=True))


def _name(port: Any) -> str:
    """The name that a program's input or output was given; the shortest of several."""
    return min((name.split(":")[0] for name in port.names), key=len, default="")


def _products(converted: Any) -> Iterator[tuple[Any, np.ndarray, bool]]:
    """Products with a constant kernel: the product, the kernel, whether a row of it is
    a unit."""
    for product in converted.get_ordered_ops():
        if product.get_type_name() != "MatMul":
            continue
        by_rows = bool(product.get_attributes()["transpose_b"])
        source = product.input_value(1).get_node()
        if turned := source.get_type_name() == "Transpose":
            source = source.input_value(0).get_node()
        if source.get_type_name() != "Constant" or len(source.shape) != 2:
            continue
        kernel = source.data.T if turned else source.data
        if kernel.shape[not by_rows] >= LEAST_UNITS:
            yield product, kernel, by_rows


def _make_small(product: Any, kernel: np.ndarray, by_rows: bool) -> None:
    """Put int8 numbers and a scale for each unit in the place of a kernel."""
    from openvino import opset13 as nodes

    largest = np.abs(kernel).max(axis=int(by_rows), keepdims=True)
    scales = np.maximum(largest, np.finfo(np.float32).tiny).astype(np.float32) / 127.0
    numbers = nodes.constant(np.round(kernel / scales).astype(np.int8))
    whole = nodes.multiply(nodes.convert(numbers, "f32"), nodes.constant(scales))
    product.input(1).replace_source_output(whole.output(0))
