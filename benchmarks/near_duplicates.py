"""Which copies of faces the hashes of `--disjoint_from` recognise, and which faces wrongly.

    python benchmarks/near_duplicates.py quickstart/data

Prints a row per kind of copy: how many of a sample of faces are found among their own split when
only a copy of them is given, and then how many faces of the split are near one of train. Of
synthetic faces, whose splits share no person and no photo, the latter are all found wrongly.
"""

import argparse
import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from imagefec.analysis.overlap.near_duplicates import MAX_DISTANCE, hash_faces, nearest_distances
from imagefec.analysis.split import SplitLoader

PX = 128


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir", help="of the built dataset fec")
    parser.add_argument("--split", default="test", help="whose faces are copied")
    parser.add_argument("--against", default="train", help="whose faces are no copies")
    parser.add_argument("--faces", type=int, default=400, help="that are copied")
    parser.add_argument("--seed", type=int, default=0, help="of their sample")
    args = parser.parse_args()

    loader = SplitLoader(args.data_dir, "fec", args.split)
    faces = loader.load(PX).faces
    n = min(args.faces, len(faces))
    chosen = np.random.default_rng(args.seed).choice(len(faces), n, replace=False)
    own = hash_faces([faces[row] for row in chosen])
    print(f"| copy of {n} faces of {args.split} | found | bits, median | bits, largest |")
    print("|---|---|---|---|")
    for name, change in COPIES.items():
        views = hash_faces([change(np.asarray(faces[row])) for row in chosen], views=True)
        bits = np.array([nearest_distances(views[i : i + 1], own[i : i + 1])[0] for i in range(n)])
        found = (bits <= MAX_DISTANCE).mean()
        print(f"| {name} | {found:.2%} | {np.median(bits):g} | {bits.max()} |", flush=True)

    others = hash_faces(loader.load_other(args.against, PX).faces)
    bits = nearest_distances(hash_faces(faces, views=True), others)
    print(
        f"\n{(bits <= MAX_DISTANCE).sum():,} of {len(faces):,} faces of {args.split} are within "
        f"{MAX_DISTANCE} bits of one of the {len(others):,} of {args.against}"
    )


def jpeg(face: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def resized(face: np.ndarray, px: int) -> np.ndarray:
    small = cv2.resize(face, (px, px), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (PX, PX), interpolation=cv2.INTER_CUBIC)


def moved(face: np.ndarray, x_px: float, y_px: float, scale: float = 1.0) -> np.ndarray:
    """Enlarged about its middle, then shifted; the border is repeated."""
    middle = PX / 2 * (1 - scale)
    move = np.array([[scale, 0, middle + x_px], [0, scale, middle + y_px]])
    return cv2.warpAffine(face, move, (PX, PX), borderMode=cv2.BORDER_REPLICATE)


def brighter(face: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(face * factor, 0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG of quality 60": lambda face: jpeg(face, 60),
    "JPEG of quality 30": lambda face: jpeg(face, 30),
    "96 px and back": lambda face: resized(face, 96),
    "64 px and back": lambda face: resized(face, 64),
    "48 px and back": lambda face: resized(face, 48),
    "brightness + 5 %": lambda face: brighter(face, 1.05),
    "brightness - 5 %": lambda face: brighter(face, 0.95),
    "mirrored": lambda face: np.ascontiguousarray(face[:, ::-1]),
    "shifted by (1, -1) px": lambda face: moved(face, 1, -1),
    "shifted by (2, 2) px": lambda face: moved(face, 2, 2),
    "shifted by (3, 3) px": lambda face: moved(face, 3, 3),
    "enlarged by 2 %": lambda face: moved(face, 0, 0, 1.02),
    "enlarged by 5 %": lambda face: moved(face, 0, 0, 1.05),
    "brighter, shifted by (1, 1) px, 80 px, JPEG 60": lambda face: jpeg(
        resized(moved(brighter(face, 1.05), 1, 1), 80), 60
    ),
}

if __name__ == "__main__":
    main()
