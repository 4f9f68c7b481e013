"""The list of operations against Trax's network: arrays, values, and refusals."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagefec.compat import ShapeDtype
from imagefec.errors import UserError
from imagefec.model import Embedder, ImageFEC, checkpoint
from imagefec.model.forward import RunNetwork
from imagefec.model.network import load_network, operations
from imagefec.model.network.architecture import Architecture
from imagefec.model.network.graph import network_of
from imagefec.model.network.load import folded, stored_arrays
from imagefec.model.run import Run
from tests.model.network.numpy_network import run_network
from tests.model.network.small_networks import SIDES, VARIETY, settings_of_networks, some_faces
from tests.model.network.small_runs import trax_arrays, write_run


@settings(max_examples=10)
@given(settings_of_networks(), st.sampled_from(SIDES), st.booleans())
def test_the_arrays_are_those_of_the_trax_network(found, side, zero_init):
    found["zero_init_residual"] = zero_init and found["norm"] == "batch"
    stored = stored_arrays(network_of(Architecture(**found), side))
    assert {name: array.shape for name, array in stored.items()} == {
        name: tuple(array.shape) for name, array in trax_arrays(found, side).items()
    }


@settings(max_examples=4)
@given(settings_of_networks(), st.sampled_from(SIDES), st.integers(0, 2**16))
@example(VARIETY[0], 33, 0)
@example(VARIETY[1], 32, 0)
@example(VARIETY[2], 17, 0)
@example(VARIETY[3], 32, 0)
def test_a_loaded_network_equals_the_embedder(found, side, seed):
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder) / "run", found, side, seed)
        faces = some_faces(3, side, seed)
        expected = Embedder.load(run).embed(faces)
        network = load_network(run)
    assert network.d_embedding == found["d_embedding"]
    np.testing.assert_allclose(run_network(network, faces), expected, atol=1e-4)


@pytest.mark.parametrize("found", VARIETY)
@pytest.mark.parametrize("side", SIDES)
def test_the_embedder_computes_what_the_trax_network_does(tmp_path, found, side):
    run = write_run(tmp_path / "run", found, side)
    faces, embedder = some_faces(3, side), Embedder.load(run)
    arrays, _ = checkpoint.load(run / "best.npz")
    model = ImageFEC(**found, mode="eval")
    model.init(ShapeDtype((1, side, side, 3), np.uint8))
    checkpoint.set_named_weights(model, arrays)
    np.testing.assert_allclose(embedder.embed(faces), model(faces), atol=1e-6)
    in_memory = Embedder(model, side)  # the same bytes in the same order
    assert embedder.identity.digest == in_memory.identity.digest


def test_layers_are_ordered_by_number_in_a_digest(tmp_path):
    found = {"d_hidden": 2, "stage_blocks": [8, 3], "fc_widths": [3], "d_embedding": 2}
    run = RunNetwork(Run.open(write_run(tmp_path / "run", found, 17)))
    assert run._names == list(trax_arrays(found, 17))


def test_the_arrays_of_resnet_50_are_those_of_the_trax_network():
    stored = stored_arrays(network_of(Architecture(), 128))
    assert {name: array.shape for name, array in stored.items()} == {
        name: tuple(array.shape) for name, array in trax_arrays({}, 128).items()
    }


def test_batch_norms_are_folded_into_the_convolutions_before_them(tmp_path):
    network = load_network(write_run(tmp_path / "run", {"d_hidden": 2, "stage_blocks": [1, 1]}, 32))
    kinds = [type(step.operation) for step in network.steps]
    # The stem, two bottlenecks of three convolutions, and a projection for each.
    assert kinds.count(operations.Convolution) == 1 + 2 * 4
    assert operations.BatchNorm not in kinds
    assert all(
        step.operation.bias is not None
        for step in network.steps
        if isinstance(step.operation, operations.Convolution)
    )


def test_a_folded_pair_computes_what_the_pair_does():
    conv = operations.Convolution(np.full((1, 1, 1, 2), 3, np.float32), None, 1, (0, 0))
    norm = operations.BatchNorm(
        *(np.array(pair, np.float32) for pair in ([2, 1], [5, 7], [4, 0], [9, 1])), epsilon=0
    )
    steps = (operations.Step(conv, (0,), (1, 1, 2)), operations.Step(norm, (1,), (1, 1, 2)))
    (step,) = folded(operations.Network(1, steps)).steps
    # (3 x - 4) / 3 * 2 + 5 = 2 x + 7 / 3, and 3 x + 7.
    np.testing.assert_allclose(step.operation.kernel.ravel(), [2, 3], rtol=1e-6)
    np.testing.assert_allclose(step.operation.bias, [7 / 3, 7], rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ({"norm": "layer"}, "norm must be one of batch, group, frn, none; found 'layer'"),
        ({"d_hidden": 5000}, "d_hidden must be an integer, 1 to 1,024; found 5000"),
        ({"colour": "red"}, "colour"),
        ({"norm": "group", "zero_init_residual": True}, "zero_init_residual needs norm 'batch'"),
    ],
)
def test_settings_of_no_network_are_refused(tmp_path, model, what):
    run = write_run(tmp_path / "run", {"d_hidden": 2, "stage_blocks": [1]}, 32)
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "model": model}))
    with pytest.raises(UserError, match=what):
        load_network(run)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    run = write_run(tmp_path / "run", {"d_hidden": 2, "stage_blocks": [1]}, 32)
    info = json.loads((run / "run.json").read_text())
    info["model"]["d_hidden"] = 3
    (run / "run.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=r"Conv is of shape \[7, 7, 3, 2\]; the model requires"):
        load_network(run)
