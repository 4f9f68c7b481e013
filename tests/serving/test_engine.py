import numpy as np
import pytest

from imagefec.errors import UserError
from imagefec.serving.engine import OnnxEngine
from tests.serving.models import write_model


def test_the_engine_computes_the_model_s_vectors(tmp_path):
    engine = OnnxEngine(write_model(tmp_path / "m.onnx", image_size=32, d=8, seed=4), threads=1)
    assert (engine.image_size, engine.d_embedding, engine.name) == (32, 8, "m.onnx")
    faces = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    # The oracle: means of 4 x 4 pixels, projected, to unit length.
    grid = (faces - 127.5).reshape(5, 8, 4, 8, 4, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    weights = np.random.default_rng(4).normal(size=(192, 8)).astype(np.float32)
    raw = grid.reshape(5, -1) @ (weights - weights.mean(0))
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(engine.embed(faces), expected, atol=1e-5)


def test_the_same_file_has_the_same_digest_and_another_file_another(tmp_path):
    first, again, other = (
        OnnxEngine(write_model(tmp_path / f"{i}.onnx", seed=seed)).digest
        for i, seed in enumerate((0, 0, 1))
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "cannot load it"), (b"hello", "cannot load it"), (None, "cannot be read")],
)
def test_what_is_no_model_is_refused(tmp_path, content, reason):
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        OnnxEngine(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_refused(tmp_path, share):
    path = write_model(tmp_path / "m.onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=r"cannot load it|cannot be run|did not write"):
        OnnxEngine(path)


@pytest.mark.parametrize("scale", [2.0, 0.0, float("nan")])
def test_a_model_whose_vectors_are_not_of_unit_length_is_refused(tmp_path, scale):
    with pytest.raises(UserError, match="diverged"):
        OnnxEngine(write_model(tmp_path / "m.onnx", scale=scale))


def test_a_model_of_another_kind_is_refused(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("faces", TensorProto.FLOAT, [1, 3])
    result = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [1, 3])
    node = helper.make_node("Relu", ["faces"], ["embeddings"])
    graph = helper.make_graph([node], "g", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    with pytest.raises(UserError, match="`imagefec export` did not write"):
        OnnxEngine(path)
    helper.set_model_props(model, {"imagefec": "{}"})
    onnx.save(model, path)
    with pytest.raises(UserError, match=r"takes uint8 \[n, size, size, 3\]"):
        OnnxEngine(path)
