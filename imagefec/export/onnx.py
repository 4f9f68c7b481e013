"""Writes a network as an ONNX file, opset 17, and opens such files with ONNX Runtime.

Neither Trax, JAX nor TensorFlow is imported, so that a server may export on its own.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from imagefec import files
from imagefec.errors import UserError
from imagefec.model.network import Network, operations

OPSET, IR_VERSION = 17, 8
INPUT, OUTPUT = "faces", "embeddings"
RECORD = "imagefec"  # key of the record among the file's metadata
_MAX_BYTES = 2**31 - 2**20  # of a protocol buffer, less some room for the graph
_INSTALL = "Install them with: pip install 'imagefec[export]'."


def write_onnx(network: Network, path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Writes a network: "faces" uint8 [n, side, side, 3] RGB -> "embeddings" float32 [n, d].

    Args:
      network: folded.
      path: file to write, atomically.
      record: JSON that is stored under "imagefec" in the file's metadata.

    Raises:
      UserError: the package onnx is missing, or the network is larger than 2 GiB.
      OSError: the file cannot be written.
    """
    files.write_bytes(path, _model(network, record).SerializeToString())


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the record of a file of `write_onnx`, without loading the weights into a session.

    Raises:
      UserError: it is no such file.
    """
    onnx = open_package("onnx")
    try:
        model = onnx.load(os.fspath(path), load_external_data=False)
    except Exception as error:  # protobuf has no common base class of its errors
        raise UserError(f"{path}: not an ONNX file ({_first_line(error)}).") from None
    return record_of({entry.key: entry.value for entry in model.metadata_props}, path)


def record_of(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record among an ONNX file's metadata, such as a session's custom_metadata_map.

    Raises:
      UserError: there is none.
    """
    from imagefec import json_files

    try:
        return json_files.parse_object(metadata[RECORD].encode())
    except (KeyError, ValueError):
        raise UserError(
            f"{path}: an ONNX file that `imagefec export` did not write, so the faces that it "
            "requires are unknown. Export the run with --format=onnx."
        ) from None


def open_session(path: str | os.PathLike[str], threads: int = 1) -> Any:
    """Opens an ONNX file with ONNX Runtime on the CPU, in float32.

    Args:
      path: the file.
      threads: of one call. They do not spin while they wait, which would take a processor's time
        from the other work.

    Returns:
      onnxruntime.InferenceSession; `embed` calls it.

    Raises:
      UserError: the package onnxruntime is missing, or it cannot load the file.
    """
    runtime = open_package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    try:
        return runtime.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has no common base class of its errors
        raise UserError(
            f"{path}: ONNX Runtime cannot load it ({_first_line(error)}). Export the run again."
        ) from None


def embed(session: Any, faces: np.ndarray) -> np.ndarray:
    """Embeds faces.

    Args:
      session: of `open_session`.
      faces: uint8 [n, side, side, 3] RGB, of the network's side.

    Returns:
      float32 [n, d], unit length.
    """
    return session.run([OUTPUT], {INPUT: faces})[0]


def with_record(path: str | os.PathLike[str], record: Mapping[str, Any]) -> bytes:
    """An ONNX file with another record in it."""
    onnx = open_package("onnx")
    model = onnx.load(os.fspath(path))
    onnx.helper.set_model_props(model, {RECORD: json.dumps(record)})
    return model.SerializeToString()


def open_package(name: str) -> Any:
    """Imports onnx with its parts, or onnxruntime.

    Raises:
      UserError: it is missing.
    """
    import importlib

    # From 1.32 on, importing onnxruntime writes to the home directory and reports to Microsoft;
    # its disable_telemetry_events() comes too late. A user who sets the variable decides.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        if name == "onnx":
            for part in ("helper", "numpy_helper"):
                importlib.import_module(f"onnx.{part}")
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"ONNX files require the packages onnx and onnxruntime ({error}). {_INSTALL}"
        ) from None


def _model(network: Network, record: Mapping[str, Any]) -> Any:
    onnx = open_package("onnx")
    graph = _Graph(onnx)
    side = network.image_size
    names = [INPUT]
    for index, step in enumerate(network.steps):
        taken = [names[value] for value in step.inputs]
        is_last = index == len(network.steps) - 1
        names.append(graph.add(step, taken, OUTPUT if is_last else f"value{index + 1}"))
    if graph.n_bytes > _MAX_BYTES:
        raise UserError(
            "the network is larger than an ONNX file may be (2 GiB). Use --format=archive or "
            "--format=savedmodel."
        )
    helper = onnx.helper
    proto = helper.make_graph(
        graph.nodes,
        "ImageFEC",
        [helper.make_tensor_value_info(INPUT, onnx.TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["n", network.d_embedding])],
        graph.tensors,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="imagefec",
    )
    helper.set_model_props(model, {RECORD: json.dumps(record)})
    return model


