"""Writes a network as a SavedModel or a TFLite file, made of plain tf.nn operations."""

import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imagefec import files
from imagefec.errors import UserError
from imagefec.model.network import Network, operations
from imagefec.quiet import quiet_imports
from imagefec.with_tensorflow import import_tensorflow

INPUT, OUTPUT = "faces", "embeddings"
RECORD = "imagefec"  # name of the record: of TFLite's metadata, and of the SavedModel's .json file
_EXTRA = "assets.extra"  # a SavedModel's folder for what TensorFlow does not read
_MAX_BYTES = 2**31 - 2**20  # of a TFLite file, less some room for the graph


def write_savedmodel(
    network: Network, path: str | os.PathLike[str], record: Mapping[str, Any]
) -> None:
    """Writes a SavedModel, whose signature takes "faces" and returns "embeddings".

    Args:
      network: folded.
      path: folder to write.
      record: JSON, written to assets.extra/imagefec.json.

    Raises:
      OSError: the folder cannot be written.
    """
    tf = _tensorflow()
    with quiet_imports():  # of what TensorFlow finds out about the machine when it first computes
        module = _module(network)
        tf.saved_model.save(module, os.fspath(path), signatures={"serving_default": module.embed})
    extra = Path(path, _EXTRA)
    extra.mkdir()
    files.write_text(extra / f"{RECORD}.json", json.dumps(record, indent=1) + "\n")


