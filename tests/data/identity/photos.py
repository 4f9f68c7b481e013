"""Photos, their files and loose_bb csv files for the tests of identity datasets."""

import cv2
import numpy as np


def random_photo(seed=0, height=40, width=30):
    """Noise, uint8 [height, width, 3] RGB."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def png(rgb):
    """The bytes of a PNG file of an RGB image."""
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def decoded(data):
    """The RGB image in the bytes of a file."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def loose_csv(folder, *rows, split="train", header="NAME_ID,X,Y,W,H"):
    """Writes a loose_bb csv file and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"loose_bb_{split}.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path
