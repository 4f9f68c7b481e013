"""The crop stage: faces, counts, resumption, and errors of folders and csv files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from imagefec.data.crop import face_folder, worker
from imagefec.data.crop.stage import read_faces
from imagefec.data.fec_csv import FaceRef
from imagefec.data.fetch.stage import FetchConfig, fetch_photos
from imagefec.errors import UserError
from imagefec.faces.photos import read_photo
from imagefec.maths.geometry import Box

NO_FACE = Box(0.6, 0.9, 0.65, 0.95)
TINY = Box(0.4, 0.41, 0.2, 0.21)


def test_faces_are_cropped_as_rgb_from_the_grown_box(workspace):
    colours = np.zeros((200, 200, 3), np.uint8)
    colours[50:150, 50:150] = (255, 0, 0)  # a red box in a black photo
    url = workspace.photo("red.png", colours)
    inner = FaceRef(url, Box(0.35, 0.65, 0.35, 0.65))  # 60 px grow to 69, all red
    path = workspace.csv(
        [((inner, FaceRef(url, Box(0, 0.5, 0, 0.5)), FaceRef(url, Box(0, 1, 0, 1))), (0,))]
    )
    report = workspace.crop(path, detector="none")
    assert (report.n_faces, report.n_kept, report.n_upscaled) == (3, 3, 2)
    record = read_faces(workspace.faces)[inner.face_id]
    assert record.kept and record.upscaled and record.score == 1 and record.detector == "none"
    assert record.path == workspace.faces / inner.face_id[:2] / f"{inner.face_id}.png"
    face = read_photo(record.path)
    assert face.shape == (128, 128, 3) and (face == (255, 0, 0)).all()


def test_one_photo_is_decoded_once_for_all_its_faces(workspace, monkeypatch):
    reads = []
    monkeypatch.setattr(worker, "read_photo", lambda path: reads.append(path) or read_photo(path))
    report = workspace.crop(workspace.csv([workspace.astronaut_triplet()] * 3))
    assert len(reads) == 1 and report.n_faces == 3


def test_every_drop_is_counted_with_its_reason(workspace):
    gone = FaceRef((workspace.root / "photos/none.jpg").as_uri(), workspace.FACE)
    astronaut = FaceRef(workspace.photo("astronaut.png", skimage.data.astronaut()), workspace.FACE)
    path = workspace.csv(
        [
            workspace.astronaut_triplet(),
            workspace.astronaut_triplet(choices=(0, 1)),
            workspace.astronaut_triplet(choices=()),
            workspace.astronaut_triplet(third=gone),
            workspace.astronaut_triplet(third=FaceRef(astronaut.url, TINY)),
            workspace.astronaut_triplet(third=FaceRef(astronaut.url, NO_FACE)),
        ]
    )
    report = workspace.crop(path)
    (not_fetched,) = [
        reason for reason in report.dropped if reason.startswith("photo not fetched: ")
    ]
    assert report.dropped == {"box too small": 1, "no face found": 1, not_fetched: 1}
    assert report.n_faces == 6 and report.n_kept == 3
    train = report.triplets["train"]
    assert train["n_triplets"] == 6 and train["whole"] == 1
    assert train["lost"] == {
        "box too small": 1,
        "no face found": 1,
        "no votes": 1,
        "tie": 1,
        not_fetched: 1,
    }
    assert train["by_type"] == {
        "one_class": {"n_triplets": 2, "whole": 1},
        "two_class": {"n_triplets": 2, "whole": 0},
        "three_class": {"n_triplets": 2, "whole": 0},
    }
    assert json.loads((workspace.faces / "report.json").read_text()) == report.as_json()


def test_a_cached_file_that_is_not_a_photo_is_counted_and_not_fatal(workspace):
    path = workspace.csv([workspace.astronaut_triplet()])
    for cached in (workspace.cache / "objects").rglob("*"):
        if cached.is_file():
            cached.write_bytes(_jpeg_head_only().ljust(cached.stat().st_size, b"\0"))
    report = workspace.crop(path)
    assert report.dropped == {"not a photo: truncated image": 3}
    assert report.triplets["train"]["lost"] == {"not a photo: truncated image": 1}


def test_faces_whose_photo_arrives_later_are_cropped_by_the_next_run(workspace):
    late = workspace.root / "photos/late.png"
    triplet = workspace.astronaut_triplet(third=FaceRef(late.as_uri(), workspace.FACE))
    path = workspace.csv([triplet])
    assert workspace.crop(path).n_kept == 2
    Image.fromarray(skimage.data.astronaut()).save(late)
    fetch_photos([path], workspace.cache, FetchConfig(retry_failed=True))
    assert workspace.crop(path).n_kept == 3
    assert len((workspace.faces / "faces.csv").read_text().splitlines()) == 4


def test_two_splits_share_a_folder_and_are_counted_separately(workspace):
    train = workspace.csv([workspace.astronaut_triplet()])
    test = workspace.csv([workspace.astronaut_triplet()] * 2, workspace.TEST)
    report = workspace.crop(test, train)
    assert report.triplets["train"]["whole"] == 1 and report.triplets["test"]["whole"] == 2
    assert workspace.crop(test).triplets.keys() == {"test"}


def test_the_folder_has_the_same_bytes_for_any_order_of_work_and_number_of_processes(many):
    report = many.crop(many.path)
    assert (report.n_faces, report.n_kept) == (60, 30)
    spawned = many.crop(many.path, faces_dir=many.root / "spawned", workers=2)
    assert spawned == report
    assert many.contents(many.root / "spawned") == many.contents(many.faces)


def test_a_second_run_crops_only_what_is_missing(many, monkeypatch):
    report = many.crop(many.path)
    before = many.contents(many.faces)
    next(many.faces.glob("??/*.png")).unlink()
    next(many.faces.glob("??/*.png")).write_bytes(b"")
    cropped = []
    crop_photo = worker.crop_photo
    monkeypatch.setattr(
        worker, "crop_photo", lambda *job: cropped.extend(job[1]) or crop_photo(*job)
    )
    assert many.crop(many.path) == report
    assert len(cropped) == 2 and many.contents(many.faces) == before


def test_an_incomplete_last_line_is_removed(many):
    many.crop(many.path)
    before = many.contents(many.faces)
    manifest = many.faces / "faces.csv"
    manifest.write_bytes(before["faces.csv"][:-30])
    many.crop(many.path)
    assert many.contents(many.faces) == before


def test_a_worker_imports_nothing_heavy():
    code = "import sys, imagefec.data.crop.worker; print(*sys.modules)"
    env = os.environ | {"PYTHONPATH": str(Path(worker.__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    heavy = {
        "tensorflow",
        "jax",
        "trax",
        "tensorflow_datasets",
        "skimage",
        "scipy",
        "urllib3",
        "matplotlib",
    }
    assert not heavy & set(done.stdout.split())


def test_a_concurrent_crop_is_refused(workspace):
    path = workspace.csv([workspace.astronaut_triplet()])
    with (
        face_folder.locked(workspace.faces),
        pytest.raises(UserError, match=rf"another crop \(process {os.getpid()}\)"),
    ):
        workspace.crop(path)


def test_a_folder_that_cannot_be_written_is_a_user_error(workspace):
    path = workspace.csv([workspace.astronaut_triplet()])
    (workspace.root / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the faces.*--faces"):
        workspace.crop(path, faces_dir=workspace.root / "file" / "faces")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_a_user_error_and_the_crop_resumes(many, small_disk, workers):
    small_disk.resize("256k")
    with pytest.raises(UserError, match=r"No space left.*free some space.*resumes"):
        many.crop(many.path, faces_dir=small_disk.path, workers=workers)
    assert not (small_disk.path / "report.json").exists()
    small_disk.resize("64m")
    many.crop(many.path, faces_dir=small_disk.path)
    many.crop(many.path)
    assert many.contents(small_disk.path) == many.contents(many.faces)


def test_bad_rows_are_refused_or_counted(workspace):
    path = workspace.csv([workspace.astronaut_triplet()])
    with path.open("a") as file:
        file.write("no,row\n")
    with pytest.raises(UserError, match="line 2"):
        workspace.crop(path)
    assert workspace.crop(path, skip_bad_rows=True).triplets["train"]["rows_refused"] == 1


def test_progress_gets_every_face(many):
    class Bar:
        total, n, counts = None, 0, None

        def update(self, n):
            self.n += n

        def set_postfix(self, **counts):
            self.counts = counts

    for _ in range(2):  # the second crop finds all faces done
        bar = Bar()
        many.crop(many.path, progress=bar)
        assert (bar.total, bar.n, bar.counts) == (60, 60, {"kept": 30, "dropped": 30})


def test_a_folder_without_faces_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="run `imagefec crop` first"):
        read_faces(tmp_path)


@pytest.mark.parametrize(("line", "found"), [("a,b,c", "line 2"), ("\xe9", "UTF-8")])
def test_a_damaged_manifest_names_the_line(tmp_path, line, found):
    (tmp_path / "faces.csv").write_bytes(f"{face_folder.HEADER}\n{line}\n".encode("latin-1"))
    with pytest.raises(UserError, match=found):
        read_faces(tmp_path)


def test_a_manifest_without_settings_is_refused(workspace):
    path = workspace.csv([workspace.astronaut_triplet()])
    workspace.crop(path)
    (workspace.faces / "settings.json").unlink()
    with pytest.raises(UserError, match=r"no settings\.json"):
        workspace.crop(path)


def test_a_crop_without_workers_or_csv_files_is_a_callers_bug(workspace):
    path = workspace.csv([workspace.astronaut_triplet()])
    for paths, workers in (((path,), 0), ((), 1)):
        with pytest.raises(
            ValueError, match=r"at least one csv file|workers must be None or an integer of 1"
        ):
            workspace.crop(*paths, workers=workers)


def test_the_number_of_opencv_threads_is_restored(workspace):
    n_threads = cv2.getNumThreads()
    workspace.crop(workspace.csv([workspace.astronaut_triplet()]))
    assert cv2.getNumThreads() == n_threads


def _jpeg_head_only() -> bytes:
    _, data = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))
    return data.tobytes()[:30]