def open_savedmodel(path: str | os.PathLike[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Loads a SavedModel: faces uint8 [n, side, side, 3] -> float32 [n, d]."""
    tf = _tensorflow()
    loaded = tf.saved_model.load(os.fspath(path))
    signature = loaded.signatures["serving_default"]
    return lambda faces: signature(faces=tf.constant(faces))[OUTPUT].numpy()


def write_tflite(network: Network, path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Writes a float32 TFLite (LiteRT) file of the same signature, for batches of any size.

    Args:
      network: folded.
      path: file to write, atomically.
      record: JSON, stored under "imagefec" in the file's metadata.

    Raises:
      UserError: the network is larger than 2 GiB.
      OSError: the file cannot be written.
    """
    if _n_bytes(network) > _MAX_BYTES:
        raise UserError(
            "the network is larger than a TFLite file may be (2 GiB). Use --format=archive or "
            "--format=savedmodel."
        )
    tf = _tensorflow()
    with quiet_imports():  # the converter reports on stderr
        module = _module(network)
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [module.embed.get_concrete_function()], module
        )
        data = converter.convert()
    files.write_bytes(path, _with_record(data, record))


def open_tflite(path: str | os.PathLike[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Loads a TFLite file: faces uint8 [n, side, side, 3] -> float32 [n, d]."""
    tf = _tensorflow()
    with warnings.catch_warnings(), quiet_imports():
        warnings.simplefilter("ignore")  # tf.lite moves to the package ai-edge-litert
        interpreter = tf.lite.Interpreter(os.fspath(path), num_threads=1)
        interpreter.allocate_tensors()

    def embed(faces: np.ndarray) -> np.ndarray:
        (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(given["index"], faces.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], faces)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return embed


def read_tflite_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record of a file of `write_tflite`.

    Raises:
      UserError: it has none.
    """
    model = _flatbuffers().convert_bytearray_to_object(bytearray(Path(path).read_bytes()))
    for entry in model.metadata or ():
        if entry.name == RECORD.encode():
            return json.loads(bytes(model.buffers[entry.buffer].data))
    raise UserError(f"{path}: a TFLite file that `imagefec export` did not write.")


def _with_record(data: bytes, record: Mapping[str, Any]) -> bytes:
    """A TFLite file with the record among its metadata."""
    tool = _flatbuffers()
    model = tool.convert_bytearray_to_object(bytearray(data))
    buffer, entry = tool.schema_fb.BufferT(), tool.schema_fb.MetadataT()
    buffer.data = np.frombuffer(json.dumps(record).encode(), np.uint8)
    entry.name, entry.buffer = RECORD, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    return bytes(tool.convert_object_to_bytearray(model))


def _module(network: Network) -> Any:
    """A tf.Module whose `embed` computes the network; its arrays are variables."""
    tf = _tensorflow()
    side = network.image_size
    steps = [
        (
            step,
            {
                key: tf.Variable(value, trainable=False, name=f"step{index}_{key}")
                for key, value in _arrays(step).items()
            },
        )
        for index, step in enumerate(network.steps)
    ]
    module = tf.Module()
    # TensorFlow saves the variables that it finds in attributes.
    module.arrays = [variable for _, variables in steps for variable in variables.values()]

    @tf.function(
        input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8, name=INPUT)],
        autograph=False,
    )
    def embed(faces: Any) -> dict[str, Any]:
        values, shapes = [faces], [(side, side, 3), *(step.shape for step in network.steps)]
        for step, arrays in steps:
            taken = [values[value] for value in step.inputs]
            values.append(_compute(tf, step, arrays, taken, shapes[step.inputs[0]]))
        return {OUTPUT: values[-1]}

    module.embed = embed
    return module


def _arrays(step: operations.Step) -> dict[str, np.ndarray]:
    return {
        name: value for name, value in vars(step.operation).items() if isinstance(value, np.ndarray)
    }


def _n_bytes(network: Network) -> int:
    return sum(array.nbytes for step in network.steps for array in _arrays(step).values())


def _compute(
    tf: Any, step: operations.Step, arrays: dict[str, Any], taken: list[Any], shape: tuple[int, ...]
) -> Any:
    """The result of a step on its inputs; `shape` is the first one's, without the batch."""
    ops, operation, x = operations, step.operation, taken[0]
    match operation:
        case ops.Scale():
            return (tf.cast(x, tf.float32) - arrays["subtracted"]) / arrays["divisor"]
        case ops.Convolution(stride=stride, pads=pads):
            x, padding = _padded(tf, x, shape, operation.kernel.shape[0], stride, pads, 0.0)
            y = tf.nn.conv2d(x, arrays["kernel"], stride, padding)
            return tf.nn.bias_add(y, arrays["bias"]) if "bias" in arrays else y
        case ops.GroupNorm(groups=groups, epsilon=epsilon):
            side, _, channels = shape
            parts = tf.reshape(x, [-1, side * side, groups, channels // groups])
            mean = tf.reduce_mean(parts, [1, 3], keepdims=True)
            variance = tf.reduce_mean(tf.square(parts - mean), [1, 3], keepdims=True)
            parts = (parts - mean) * tf.math.rsqrt(variance + epsilon)
            return tf.reshape(parts, [-1, *shape]) * arrays["scale"] + arrays["offset"]
        case ops.ResponseNorm(epsilon=epsilon):
            square = tf.reduce_mean(tf.square(x), [1, 2], keepdims=True)
            return x * tf.math.rsqrt(square + epsilon) * arrays["scale"] + arrays["offset"]
        case ops.Relu():
            return tf.nn.relu(x)
        case ops.Threshold():
            return tf.maximum(x, arrays["threshold"])
        case ops.MaxPool(pads=pads):
            x, padding = _padded(tf, x, shape, 3, 2, pads, x.dtype.min)
            return tf.nn.max_pool2d(x, 3, 2, padding)
        case ops.Add():
            return taken[0] + taken[1]
        case ops.GlobalMean():
            return tf.reduce_mean(x, [1, 2])
        case ops.Flatten():
            return tf.reshape(x, [-1, *step.shape])
        case ops.Dense():
            return tf.matmul(x, arrays["kernel"]) + arrays["bias"]
        case ops.UnitLength(epsilon=epsilon):
            square = tf.reduce_sum(tf.square(x), -1, keepdims=True)
            return x * tf.math.rsqrt(tf.maximum(square, epsilon))
    raise ValueError(f"no TensorFlow form of {type(operation).__name__}")


def _padded(
    tf: Any,
    x: Any,
    shape: tuple[int, ...],
    size: int,
    stride: int,
    pads: tuple[int, int],
    value: float,
) -> tuple[Any, str]:
    """The input and padding of a window; TensorFlow pads itself where its "SAME" is meant."""
    total = max((-(-shape[0] // stride) - 1) * stride + size - shape[0], 0)
    if pads == (total // 2, total - total // 2):
        return x, "SAME"
    return tf.pad(x, [[0, 0], pads, pads, [0, 0]], constant_values=value), "VALID"


def _tensorflow() -> Any:
    return import_tensorflow("this format", "Or export with --format=onnx or stablehlo.")


def _flatbuffers() -> Any:
    with quiet_imports():
        from tensorflow.lite.tools import flatbuffer_utils
    return flatbuffer_utils
