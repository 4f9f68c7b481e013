"""Synthetic faces as files: FEC's format, raters' choices, splits, and faces that are detected."""

# Over 350 lines: its tests share rendered faces.

import csv
import errno
import hashlib
import urllib.request

import numpy as np
import pytest

from imagefec.data.annotations import read_annotations
from imagefec.data.crop.expressions import read_expressions
from imagefec.data.fec_csv import FaceRef, RowReport, read_rows
from imagefec.errors import UserError
from imagefec.faces.crop import crop_face
from imagefec.faces.detectors import haar_file, make_detector
from imagefec.faces.photos import read_photo
from imagefec.faces.synthetic import dataset, render_dataset, split_plans
from imagefec.faces.synthetic.heads.expressions import CONTROLS, SALIENCE, WORDS
from imagefec.faces.synthetic.heads.people import sample_person
from imagefec.faces.synthetic.raters import Raters
from imagefec.fec import TripletType
from imagefec.maths.geometry import Box

ROOT = "http://synthetic.example/some faces"
SIZE = {"faces": 500, "identities": 24, "triplets": 900}
SPLITS = ("train", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return render_dataset(
        tmp_path_factory.mktemp("synthetic") / "one", **SIZE, url_root=ROOT, seed=3, workers=1
    )


@pytest.fixture(scope="module")
def rows(folder):
    reports = {split: RowReport() for split in SPLITS}
    found = {split: list(read_rows(csv_of(folder, split), reports[split])) for split in SPLITS}
    assert all(not report.refused for report in reports.values())
    return found


@pytest.fixture(scope="module")
def truth(folder, rows):
    """(word, controls) of each (url, box), for photos all of whose faces the csv files name."""
    boxes, shown = {}, {}
    for row in rows["train"] + rows["test"]:
        for ref in row.faces:
            boxes.setdefault(ref.url, set()).add(ref.box)
    for record in table(folder, "controls.csv"):
        controls = np.array([float(record[name]) for name in CONTROLS])
        shown.setdefault(f"{ROOT}/{record['image']}", []).append((record["word"], controls))
    return {
        (url, box): fact
        for url in boxes
        if len(boxes[url]) == len(shown[url])
        for box, fact in zip(sorted(boxes[url], key=lambda box: box.left), shown[url])
    }


def csv_of(folder, split):
    return folder / f"faceexp-comparison-data-{split}-public.csv"


def table(folder, name):
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def facts_of(row, truth):
    """What the three faces of a row show; None if one of them is not in `truth`."""
    facts = [truth.get((ref.url, ref.box)) for ref in row.faces]
    return None if None in facts else facts


def bytes_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def urls_of(rows):
    return {ref.url for row in rows for ref in row.faces}


def test_a_seed_gives_the_same_bytes_with_one_worker_and_with_two(folder):
    again = render_dataset(folder.parent / "two", **SIZE, url_root=ROOT, seed=3, workers=2)
    assert bytes_of(again) == bytes_of(folder)


def test_another_seed_gives_other_bytes(folder):
    other = bytes_of(
        render_dataset(folder.parent / "other", **SIZE, url_root=ROOT, seed=4, workers=1)
    )
    first = bytes_of(folder)
    names = first.keys() & other.keys() - {"draw.lock"}  # empty
    assert all(first[name] != other[name] for name in names)


def test_there_are_as_many_faces_rows_and_identities_as_requested(folder, rows):
    faces = table(folder, "identities.csv")
    assert len(faces) == 500 and sum(face["split"] == "test" for face in faces) == 100
    assert len(rows["train"]) == 720 and len(rows["test"]) == 180
    assert 12 < len({face["identity"] for face in faces}) <= 24


def test_identities_and_controls_list_the_same_faces(folder):
    places = [
        [(row["image"], row["position"]) for row in table(folder, name)]
        for name in ("identities.csv", "controls.csv")
    ]
    assert places[0] == places[1] and len(set(places[0])) == len(places[0])
    assert {row["word"] for row in table(folder, "controls.csv")} == set(WORDS)


def test_the_labels_are_the_expressions_of_the_csv_files_faces(folder, rows, truth):
    labels = read_expressions([csv_of(folder, "train")])
    ids = {face.face_id for split in SPLITS for row in rows[split] for face in row.faces}
    assert len(labels) == 500 and ids <= labels.keys()
    for (url, box), (word, _) in truth.items():
        assert labels[FaceRef(url, box).face_id] == word


def test_train_and_test_share_neither_identities_nor_photos(folder, rows):
    faces = table(folder, "identities.csv")
    photos = {
        split: {f"{ROOT}/{face['image']}" for face in faces if face["split"] == split}
        for split in SPLITS
    }
    identities = {
        split: {face["identity"] for face in faces if face["split"] == split} for split in SPLITS
    }
    assert not identities["train"] & identities["test"] and not photos["train"] & photos["test"]
    for split in SPLITS:
        assert urls_of(rows[split]) <= photos[split]


def test_a_validation_split_has_its_own_identities_and_does_not_change_the_test_split(tmp_path):
    plain = render_dataset(
        tmp_path / "two",
        faces=300,
        identities=10,
        triplets=12,
        test_fraction=0.3,
        url_root="http://x",
        workers=1,
    )
    three = render_dataset(
        tmp_path / "three",
        faces=300,
        identities=10,
        triplets=12,
        test_fraction=0.3,
        url_root="http://x",
        workers=1,
        validation_fraction=0.3,
    )
    rows = {
        split: (three / f"faceexp-comparison-data-{split}-public.csv").read_text().splitlines()
        for split in ("train", "test", "validation")
    }
    assert [len(rows[split]) for split in rows] == [4, 4, 4]
    name = "faceexp-comparison-data-test-public.csv"
    assert (plain / name).read_bytes() == (three / name).read_bytes()
    identities = {(face["split"], face["identity"]) for face in table(three, "identities.csv")}
    assert {split: sum(of == split for of, _ in identities) for split in rows} == {
        "train": 4,
        "test": 3,
        "validation": 3,
    }
    assert len({identity for _, identity in identities}) == 10


def test_no_identity_is_in_both_splits_under_two_names(tmp_path, monkeypatch):
    people = []
    monkeypatch.setattr(
        split_plans, "sample_person", lambda rng: people.append(sample_person(rng)) or people[-1]
    )
    render_dataset(tmp_path, faces=200, identities=10, triplets=6, test_fraction=0.5, workers=1)
    assert len({tuple(person.skin) for person in people}) == len(people) == 10


def test_every_url_has_a_photo_and_no_temporary_file_is_left(folder, rows):
    for url in urls_of(rows["train"] + rows["test"]):
        assert (folder / url.removeprefix(f"{ROOT}/")).is_file()
    assert not list(folder.rglob(".*"))


def test_urls_are_file_urls_by_default(tmp_path):
    rendered = render_dataset(
        tmp_path / "a b", faces=200, identities=4, triplets=6, test_fraction=0.5, workers=1
    )
    for url in urls_of(read_rows(csv_of(rendered, "train"))):
        with urllib.request.urlopen(url) as photo:
            assert photo.read(2) == b"\xff\xd8"  # a JPEG


def test_some_urls_contain_commas_and_some_photos_several_faces(folder, rows):
    with_comma = [url for url in urls_of(rows["train"]) if "," in url]
    assert 0 < len(with_comma) < len(urls_of(rows["train"])) / 4
    assert any(face["position"] != "0" for face in table(folder, "identities.csv"))


@pytest.mark.parametrize("split", SPLITS)
def test_the_three_types_are_about_equally_frequent(rows, split):
    shares = [np.mean([row.type == kind for row in rows[split]]) for kind in TripletType]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.05)


