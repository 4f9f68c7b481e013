"""Choosing train triplets by the margins of a run, which embeds faces as `serve` does."""

import json

import numpy as np
import pytest

from imagefec.faces.detectors import make_detector
from imagefec.serving.engine import OnnxEngine
from imagefec.serving.frames import FrameReader
from imagefec.serving.judging.margins import margins, margins_of
from imagefec.serving.judging.project import Settings, open_project
from tests.serving.judging.photos import Rater, write_photos
from tests.serving.servers import running_verb


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


def test_a_margin_is_the_gap_between_the_two_smallest_distances():
    vectors = {name: np.array([x, 0.0], np.float32) for name, x in zip("abcd", (0, 1, 4, 4))}
    triplets = [frozenset(names) for names in ("abc", "abz", "acd")]
    # distances 1, 3, 4; no z; 0, 4, 4
    assert margins(triplets, vectors) == pytest.approx([2, float("inf"), 4])
    assert margins([], vectors) == [] and margins(triplets[1:2], {}) == [float("inf")]


def test_faces_are_embedded_as_serve_embeds_their_photos(photos, model, tmp_path, no_model_files):
    (tmp_path / "out").mkdir()
    project = open_project(photos, tmp_path / "out", Settings())
    reader = FrameReader(OnnxEngine(model), make_detector("blazeface"))
    triplet = [name for name, split in project.splits.items() if split == "train"][:3]
    vectors = {
        name: reader.nearest_face(project.faces[name].photo.path.read_bytes()).embedding
        for name in triplet
    }
    test_face = next(name for name, split in project.splits.items() if split == "test")
    asked = [frozenset(triplet), frozenset([*triplet[:2], test_face])]
    of_run = margins_of(project, model)(asked)
    assert of_run[0] == pytest.approx(margins(asked[:1], vectors)[0], abs=1e-5)
    assert of_run[1] == float("inf")  # faces of test are not even embedded


def test_the_share_of_active_triplets_is_recorded(photos, model, tmp_path):
    out = tmp_path / "out"
    with running_verb("judge", photos, f"--out={out}", "--port=0", f"--run={model}") as server:
        Rater(server, "Anna").judge(40)
        server.stop()
    records = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    active = [each for each in records if each.get("source") == "active"]
    train = [each for each in records if each.get("split") == "train"]
    assert len(active) >= 8 and {each["split"] for each in active} == {"train"}
    assert all(0 <= each["margin"] < 2 for each in active)
    record = json.loads((out / "record.json").read_text())
    assert record["active_share"] == pytest.approx(len(active) / len(train), abs=1e-4)
    assert record["judgements"]["train"]["active"] == len(active)
    assert set(record["judgements"]["test"]) == {"common"}


def test_a_missing_run_is_refused_in_one_sentence(photos, tmp_path, capsys):
    from imagefec import cli

    arguments = ["judge", str(photos), f"--out={tmp_path / 'out'}", "--port=0"]
    assert cli.main([*arguments, f"--run={tmp_path / 'none'}"]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err.splitlines()[-1]
