"""How images are resized, and OpenCV's threads."""

import threading

import cv2
import numpy as np
import pytest

from imagefec.faces import opencv


def checkerboard(side):
    return np.repeat(np.indices((side, side)).sum(0)[:, :, None] % 2 * 200, 3, axis=2).astype(
        np.uint8
    )


def test_shrinking_averages_areas():
    np.testing.assert_array_equal(opencv.resize(checkerboard(8), 4, 4), 100)


def test_enlarging_interpolates_between_pixels():
    ramp = np.repeat(np.arange(0, 200, 25, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(
        8, axis=0
    )
    enlarged = opencv.resize(ramp, 16, 16)
    assert enlarged.shape == (16, 16, 3) and len(np.unique(enlarged)) > 8


def test_an_image_of_the_requested_size_is_returned_unchanged():
    image = checkerboard(8)
    assert opencv.resize(image, 8, 8) is image


@pytest.mark.parametrize(("width", "height"), [(5, 3), (11, 7)])
def test_width_comes_before_height(width, height):
    assert opencv.resize(checkerboard(8), width, height).shape == (height, width, 3)


def test_threads_are_restored_even_after_an_error():
    before = cv2.getNumThreads()
    with opencv.single_thread():
        assert cv2.getNumThreads() == 1
    with pytest.raises(ZeroDivisionError), opencv.single_thread():
        _ = 1 / 0
    assert cv2.getNumThreads() == before


def test_overlapping_blocks_of_several_threads_restore_the_number_from_before():
    before = cv2.getNumThreads()
    cv2.setNumThreads(before + 3)  # unlike 1, on any machine
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first():
        with opencv.single_thread():
            first_is_in.set()
            second_is_in.wait()
        first_is_out.set()

    def second():
        first_is_in.wait()
        with opencv.single_thread():
            second_is_in.set()
            first_is_out.wait()
            inside.append(cv2.getNumThreads())

    inside = []
    threads = [threading.Thread(target=each) for each in (first, second)]
    try:
        for each in threads:
            each.start()
        for each in threads:
            each.join(60)
        assert inside == [1] and cv2.getNumThreads() == before + 3
    finally:
        cv2.setNumThreads(before)
