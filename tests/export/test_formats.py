"""The files that other programs read, each computed by its own runtime, against the oracle."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.errors import UserError
from imagefec.export import onnx, stablehlo, tensorflow
from tests.model.network.numpy_network import run_network
from tests.model.network.small_networks import (
    SIDES,
    VARIETY,
    sampled_network,
    settings_of_networks,
    some_faces,
)

RECORD = {"step": 3, "architecture": {"norm": "größe"}}


@settings(max_examples=25)
@given(settings_of_networks(), st.sampled_from(SIDES), st.integers(0, 2**16))
def test_onnx_runtime_computes_any_network(found, side, seed):
    network, faces = sampled_network(found, side, seed), some_faces(3, side, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx.write_onnx(network, path, RECORD)
        vectors = onnx.embed(onnx.open_session(path), faces)
        assert onnx.read_record(path) == RECORD
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, run_network(network, faces), atol=1e-4)


def check_batches(engine, network, side):
    faces = some_faces(5, side)
    expected = run_network(network, faces)
    for n in (1, 5, 2):
        vectors = engine(faces[:n])
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, expected[:n], atol=1e-4)


@pytest.mark.parametrize("found", VARIETY)
@pytest.mark.parametrize("side", [32, 33])
def test_tensorflow_computes_any_network_from_a_savedmodel(found, side, tmp_path):
    network = sampled_network(found, side)
    tensorflow.write_savedmodel(network, tmp_path / "model", RECORD)
    check_batches(tensorflow.open_savedmodel(tmp_path / "model"), network, side)
    written = (tmp_path / "model" / "assets.extra" / "imagefec.json").read_text()
    assert json.loads(written) == RECORD


@pytest.mark.parametrize("found", VARIETY)
@pytest.mark.parametrize("side", [32, 33])
def test_tflite_computes_any_network(found, side, tmp_path):
    network = sampled_network(found, side)
    tensorflow.write_tflite(network, tmp_path / "model.tflite", RECORD)
    check_batches(tensorflow.open_tflite(tmp_path / "model.tflite"), network, side)
    assert tensorflow.read_tflite_record(tmp_path / "model.tflite") == RECORD


@pytest.mark.parametrize("found", VARIETY)
def test_jax_computes_any_network_from_stablehlo(found, tmp_path):
    network = sampled_network(found, 33)
    path = tmp_path / "model.stablehlo"
    stablehlo.write_stablehlo(network, path, RECORD)
    check_batches(stablehlo.open_stablehlo(path), network, 33)
    assert json.loads(stablehlo.record_path(path).read_text()) == RECORD


def test_a_stablehlo_file_is_for_every_platform(tmp_path):
    from jax import export

    path = tmp_path / "model.stablehlo"
    stablehlo.write_stablehlo(sampled_network(VARIETY[0], 17), path, RECORD)
    exported = export.deserialize(bytearray(path.read_bytes()))
    assert set(exported.platforms) == {"cpu", "cuda", "rocm", "tpu"}


def test_a_tflite_file_of_another_program_has_no_record(tmp_path):
    import tensorflow as tf

    function = tf.function(lambda x: x + 1, input_signature=[tf.TensorSpec([1], tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    (tmp_path / "other.tflite").write_bytes(converter.convert())
    with pytest.raises(UserError, match="`imagefec export` did not write"):
        tensorflow.read_tflite_record(tmp_path / "other.tflite")
