"""Detectors that several threads share, and arguments of another type, for every detector."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import skimage.data

from imagefec.errors import UserError
from imagefec.faces.detectors import haar_file, make_detector
from imagefec.faces.detectors.instances import Instances

needs_haar = pytest.mark.skipif(haar_file() is None, reason="this OpenCV has no Haar cascade")
DETECTORS = ["blazeface", pytest.param("haar", marks=needs_haar), "lbp", "none"]


def photos(n):
    """Photos of one face at different places, of three sizes."""
    person = skimage.data.astronaut()[:320, 80:400]
    sides = [320, 200, 130]
    return [
        cv2.resize(np.roll(person, 5 * i, axis=i % 2), (sides[i % 3], sides[i % 3] - i))
        for i in range(n)
    ]


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=pytest.mark.slow) if each == "lbp" else each for each in DETECTORS],
)
def test_two_detectors_in_eight_threads_give_the_faces_that_one_thread_gets(name):
    detector, other = make_detector(name), make_detector(name)
    each = photos(40)
    alone = [detector.detect(photo) for photo in each]
    assert sum(map(len, alone)) >= 20 and len(set(map(str, alone))) > 10
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(detector.detect, each)), list(pool.map(other.detect, each))
    assert found == (alone, alone)


def test_each_thread_has_its_own_instance_and_instances_are_used_again():
    made = []

    def make():
        made.append(len(made))
        return made[-1]

    instances = Instances(make)
    assert made == [0]
    for _ in range(3):
        with instances.lent() as first, instances.lent() as second:
            assert {first, second} == {0, 1}
    with pytest.raises(ZeroDivisionError), instances.lent():
        _ = 1 / 0
    with instances.lent(), instances.lent():
        assert made == [0, 1]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("wrong", ["0.5", True, np.True_, [0.5], 1j, np.array([0.5, 0.5])])
def test_a_min_score_that_is_no_number_is_a_callers_error(name, wrong):
    with pytest.raises(ValueError, match="min_score must be a number or None, found"):
        make_detector(name, wrong)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("outside", [-1, float("inf"), float("nan")])
def test_a_min_score_that_no_face_can_have_is_refused(name, outside):
    with pytest.raises(UserError, match=f"--min_score .*: detector {name} scores "):
        make_detector(name, outside)


@pytest.mark.parametrize("arguments", [(None,), (5,), (["haar"],), ("haar", None, 5)])
def test_names_and_folders_of_another_type_are_a_callers_error(arguments):
    with pytest.raises(ValueError, match=r"must be a (text|path)"):
        make_detector(*arguments)


@pytest.mark.parametrize("name", DETECTORS)
def test_photos_of_another_type_and_impossible_sizes_are_a_callers_error(name):
    detector, photo = make_detector(name), np.zeros((40, 40, 3), np.uint8)
    for wrong in (None, "photo.jpg", [[0]], photo[:, :, 0], photo.astype(int), photo[:0]):
        with pytest.raises(ValueError, match=r"photo must be uint8 \[height, width, 3\], found"):
            detector.detect(wrong)
    for smallest in (0, 1.1, -1, "0.5", None, True, float("nan")):
        with pytest.raises(ValueError, match=r"must be a share of the shorter side in \(0, 1\]"):
            detector.detect(photo, smallest)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 20000), (20000, 3), (2, 3)])
def test_photos_of_extreme_shapes_have_no_face(name, shape):
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = make_detector(name).detect(photo)
    assert len(found) == (name == "none")
