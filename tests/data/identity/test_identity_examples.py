"""Examples of a manual directory of synthetic identities, and the report of dropped photos."""

import cv2
import numpy as np
import pytest

from imagefec.data.identity import identity_examples
from imagefec.data.identity.folders import face_id
from imagefec.errors import UserError
from imagefec.faces.synthetic.heads.expressions import WORDS, sample_expression
from imagefec.faces.synthetic.heads.people import sample_person
from imagefec.faces.synthetic.photo import encode_jpeg, render_photo


def render_identities(split_dir, photos_of):
    """Renders each identity's photos: 1.jpg, 2.jpg, ..."""
    for number, (name, n) in enumerate(photos_of.items()):
        rng = np.random.default_rng(20 + number)  # identities whose face haar and lbp both find
        person = sample_person(rng)
        (split_dir / name).mkdir(parents=True)
        for i in range(n):
            photo, _ = render_photo(
                rng, [(person, sample_expression(rng, int(rng.integers(len(WORDS)))))]
            )
            (split_dir / name / f"{i + 1}.jpg").write_bytes(encode_jpeg(rng, photo))
    return split_dir


@pytest.fixture
def root(tmp_path):
    render_identities(tmp_path / "dir" / "train", {"n1": 3, "n2": 2, "n3": 1})
    return tmp_path / "dir"


def manual_dir(root, detector="haar", boxes="detector"):
    return identity_examples.ManualDir(
        root,
        root.parent / "cache",
        identity_examples.DetectionSettings.resolve(detector, boxes=boxes),
    )


def examples(root, split="train", n_triplets=None, **more):
    manual = manual_dir(root, **more)
    report = manual.report(split)
    faces = manual.faces(split, report)
    identity_examples.sample_examples("triplets", n_triplets, 0, faces, report)
    return make("triplets", faces, n_triplets), report


def make(layout, faces, n_triplets=None):
    return [
        identity_examples.make_example(layout, faces.read, places)
        for places in identity_examples.plan_examples(layout, n_triplets, 0, faces)
    ]


def test_triplets_are_two_photos_of_one_identity_and_one_of_another(root):
    made, report = examples(root)
    # 4 * 6 are requested and 13 possible: n1 has 3 pairs x 3 others, n2 has 1 pair x 4 others.
    assert len({key for key, _ in made}) == len(made) == 13
    for key, example in made:
        one, two, other = example["identities"]
        assert one == two != other and example["odd"] == 2
        assert len({example[f"image_{x}"] for x in "abc"}) == 3
        assert example["urls"] == [url for url in example["urls"] if (root / url).is_file()]
        assert example["face_ids"] == [face_id(*url.split("/")) for url in example["urls"]]
        assert key == "_".join(example["face_ids"])
    assert report.as_json() | {"upscaled": None} == {
        "folder": "train",
        "people": 3,
        "people_with_one_face": 1,
        "people_also_in_train": 0,
        "photos": 6,
        "faces": 6,
        "upscaled": None,
        "stray_files": 0,
        "left_out": {},
        "dropped": {},
        "triplets_asked": 24,
        "examples": 13,
    }


def test_the_face_is_where_it_was_rendered(root):
    manual = manual_dir(root)
    face = manual.faces("train", manual.report("train"))[0]
    left, right, top, bottom = face.box
    rng = np.random.default_rng(20)
    _, [rendered] = render_photo(
        rng, [(sample_person(rng), sample_expression(rng, int(rng.integers(len(WORDS)))))]
    )
    assert (
        left < (rendered.left + rendered.right) / 2 < right
        and top < (rendered.top + rendered.bottom) / 2 < bottom
    )
    example = identity_examples.face_example(face)
    assert cv2.imdecode(np.frombuffer(example.pop("image"), np.uint8), cv2.IMREAD_COLOR).shape == (
        128,
        128,
        3,
    )
    np.testing.assert_allclose(example.pop("box"), face.box, rtol=1e-6)
    assert example == {
        "face_id": face_id("train", "n1", "1.jpg"),
        "url": "train/n1/1.jpg",
        "identity": "n1",
        "label": 0,
    }


