"""Videos for the fake camera: drawn faces, and a corner that names the part that is shown."""

import cv2
import numpy as np

from imagefec.faces.photos import read_photo
from tests.serving.models import render

WIDTH, HEIGHT, FPS = 320, 240, 10
CORNER_PX = 24
# RGB of the corner that marks the first, second, … part of a video.
MARKS = ((30, 60, 200), (200, 60, 30))


def write_video(path, words, seconds):
    """Writes a y4m that shows one expression after the other; Chromium repeats it.

    Args:
      path: file to write.
      words: names of expressions; None for a picture without a face.
      seconds: of each.
    """
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for word, mark in zip(words, MARKS, strict=False):
            frame = _frame(word, mark)
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
            for _ in range(seconds * FPS):
                file.write(b"FRAME\n" + planes.tobytes())
    return path


def _frame(word, mark):
    frame = np.full((HEIGHT, WIDTH, 3), (176, 186, 178), np.uint8)
    if word is not None:
        photo = read_photo(render(word))
        top, left = (HEIGHT - photo.shape[0]) // 2, (WIDTH - photo.shape[1]) // 2
        frame[top : top + photo.shape[0], left : left + photo.shape[1]] = photo
    frame[:CORNER_PX, :CORNER_PX] = mark
    return frame
