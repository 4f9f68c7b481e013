"""Vectors that know nothing of expressions, for `imagefec evaluate --embeddings` to measure.

    python benchmarks/baseline_embeddings.py quickstart/data --kind=hog --out=hog.npz
    imagefec evaluate --embeddings=hog.npz --data_dir=quickstart/data

To measure another model, add a function to KINDS: uint8 [n, 128, 128, 3] RGB faces to [n, d]
numbers. docs/comparisons.md has the figures.
"""

import argparse
import pathlib
import sys
from collections.abc import Callable

import numpy as np

from imagefec.analysis.embedding_file import check_output, write_columns
from imagefec.data.store.datasets import load_triplets
from imagefec.errors import UserError
from imagefec.faces import opencv
from imagefec.progress import progress

Vectors = Callable[[np.ndarray], np.ndarray]
BATCH_FACES = 256
# As in gin_configs/models/small.gin, which `imagefec quickstart` trains.
SMALL = {
    "d_hidden": 24,
    "block": "basic",
    "stage_blocks": (1, 1, 1),
    "stem": "conv3x2",
    "pool": "flatten",
    "fc_widths": (128,),
}
SMALL_PX = 64


def pixels(_seed: int) -> Vectors:
    """Grey values of 32 x 32 pixels, 0 to 1: [n, 1024]."""
    return lambda faces: np.stack(
        [opencv.resize(face, 32, 32).mean(axis=2).ravel() / 255 for face in faces]
    )


def hog(_seed: int) -> Vectors:
    """Histograms of oriented gradients of 64 x 64 pixels (Dalal & Triggs 2005): [n, 1764]."""
    from skimage import feature

    def of_face(face: np.ndarray) -> np.ndarray:
        return feature.hog(
            opencv.resize(face, 64, 64),
            orientations=9,
            pixels_per_cell=(8, 8),
            cells_per_block=(2, 2),
            channel_axis=-1,
        )

    return lambda faces: np.stack([of_face(face) for face in faces])


def random_network(seed: int) -> Vectors:
    """The quickstart's network before any training: [n, 16]."""
    import jax

    from imagefec.compat import ShapeDtype
    from imagefec.model import Embedder, ImageFEC

    network = ImageFEC(**SMALL, mode="eval")
    signature = ShapeDtype((1, SMALL_PX, SMALL_PX, 3), np.uint8)
    network.init(signature, rng=jax.random.PRNGKey(seed))
    return Embedder(network, SMALL_PX).embed


KINDS = {"pixels": pixels, "hog": hog, "random_network": random_network}


def write_vectors(
    data_dir: pathlib.Path, kind: str, split: str, dataset: str, out: pathlib.Path, seed: int
) -> None:
    """Writes the vectors of a split's faces, with their ids."""
    check_output(out)
    data = load_triplets(data_dir, dataset, split)
    n, vectors_of = len(data.face_ids), KINDS[kind](seed)
    parts = []
    with progress(kind, total=n, unit="faces") as bar:
        for start in range(0, n, BATCH_FACES):
            parts.append(vectors_of(np.asarray(data.faces[start : start + BATCH_FACES])))
            bar.update(len(parts[-1]))
    vectors = np.concatenate(parts).astype(np.float32)
    write_columns(out, {"ids": np.array(data.face_ids), "vectors": vectors})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("DATA_DIR", type=pathlib.Path, help="folder of the built datasets")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--dataset", default="fec")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", type=pathlib.Path, help=".npz or .parquet (default: KIND.npz)")
    parser.add_argument("--seed", type=int, default=0, help="of random_network")
    arguments = parser.parse_args()
    out = arguments.out or pathlib.Path(f"{arguments.kind}.npz")
    try:
        write_vectors(
            arguments.DATA_DIR,
            arguments.kind,
            arguments.split,
            arguments.dataset,
            out,
            arguments.seed,
        )
    except UserError as error:
        sys.exit(f"{parser.prog}: {error}")
    print(out)


if __name__ == "__main__":
    main()
