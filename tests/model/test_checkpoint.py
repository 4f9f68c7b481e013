"""Checkpoints: round trips, atomic writes, and refusal of broken or foreign files."""

import os
import pickle
import zipfile
from typing import NamedTuple

import jax
import numpy as np
import pytest

from imagefec.compat import ShapeDtype, tl
from imagefec.errors import UserError
from imagefec.model import checkpoint, convolution, layers, norms

FACE = ShapeDtype((1, 8, 8, 3), np.float32)


def small_model(filters: int = 4, seed: int = 0) -> tl.Serial:
    model = tl.Serial(
        tl.Serial(convolution.Conv(filters, 3), norms.BatchNorm(), layers.Relu(), name="Stem"),
        tl.Residual(convolution.Conv(filters, 1)),
        layers.GlobalMean(),
        tl.Dense(2),
    )
    model.init(FACE, rng=jax.random.PRNGKey(seed))
    return model


def test_arrays_and_meta_survive_a_round_trip(tmp_path):
    arrays = {
        "weights/0.Conv": np.arange(6, dtype=np.float32).reshape(2, 3),
        "step": np.array(7),
        "empty": np.zeros((0, 4), np.int8),
        "flags": np.array([True, False]),
        "half": np.ones(3, np.float16),
        "meta.json": np.ones(2),
    }
    meta = {"step": 7, "tpa": 0.5, "names": ["ä", None]}
    checkpoint.save(tmp_path / "model.npz", arrays, meta)
    found, found_meta = checkpoint.load(tmp_path / "model.npz")
    assert found_meta == meta and list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_numpy_itself_can_read_the_file(tmp_path):
    checkpoint.save(tmp_path / "model.npz", {"a/b": np.arange(3)}, {"step": 1})
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["a/b"], [0, 1, 2])


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.npz"
    checkpoint.save(path, {"a": np.ones(3)}, {"step": 1})
    with pytest.raises(ValueError, match="allow_pickle"):
        checkpoint.save(path, {"a": np.zeros(3), "b": np.array([object()])}, {"step": 2})
    assert list(tmp_path.iterdir()) == [path]
    assert checkpoint.load(path)[1] == {"step": 1}


def test_a_save_killed_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    checkpoint.save(path, {"a": np.ones(3)}, {"step": 1})

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, {"a": np.zeros(3)}, {"step": 2})
    assert list(tmp_path.iterdir()) == [path]
    assert checkpoint.load(path)[1] == {"step": 1}


def test_a_missing_file_is_refused_by_name():
    with pytest.raises(UserError, match=r"nowhere.*no such checkpoint"):
        checkpoint.load("nowhere/model.npz")


def test_a_directory_is_not_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        checkpoint.load(tmp_path)


def test_a_file_truncated_anywhere_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    checkpoint.save(path, {"a": np.arange(100.0), "b": np.arange(5)}, {"step": 1})
    complete = path.read_bytes()
    for length in range(0, len(complete), 97):
        path.write_bytes(complete[:length])
        with pytest.raises(UserError, match="broken one"):
            checkpoint.load(path)


def test_a_flipped_bit_in_an_array_is_detected(tmp_path):
    path = tmp_path / "model.npz"
    checkpoint.save(path, {"a": np.arange(100.0)}, {"step": 1})
    data = bytearray(path.read_bytes())
    data[data.index(np.arange(100.0).tobytes()) + 400] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="broken one"):
        checkpoint.load(path)


def test_other_zip_files_and_pickles_are_refused(tmp_path):
    plain = tmp_path / "plain.npz"
    np.savez(plain, a=np.ones(2))
    evil = tmp_path / "evil.npz"
    np.savez(evil, a=np.array([{"pickled": 1}], dtype=object))
    with zipfile.ZipFile(evil, "a") as archive:
        archive.writestr("meta.json", "{}")
    pickled = tmp_path / "pickled.npz"
    pickled.write_bytes(pickle.dumps({"a": 1}))
    for path in (plain, evil, pickled):
        with pytest.raises(UserError, match="not a checkpoint of Image FEC"):
            checkpoint.load(path)


def test_names_are_paths_through_the_layers():
    assert list(checkpoint.named_weights(small_model())) == [
        "weights/0.Stem/0.Conv",
        "weights/0.Stem/1.BatchNorm/0",
        "weights/0.Stem/1.BatchNorm/1",
        "weights/1.Serial/0.Branch/1.Parallel/1.Conv",
        "weights/3.Dense/0",
        "weights/3.Dense/1",
        "state/0.Stem/1.BatchNorm/0",
        "state/0.Stem/1.BatchNorm/1",
    ]