def test_types_agree_with_how_many_labels_the_faces_share(rows, truth):
    judged = [(row.type, facts_of(row, truth)) for row in rows["train"] + rows["test"]]
    judged = [(kind, len({word for word, _ in facts})) for kind, facts in judged if facts]
    assert len(judged) > 450
    assert all(n_labels == kind + 1 for kind, n_labels in judged)


def test_a_row_names_three_different_faces(rows):
    assert all(len({ref.face_id for ref in row.faces}) == 3 for row in rows["train"] + rows["test"])


def test_boxes_are_fractions_with_room_inside(rows):
    for box in {ref.box for row in rows["train"] + rows["test"] for ref in row.faces}:
        assert 0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1
        assert box.width > 0.1 and box.height > 0.3


def test_most_rows_have_six_raters_and_some_seven_or_eight(rows):
    counts = [len(row.choices) for row in rows["train"] + rows["test"]]
    assert set(counts) <= {6, 7, 8} and max(counts) > 6
    assert np.mean(np.array(counts) == 6) > 0.8


def test_no_rater_judges_a_row_twice(rows):
    assert all(len(set(row.annotators)) == len(row.choices) for row in rows["train"])


def test_raters_agree_with_the_truth_far_above_chance(rows, truth):
    correct, choices = [], []
    for row in rows["train"] + rows["test"]:
        if row.odd is not None and (facts := facts_of(row, truth)):
            a, b, c = (SALIENCE * controls for _, controls in facts)
            odd = int(
                np.argmin([np.linalg.norm(b - c), np.linalg.norm(a - c), np.linalg.norm(a - b)])
            )
            correct.append(row.odd == odd)
            choices += [choice == odd for choice in row.choices]
    assert len(correct) > 400
    # Chance is 1/3, and raters are not unanimous.
    assert np.mean(correct) > 0.75 and 0.6 < np.mean(choices) < 0.98


def test_the_odd_face_is_at_each_position_equally_often(rows):
    places = np.bincount([row.odd for row in rows["train"] if row.odd is not None], minlength=3)
    np.testing.assert_allclose(places / places.sum(), 1 / 3, atol=0.08)


def test_a_few_rows_tie_and_most_do_not(rows):
    assert 0 < np.mean([row.odd is None for row in rows["train"]]) < 0.2