def test_each_face_is_one_example_under_its_id(root):
    manual, report = manual_dir(root), identity_examples.IdentitySplitReport("train")
    faces = manual.faces("train", report)
    made = make("faces", faces)
    assert [(example["identity"], example["label"]) for _, example in made] == [("n1", 0)] * 3 + [
        ("n2", 1)
    ] * 2 + [("n3", 2)]
    assert (
        len({key for key, _ in made})
        == len(identity_examples.sample_examples("faces", None, 0, faces, report))
        == report.examples
        == 6
    )
    assert all(key == example["face_id"] for key, example in made)


@pytest.mark.parametrize("n", [1, 5])
def test_each_split_has_as_many_triplets_as_requested(root, n):
    render_identities(root / "test", {"m1": 2, "m2": 2})
    assert [len(examples(root, split, n)[0]) for split in ("train", "test")] == [n, min(n, 4)]


def test_photos_and_folders_without_a_face_are_counted_under_their_reasons(root):
    train = root / "train"
    (train / "n1" / "2.jpg").write_bytes((train / "n1" / "1.jpg").read_bytes())
    (train / "n1" / "4.jpg").write_bytes(b"\xff\xd8 torn")
    cv2.imwrite(str(train / "n2" / "3.jpg"), np.full((80, 80, 3), 200, np.uint8))
    (train / "n3" / "1.jpg").write_bytes(b"")
    (train / "n4").mkdir()
    render_identities(train, {"n5": 1})
    (root / "exclude.txt").write_text("# on request\nn5\nn2/2.jpg\n")
    (root / "labels.csv").touch()
    manual = manual_dir(root)
    report = manual.report("train")
    manual.faces("train", report)
    assert report.as_json() | {"upscaled": None} == {
        "folder": "train",
        "people": 2,
        "people_with_one_face": 1,
        "people_also_in_train": 0,
        "photos": 8,
        "faces": 3,
        "upscaled": None,
        "stray_files": 0,
        "triplets_asked": None,
        "examples": 0,
        "left_out": {"excluded": 1, "no pictures in the folder": 1, "no usable photo": 1},
        "dropped": {
            "excluded": 1,
            "no face found": 1,
            "not a photo": 2,
            "same file as another photo of the person": 1,
        },
    }
    assert "3 faces of 2 identities from 8 photos; dropped: 2 not a photo, " in str(report)


def test_too_few_faces_for_a_triplet_are_an_error_with_the_reasons(root):
    for name in ("n1/2.jpg", "n1/3.jpg", "n2/2.jpg"):
        (root / "train" / name).write_text("not an image")
    with pytest.raises(
        UserError,
        match=r"3 identities from 6 photos; dropped: 3 not a photo.*two photos of one of them",
    ):
        examples(root)


def test_a_split_without_a_face_is_an_error_with_the_reasons(root):
    for path in (root / "train").glob("*/*.jpg"):
        cv2.imwrite(str(path), np.full((80, 80, 3), 200, np.uint8))
    with pytest.raises(UserError, match=r"split train: none of 6 photos has a face.*no face found"):
        examples(root)


def test_loose_boxes_are_found_before_any_crop(root):
    with pytest.raises(UserError, match=r"requires loose_bb_train\.csv; found none"):
        manual_dir(root, boxes="loose_bb")
    (root / "loose_bb_train.csv").write_text(
        "NAME_ID,X,Y,W,H\nn1/1,30,30,150,150\nn1/2,30,30,150,150\nn2/1,30,30,150,150\n"
    )
    made, report = examples(root, detector="none", boxes="loose_bb")
    assert len(made) == 1 and report.dropped == {"no box in loose_bb": 3}