class _Graph:
    """Collects nodes and arrays. Maps are [n, channels, side, side] inside, as ONNX requires."""

    def __init__(self, onnx: Any) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.n_bytes = 0  # of the tensors
        self._onnx = onnx

    def add(self, step: operations.Step, taken: list[str], result: str) -> str:
        """Appends the nodes of a step; the last one's result has the given name."""
        ops, operation, x = operations, step.operation, taken[0]
        match operation:
            case ops.Scale(subtracted=subtracted, divisor=divisor):
                x = self.node("Cast", [x], to=self._onnx.TensorProto.FLOAT)
                x = self.node("Transpose", [x], perm=[0, 3, 1, 2])
                x = self.node("Sub", [x, self.array(_of_maps(subtracted))])
                return self.node("Div", [x, self.array(_of_maps(divisor))], result)
            case ops.Convolution():
                return self._convolution(operation, x, result)
            case ops.GroupNorm():
                return self._group_norm(operation, x, step.shape, result)
            case ops.ResponseNorm():
                return self._response_norm(operation, x, result)
            case ops.Relu():
                return self.node("Relu", [x], result)
            case ops.Threshold(threshold=threshold):
                return self.node("Max", [x, self.array(threshold)], result)
            case ops.MaxPool(pads=(before, after)):
                pads = [before, before, after, after]
                return self.node(
                    "MaxPool", [x], result, kernel_shape=[3, 3], strides=[2, 2], pads=pads
                )
            case ops.Add():
                return self.node("Add", taken, result)
            case ops.GlobalMean():
                return self.node("Flatten", [self.node("GlobalAveragePool", [x])], result)
            case ops.Flatten():
                x = self.node("Transpose", [x], perm=[0, 2, 3, 1])
                return self.node("Flatten", [x], result)
            case ops.Dense(kernel=kernel, bias=bias):
                return self.node("Gemm", [x, self.array(kernel), self.array(bias)], result)
            case ops.UnitLength():
                return self._unit_length(operation, x, result)
        raise ValueError(f"no ONNX form of {type(operation).__name__}")

    def _convolution(self, conv: operations.Convolution, x: str, result: str) -> str:
        (before, after), size = conv.pads, conv.kernel.shape[0]
        arrays = [self.array(np.ascontiguousarray(np.transpose(conv.kernel, (3, 2, 0, 1))))]
        if conv.bias is not None:
            arrays.append(self.array(conv.bias))
        return self.node(
            "Conv",
            [x, *arrays],
            result,
            kernel_shape=[size, size],
            strides=[conv.stride, conv.stride],
            pads=[before, before, after, after],
        )

    def _group_norm(
        self, norm: operations.GroupNorm, x: str, shape: tuple[int, ...], result: str
    ) -> str:
        side, _, channels = shape
        ones, zeros = (np.full(norm.groups, value, np.float32) for value in (1, 0))
        x = self.node("Reshape", [x, self.array(np.array([0, norm.groups, -1]))])
        x = self.node(
            "InstanceNormalization",
            [x, self.array(ones), self.array(zeros)],
            epsilon=norm.epsilon,
        )
        x = self.node("Reshape", [x, self.array(np.array([0, channels, side, side]))])
        return self._affine(norm, x, result)

    def _response_norm(self, norm: operations.ResponseNorm, x: str, result: str) -> str:
        square = self.node("GlobalAveragePool", [self.node("Mul", [x, x])])
        square = self.node("Add", [square, self.array(np.float32(norm.epsilon))])
        x = self.node("Div", [x, self.node("Sqrt", [square])])
        return self._affine(norm, x, result)

    def _affine(
        self, norm: operations.GroupNorm | operations.ResponseNorm, x: str, result: str
    ) -> str:
        x = self.node("Mul", [x, self.array(_of_maps(norm.scale))])
        return self.node("Add", [x, self.array(_of_maps(norm.offset))], result)

    def _unit_length(self, operation: operations.UnitLength, x: str, result: str) -> str:
        square = self.node(
            "ReduceSum", [self.node("Mul", [x, x]), self.array(np.array([1]))], keepdims=1
        )
        square = self.node("Max", [square, self.array(np.float32(operation.epsilon))])
        return self.node("Div", [x, self.node("Sqrt", [square])], result)

    def node(self, kind: str, inputs: list[str], result: str = "", **attributes: Any) -> str:
        """Appends a node and returns the name of its result."""
        name = result or f"part{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def array(self, array: Any) -> str:
        """Stores an array and returns its name."""
        name, array = f"array{len(self.tensors)}", np.asarray(array)
        self.n_bytes += array.nbytes
        self.tensors.append(self._onnx.numpy_helper.from_array(array, name))
        return name


def _of_maps(values: Any) -> np.ndarray:
    """[c] -> [c, 1, 1], to be combined with maps."""
    return np.asarray(values, np.float32).reshape(-1, 1, 1)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
