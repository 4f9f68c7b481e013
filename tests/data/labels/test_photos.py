"""Opening labelled photos: unreadable ones, duplicates, contradictions and boxes."""

import pytest
from PIL import Image

from imagefec.data.fec_csv import FaceRef
from imagefec.data.labels.photos import usable_faces
from imagefec.data.labels.source import LabelledFace, Source
from imagefec.faces.detectors.protocol import Detection
from imagefec.maths.geometry import Box

WHOLE = Box(0, 1, 0, 1)


def opened(faces, boxes="whole", kind="label", detector=None, in_pixels=False):
    source = Source(kind, list(faces), {}, box_in_pixels=in_pixels)
    usable, left_out = usable_faces(source, detector, boxes)
    return usable, left_out.counts


def labelled(path, label="joy", **more):
    return LabelledFace(str(path), path, label=label, **more)


def test_a_photo_becomes_a_face_with_its_file_url(photos):
    path = photos("joy/a, b [1] ü.jpg")
    [face], reasons = opened([labelled(path, person="ann")])
    assert face.ref == FaceRef(path.as_uri(), WHOLE)
    assert (face.label, face.person, face.values, reasons) == ("joy", "ann", (), {})


def test_what_fetch_or_crop_would_refuse_is_left_out_with_its_reason(photos):
    (photos.root / "x").mkdir(parents=True)
    whole = photos("x/ok.jpg").read_bytes()
    for name, content in {
        "empty.jpg": b"",
        "text.jpg": b"no picture",
        "cut.jpg": whole[:-50],
        "phone.heic": b"\0\0\0\x18ftypheic" + bytes(20),
    }.items():
        (photos.root / "x" / name).write_bytes(content)
    photos("x/scan.tif", kind="TIFF")
    exif = Image.Exif()
    exif[0x0112] = 6
    photos("x/turned.jpg", exif=exif)
    faces = [labelled(path) for path in sorted((photos.root / "x").iterdir())]
    gone = [labelled(photos.root / "x" / name) for name in ("gone.jpg", "ok.jpg/a.jpg", "n" * 300)]
    usable, reasons = opened([*faces, *gone])
    assert [face.name.rpartition("/")[2] for face in usable] == ["ok.jpg"]
    assert reasons == {
        "truncated image": 1,
        "not a picture that can be read": 3,
        "no such file": 2,
        "HEIC is not read": 1,
        "a format that fetch does not take (JPEG, PNG, WebP, GIF and BMP)": 1,
        "lies on its side or head (EXIF orientation): turn it, mogrify -auto-orient": 1,
    }


def test_files_with_the_same_bytes_are_one_photo(photos):
    a, b = photos("a.jpg", same=1), photos("b.jpg", same=1)
    [face], reasons = opened([labelled(b), labelled(a)])
    assert face.ref.url == a.as_uri() and reasons == {"given more than once": 1}
    assert opened([labelled(a), labelled(b, "fear")]) == ([], {"given with different labels": 2})


def test_a_photo_of_two_splits_stays_in_the_one_that_is_measured_on(photos):
    a, b = photos("train/a.jpg", same=1), photos("test/a.jpg", same=1)
    [face], reasons = opened([labelled(a, split="train"), labelled(b, split="test")])
    assert face.split == "test" and reasons == {"same photo in another split": 1}


def test_different_persons_contradict_each_other(photos):
    a = photos("a.jpg")
    faces = [labelled(a, person="ann"), labelled(a, person="bob")]
    assert opened(faces) == ([], {"given with different persons": 2})
    [face], _ = opened([labelled(a), labelled(a, person="bob")])
    assert face.person == "bob"


def test_rows_of_one_face_are_its_ratings(photos):
    a = photos("a.jpg")
    faces = [LabelledFace(str(n), a, values=(n, 0.5)) for n in (1.0, 2.0, 2.0)]
    [face], reasons = opened(faces, kind="ratings")
    assert face.values == ((1, 0.5), (2, 0.5), (2, 0.5)) and reasons == {}
    assert opened(faces, kind="counts") == ([], {"given with different labels": 3})


def test_boxes_in_pixels_become_fractions(photos):
    a, url = photos("a.jpg"), "http://h/a.jpg"  # 24 x 20 pixels
    boxes = [Box(6, 18, 5, 15), Box(0, 24.5, 0, 20), Box(24, 30, 0, 5), Box(0, 24, 0, 30)]
    faces = [labelled(a, box=box) for box in boxes] + [labelled(a)]
    faces.append(LabelledFace("w", None, url, "joy", box=boxes[0]))
    usable, reasons = opened(faces, "given", in_pixels=True)
    assert {face.ref.box for face in usable} == {Box(0.25, 0.75, 0.25, 0.75), WHOLE}
    assert reasons == {
        "box outside the photo": 2,
        "no box": 1,
        "box in pixels of a photo on the web, whose size is not known": 1,
    }
    [face], _ = opened([LabelledFace("w", None, url, "joy", box=Box(0, 0.5, 0, 0.5))], "given")
    assert (face.photo, face.ref) == (url, FaceRef(url, Box(0, 0.5, 0, 0.5)))


class Finder:
    """Finds one face for each ten columns that a photo has beyond ten."""

    name, version, min_score = "finder", "1", 0.5

    def detect(self, photo, smallest=0.1):
        return [Detection(Box(-3, 12, 5, 10), 0.9)] * (photo.shape[1] // 10 - 1)


@pytest.mark.parametrize(
    ("width", "reasons"), [(12, {"no face found": 1}), (24, {}), (36, {"several faces found": 1})]
)
def test_a_detector_must_find_one_face(photos, width, reasons):
    path = photos("a.jpg", size=(width, 20))
    usable, found = opened([labelled(path)], "finder", detector=Finder())
    assert found == reasons
    assert [face.ref.box for face in usable] == ([] if reasons else [Box(0, 0.5, 0.25, 0.5)])
