"""blazeface on drawn faces in unusual photos and files: many, none, cut off, tiny, huge, turned."""

import io

import numpy as np
import pytest
from PIL import Image

from imagefec.faces import crop, opencv
from imagefec.faces.detectors import make_detector
from imagefec.faces.photos import read_photo
from imagefec.faces.synthetic.heads.expressions import CONTROLS
from imagefec.faces.synthetic.heads.people import sample_person
from imagefec.faces.synthetic.photo import render_photo
from imagefec.maths.geometry import Box, iou, to_pixels


@pytest.fixture(scope="module")
def detector():
    return make_detector("blazeface")


def drawn(seed, n_heads=1):
    """A photo of neutral faces and their boxes in pixels, hairline to chin."""
    rng = np.random.default_rng(seed)
    neutral = np.zeros(len(CONTROLS), np.float32)
    photo, boxes = render_photo(rng, [(sample_person(rng), neutral) for _ in range(n_heads)])
    return photo, [to_pixels(box, *photo.shape[1::-1]) for box in boxes]


def moved(box, columns, rows):
    return Box(box.left - columns, box.right - columns, box.top - rows, box.bottom - rows)


def test_every_drawn_face_is_found_once_where_it_was_drawn(detector):
    for seed in range(8):
        photo, [box] = drawn(seed)
        grown = crop.grown_box(Box(*(side / 216 for side in box.sides)), 216, 216)
        patch, in_patch = crop.crop_patch(photo, grown), moved(box, grown.left, grown.top)
        for image, face, smallest in ((photo, box, 0.1), (patch, in_patch, 0.5)):
            [found] = detector.detect(image, smallest)
            assert iou(found.box, face) > 0.5
            (left, row), (right, other_row) = found.keypoints[:2]
            assert face.left < left < found.keypoints[2][0] < right < face.right
            assert face.top < min(row, other_row) and max(row, other_row) < found.keypoints[3][1]


def test_twenty_faces_are_twenty_detections(detector):
    rows = [drawn(seed, n_heads=5) for seed in range(4)]
    photo = np.concatenate([each for each, _ in rows])
    boxes = [moved(box, 0, -216 * n) for n, (_, each) in enumerate(rows) for box in each]
    found = detector.detect(photo)
    assert len(found) == 20
    for box in boxes:
        assert sum(iou(box, each.box) > 0.4 for each in found) == 1


@pytest.mark.parametrize("smallest", [0.1, 0.5])
def test_a_photo_without_a_face_has_none(detector, smallest):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (160, 200, 3), np.uint8)
    flat = np.full((160, 200, 3), 127, np.uint8)
    gradient = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (160, 200, 3)).copy()
    background, _ = drawn(3)
    corner = np.ascontiguousarray(background[:40, :40])
    for photo in (noise, flat, gradient, corner):
        assert detector.detect(photo, smallest) == []


@pytest.mark.parametrize("cut", [0.1, 0.25])
def test_a_face_at_the_border_is_found_and_its_box_ends_there(detector, cut):
    photo, [box] = drawn(1)
    left = int(box.left + cut * box.width)  # this share of the face is outside
    part = np.ascontiguousarray(photo[:, left:])
    [found] = detector.detect(part)
    assert iou(found.box, Box(0, box.right - left, box.top, box.bottom)) > 0.5
    assert 0 <= found.box.left < found.box.right <= part.shape[1]


@pytest.mark.parametrize("side", [30, 60, 6000])
@pytest.mark.parametrize("smallest", [0.1, 0.5])
def test_the_size_in_pixels_does_not_matter(detector, side, smallest):
    photo, [box] = drawn(2)
    [found] = detector.detect(opencv.resize(photo, side, side), smallest)
    scale = side / photo.shape[0]
    assert iou(found.box, Box(*(each * scale for each in box.sides))) > 0.5
    [usual] = detector.detect(photo, smallest)
    np.testing.assert_allclose(  # eyes, nose and mouth
        np.array(found.keypoints[:4]) / scale, usual.keypoints[:4], atol=0.1 * box.width
    )


def test_an_upside_down_face_has_a_lower_score(detector):
    # Trained on upright faces; docs/detectors.md says so.
    for seed in range(6):
        photo, [box] = drawn(seed)
        [upright] = detector.detect(photo)
        for each in detector.detect(np.ascontiguousarray(photo[::-1, ::-1])):
            assert each.score < upright.score
            turned = Box(216 - box.right, 216 - box.left, 216 - box.bottom, 216 - box.top)
            assert iou(each.box, turned) > 0.3


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def file_of(name, photo):
    image = Image.fromarray(photo)
    if name == "grey":
        return encoded(image.convert("L"), "PNG")
    if name == "CMYK":
        return encoded(image.convert("CMYK"), "JPEG", quality=95)
    if name == "16-bit":
        return encoded(
            Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG"
        )
    if name == "alpha":  # transparent around the face
        rows, columns = np.mgrid[: photo.shape[0], : photo.shape[1]]
        inside = (rows - 108) ** 2 + (columns - 108) ** 2 < 100**2
        image.putalpha(Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)))
        return encoded(image, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    return encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize("name", ["grey", "CMYK", "16-bit", "alpha", "EXIF-turned"])
@pytest.mark.parametrize("smallest", [0.1, 0.5])
def test_the_face_of_an_unusual_file_is_where_the_rgb_photos_is(detector, name, smallest):
    photo, _ = drawn(5)
    [expected] = detector.detect(photo, smallest)
    [found] = detector.detect(read_photo(file_of(name, photo), upright=True), smallest)
    assert iou(found.box, expected.box) > 0.8
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=6)


def test_a_box_with_a_face_is_cropped_and_one_beside_it_dropped(detector):
    photo, [box] = drawn(4)
    face = Box(*(each / 216 for each in box.sides))
    assert crop.crop_face(photo, face, detector).reason == ""
    beside = Box(0, 0.15, 0, 0.15)
    assert crop.crop_face(photo, beside, detector).reason == crop.NO_FACE
