import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagefec.faces import detectors
from imagefec.faces.photos import read_photo
from imagefec.serving import frames
from imagefec.serving.engine import OnnxEngine
from imagefec.serving.frames import FrameError, FrameReader
from tests.serving.models import render


def jpeg(rgb):
    return cv2.imencode(".jpg", rgb[..., ::-1])[1].tobytes()


def test_the_nearest_face_is_the_largest_not_the_first(model):
    reader = FrameReader(OnnxEngine(model), detectors.make_detector("haar"))
    near = cv2.resize(read_photo(render("neutral")), (432, 432), interpolation=cv2.INTER_CUBIC)
    far = read_photo(render("elation", person=3))
    picture = np.full((432, 700, 3), 128, np.uint8)
    picture[:216, :216], picture[:, 268:] = far, near
    found = reader.faces(jpeg(picture))
    nearest = reader.nearest_face(jpeg(picture))
    assert len(found) == 2 and nearest.box.left > 268
    assert nearest.box.width == max(each.box.width for each in found)


def test_a_picture_without_a_face_gives_none(model):
    reader = FrameReader(OnnxEngine(model), detectors.make_detector("haar"))
    blank = jpeg(np.full((120, 160, 3), 90, np.uint8))
    assert reader.nearest_face(blank) is None and reader.faces(blank) == []


def test_a_photo_is_turned_as_its_exif_says():
    rgb = np.zeros((40, 60, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", exif=exif)
    assert frames.decode(stream.getvalue()).shape == (60, 40, 3)


def test_a_jpeg_of_too_many_pixels_is_refused_before_it_is_decoded():
    tall = jpeg(np.zeros((4096, 2049, 3), np.uint8))
    assert len(tall) < frames.MAX_BYTES
    with pytest.raises(FrameError, match="2049 x 4096 pixels, over 8,388,608") as raised:
        frames.decode(tall)
    assert raised.value.status == 413


@settings(max_examples=200)
@given(st.data())
def test_damaged_bytes_give_pixels_or_a_frame_error(data):
    picture = bytearray(data.draw(st.sampled_from(PICTURES)))
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(picture) - 1))
        picture[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(picture)))
    try:
        found = frames.decode(bytes(picture[:cut]))
    except FrameError as error:
        reason, status = str(error), error.status
    else:
        reason, status = "", 200
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3
    assert (reason != "") == (status in (400, 413))


_FACE = read_photo(render("neutral"))
PICTURES = (
    jpeg(_FACE),
    cv2.imencode(".png", _FACE[:64, :64])[1].tobytes(),
    cv2.imencode(".jpg", _FACE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes(),
)