def test_weights_and_state_are_copied_to_another_model_through_a_file(tmp_path):
    first, second = small_model(seed=0), small_model(seed=1)
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    first(x)  # updates batch norm's running statistics
    checkpoint.save(tmp_path / "model.npz", checkpoint.named_weights(first), {})
    checkpoint.set_named_weights(second, checkpoint.load(tmp_path / "model.npz")[0])
    assert jax.tree.structure(second.weights) == jax.tree.structure(first.weights)
    jax.tree.map(
        np.testing.assert_array_equal, (second.weights, second.state), (first.weights, first.state)
    )
    np.testing.assert_array_equal(second(x), first(x))


def test_weights_of_a_training_step_can_be_named_instead_of_the_layers_own():
    model = small_model()
    doubled = jax.tree.map(lambda w: 2 * w, model.weights)
    found = checkpoint.named_weights(model, weights=doubled)
    np.testing.assert_array_equal(
        found["weights/0.Stem/0.Conv"], 2 * np.asarray(model.weights[0][0])
    )


def test_weights_shared_by_two_layers_are_stored_once():
    def shared(seed):
        dense = tl.Dense(3)
        model = tl.Serial(dense, tl.Relu(), dense)
        model.init(ShapeDtype((1, 3), np.float32), rng=jax.random.PRNGKey(seed))
        return model

    first, second = shared(0), shared(1)
    arrays = checkpoint.named_weights(first)
    assert list(arrays) == ["weights/0.Dense/0", "weights/0.Dense/1"]
    checkpoint.set_named_weights(second, arrays)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(second(x), first(x))


def test_the_first_array_of_another_shape_is_named_with_both_shapes_and_what_to_do():
    arrays = checkpoint.named_weights(small_model(filters=5))
    model = small_model(filters=4)
    before = checkpoint.named_weights(model)
    with pytest.raises(UserError) as error:
        checkpoint.set_named_weights(model, arrays, source="runs/a/best.npz")
    for part in (
        "runs/a/best.npz",
        "weights/0.Stem/0.Conv",
        "[3, 3, 3, 5]",
        "[3, 3, 3, 4]",
        "run.json",
    ):
        assert part in str(error.value)
    after = checkpoint.named_weights(model)
    for name in before:
        np.testing.assert_array_equal(after[name], before[name])


def test_a_missing_and_an_unknown_array_are_named():
    model = small_model()
    arrays = checkpoint.named_weights(model)
    extra = {**arrays, "weights/9.Dense/0": np.ones((2, 2))}
    with pytest.raises(UserError, match=r"weights/9\.Dense/0 of shape \[2, 2\] has no place"):
        checkpoint.set_named_weights(model, extra)
    del arrays["state/0.Stem/1.BatchNorm/1"]
    with pytest.raises(UserError, match=r"state/0\.Stem/1\.BatchNorm/1 is missing"):
        checkpoint.set_named_weights(model, arrays)


def test_optimizer_slots_beside_the_weights_are_ignored():
    model = small_model()
    arrays = {**checkpoint.named_weights(model), **checkpoint.named_leaves([np.ones(2)], "slots")}
    checkpoint.set_named_weights(model, arrays)


class Slot(NamedTuple):
    mean: np.ndarray
    square: np.ndarray


def test_nested_leaves_survive_a_round_trip_in_their_own_containers():
    tree = [(np.ones(2), ()), {"a": np.zeros(3), "b": ()}, Slot(np.arange(2), np.float32(3))]
    named = checkpoint.named_leaves(tree, "slots")
    assert list(named) == ["slots/0/0", "slots/1/a", "slots/2/0", "slots/2/1"]
    like = jax.tree.map(np.zeros_like, tree)
    filled = checkpoint.filled_leaves(like, named, "slots")
    assert jax.tree.structure(filled) == jax.tree.structure(tree) and isinstance(filled[2], Slot)
    jax.tree.map(np.testing.assert_array_equal, filled, tree)
    with pytest.raises(
        UserError, match=r"slots/0/0 is of shape \[2\]; the model requires shape \[4\]"
    ):
        checkpoint.filled_leaves([(np.ones(4),)], named, "slots")
