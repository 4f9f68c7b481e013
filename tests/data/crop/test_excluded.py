"""Crops with an exclusion list: which faces are dropped, deleted and cropped again."""

import json

import pytest
import skimage.data

from imagefec.data.crop import face_folder, worker
from imagefec.data.crop.stage import read_faces
from imagefec.data.fec_csv import FaceRef
from imagefec.errors import UserError
from imagefec.faces.photos import read_photo
from imagefec.maths.geometry import Box


def test_excluded_faces_are_dropped_with_their_reason_and_their_photos_are_not_opened(
    many, monkeypatch
):
    reads = []
    monkeypatch.setattr(worker, "read_photo", lambda path: reads.append(path) or read_photo(path))
    # The first photo with its two faces, and the face that is found in the second.
    by_url, by_id = many.refs[0], many.refs[2]
    report = many.crop(many.path, exclude=many.exclude(by_url.url, by_id.face_id))
    assert len(reads) == 29
    assert report.dropped["excluded"] == 3 and report.n_kept == 28 and report.n_faces == 60
    assert report.triplets["train"]["lost"]["excluded"] == 1  # faces 0, 1, 2 make one triplet
    records = read_faces(many.faces)
    for ref in many.refs[:3]:
        assert records[ref.face_id] == face_folder.FaceRecord(
            False, "excluded", records[ref.face_id].detector, None, False, None
        )
    assert json.loads((many.faces / "report.json").read_text())["dropped"]["excluded"] == 3


def test_a_longer_list_deletes_faces_and_an_empty_one_crops_them_again(many):
    everything = many.contents_after("everything")
    first, second, third = (many.refs[k] for k in (0, 4, 8))
    few = many.exclude(first.face_id)
    more = many.exclude(first.face_id, second.url, third.face_id, path="more.txt")
    assert many.crop(many.path).n_kept == 30
    assert many.crop(many.path, exclude=few).n_kept == 29
    assert many.contents(many.faces) == many.contents_after("few", exclude=few)
    assert many.crop(many.path, exclude=more).n_kept == 27
    assert many.contents(many.faces) == many.contents_after("more", exclude=more)
    assert not any(list(many.faces.rglob(f"{ref.face_id}*")) for ref in (first, second, third))
    assert many.crop(many.path, exclude=few).n_kept == 29
    assert many.contents(many.faces) == many.contents_after("few")
    assert many.crop(many.path, exclude=many.exclude(path="empty.txt")).n_kept == 30
    assert many.contents(many.faces) == everything


def test_excluded_faces_are_the_same_for_any_number_of_processes(many):
    listed = many.exclude(many.refs[0].url, *(ref.face_id for ref in many.refs[4:40:6]))
    report = many.crop(many.path, exclude=listed)
    spawned = many.crop(many.path, exclude=listed, faces_dir=many.root / "spawned", workers=2)
    assert spawned == report
    assert many.contents(many.root / "spawned") == many.contents(many.faces)


def test_faces_of_another_csv_in_the_folder_are_excluded_too(workspace):
    train = workspace.csv([workspace.astronaut_triplet()])
    other = workspace.photo("other.png", skimage.data.astronaut()[:, ::-1])
    mirrored = FaceRef(
        other,
        Box(
            1 - workspace.FACE.right,
            1 - workspace.FACE.left,
            workspace.FACE.top,
            workspace.FACE.bottom,
        ),
    )
    test = workspace.csv([workspace.astronaut_triplet(third=mirrored)], workspace.TEST)
    assert workspace.crop(test).n_kept == 3
    report = workspace.crop(train, exclude=workspace.exclude(other))
    assert "excluded" not in report.dropped  # the report is about the csv files given
    assert read_faces(workspace.faces)[mirrored.face_id].reason == "excluded"
    assert not list(workspace.faces.rglob(f"{mirrored.face_id}*"))
    assert workspace.crop(train, test).n_kept == 4


def test_an_excluded_png_is_deleted_even_if_a_killed_crop_did_not_list_it(workspace):
    path = workspace.csv([workspace.astronaut_triplet()])
    workspace.crop(path)
    manifest = workspace.faces / "faces.csv"
    face_id = manifest.read_text().splitlines()[-1].split(",")[0]
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))
    report = workspace.crop(path, exclude=workspace.exclude(face_id))
    assert (
        report.dropped == {"excluded": 1}
        and not face_folder.face_path(workspace.faces, face_id).exists()
    )


def test_a_list_that_cannot_be_read_is_an_error_before_any_work(workspace):
    path = workspace.csv([workspace.astronaut_triplet()])
    with pytest.raises(UserError, match=r"gone\.txt.*nothing was done"):
        workspace.crop(path, exclude=workspace.root / "gone.txt")
    assert not workspace.faces.exists()