def test_raters_agree_on_a_clear_case():
    expressions = np.zeros((3, len(CONTROLS)), np.float32)
    expressions[1, CONTROLS.index("jaw_drop")] = 1
    choices = [
        choice
        for i in range(20)
        for _, choice in Raters(0).judge(np.random.default_rng(i), expressions)
    ]
    assert set(choices) == {1}


@pytest.mark.skipif(haar_file() is None, reason="this OpenCV has no Haar cascade")
def test_a_detector_finds_nine_of_ten_faces(folder, rows):
    refs = list(dict.fromkeys(ref for row in rows["train"] for ref in row.faces))[:150]
    detector = make_detector("haar")
    crops = [
        crop_face(read_photo(folder / ref.url.removeprefix(f"{ROOT}/")), ref.box, detector)
        for ref in refs
    ]
    assert len(crops) == 150 and np.mean([crop.reason == "" for crop in crops]) >= 0.9


def test_progress_counts_every_photo_once(tmp_path):
    rendered = []
    render_dataset(
        tmp_path,
        faces=200,
        identities=4,
        triplets=6,
        test_fraction=0.5,
        workers=1,
        progress=rendered.append,
    )
    assert sum(rendered) == len(list(tmp_path.rglob("*.jpg")))


@pytest.mark.parametrize(
    ("bad", "flag"),
    [
        ({"test_fraction": 0}, "--test_fraction"),
        ({"test_fraction": 1}, "--test_fraction"),
        ({"test_fraction": -0.2}, "--test_fraction"),
        ({"test_fraction": float("nan")}, "--test_fraction"),
        ({"validation_fraction": -0.1}, "--validation_fraction"),
        ({"test_fraction": 0.5, "validation_fraction": 0.5}, "--validation_fraction"),
        ({"validation_fraction": 0.01}, "--faces"),
        ({"faces": 0}, "--faces"),
        ({"faces": 100}, "--faces"),
        ({"identities": 1}, "--identities"),
        ({"triplets": 1}, "--triplets"),
        ({"identities": 2, "test_fraction": 0.8}, "--identities"),
        ({"triplets": 2, "test_fraction": 0.8}, "--triplets"),
    ],
)
def test_numbers_that_leave_a_split_empty_are_refused_by_name(tmp_path, bad, flag):
    with pytest.raises(UserError, match=flag):
        render_dataset(tmp_path / "never", **{**SIZE, "workers": 1, **bad})
    assert not (tmp_path / "never").exists()


def test_a_file_in_place_of_the_folder_is_an_error_that_names_it(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=r"taken.*Choose a writable folder"):
        render_dataset(tmp_path / "taken" / "faces", **SIZE, workers=1)


def test_a_full_disk_is_a_user_error(tmp_path, monkeypatch):
    def full(path, data, durable=True):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(dataset.files, "write_bytes", full)
    with pytest.raises(UserError, match=r"cannot write the synthetic faces there \(No space left"):
        render_dataset(tmp_path, **SIZE, workers=1)


def test_a_worker_that_cannot_write_is_a_user_error(tmp_path):
    for name in ("000000.jpg", "000000,_b.jpg"):  # a folder in place of the first photo
        (tmp_path / "images/train" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="cannot write the synthetic faces there"):
        render_dataset(tmp_path, **SIZE, workers=2)


def test_the_tables_of_persons_and_expressions_name_every_face_exactly(folder):
    refs = [
        FaceRef(row["url"], Box(*(float(row[s]) for s in ("left", "right", "top", "bottom"))))
        for row in table(folder, "persons.csv")
    ]
    found = read_annotations(
        folder, [ref.face_id for ref in refs], [ref.url for ref in refs], "all"
    )
    persons = [found.persons[code] for code in found.person]
    assert persons == [row["identity"] for row in table(folder, "identities.csv")]
    labels = [found.labels[code] for code in found.label]
    assert labels == [row["word"] for row in table(folder, "controls.csv")]
    assert found.matched_by == {"boxes": 2 * len(refs)} and not found.left_out.counts


def test_plain_faces_are_those_of_earlier_versions(folder):
    """Digests from before there were worlds; photos by brightness, as OpenCV's versions differ."""
    expected = {
        "settings.json": "099af0317edc4a9f",
        "controls.csv": "9d61269406e04358",
        "identities.csv": "1ae7a055fc690637",
        "faceexp-comparison-data-train-public.csv": "ab2aa9463bb214ba",
        "faceexp-comparison-data-test-public.csv": "c380abccbb839a56",
    }
    found = {
        name: (folder / name).read_bytes().replace(ROOT.encode() + b"/", b"") for name in expected
    }
    assert {name: hashlib.sha256(data).hexdigest()[:16] for name, data in found.items()} == expected
    photos = sorted((folder / "images/test").iterdir())[:8]
    np.testing.assert_allclose(
        [read_photo(photo).mean() for photo in photos],
        [125.4, 126.1, 124.1, 93.5, 76.5, 97.2, 110.6, 164.8],
        atol=0.5,
    )
