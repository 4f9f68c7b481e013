"""A small ONNX model for tests, and pictures of synthetic faces to send."""

import numpy as np

from imagefec.faces.synthetic import photo
from imagefec.faces.synthetic.heads import expressions, people


def write_model(path, image_size=64, d=16, seed=0, scale=1.0):
    """Writes uint8 [n, s, s, 3] -> float [n, d]: a random projection of an 8 x 8 grid of means."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    cell = image_size // 8
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(8 * 8 * 3, d)).astype(np.float32)
    weights -= weights.mean(0)  # light alone changes nothing
    constants = {
        "half": np.float32(127.5),
        "weights": weights,
        "scale": np.float32(scale),
    }
    nodes = [
        helper.make_node("Cast", ["faces"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "half"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["nchw"], ["grid"], kernel_shape=[cell, cell], strides=[cell, cell]
        ),
        helper.make_node("Flatten", ["grid"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
        helper.make_node("LpNormalization", ["raw"], ["unit"], axis=1, p=2),
        helper.make_node("Mul", ["unit", "scale"], ["embeddings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info(
                "faces", TensorProto.UINT8, ["n", image_size, image_size, 3]
            )
        ],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", d])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"imagefec": "{}"})  # as a file of `imagefec export`
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def render(word, seed=3, person=7):
    """A JPEG of one synthetic head; only the expression differs between words."""
    head = people.sample_person(np.random.default_rng(person))
    rng = np.random.default_rng(seed)
    rendered, _ = photo.render_photo(rng, [(head, expressions.PROTOTYPES[word])])
    return photo.encode_jpeg(rng, rendered)
