"""Why one-class triplets are hard: what a run perceives of the true controls of its faces.

    imagefec quickstart --output_dir=quickstart --seed=0
    python benchmarks/one_class.py quickstart

Prints TPA by type on the test split for observers of the true controls with more and more error,
for the run, and for controls that a regression reads from the run's embeddings; then how well it
reads each control.
"""

import argparse
import csv
import pathlib

import numpy as np
from sklearn.neural_network import MLPRegressor

import imagefec
from imagefec.data.store import datasets
from imagefec.faces.synthetic.heads.expressions import CONTROLS, SALIENCE
from imagefec.fec import TripletType

ERRORS = (0.1, 0.15, 0.2, 0.3)  # standard deviations, relative to those of the controls


def main() -> None:
    """Prints the two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("quickstart", type=pathlib.Path, help="output directory of quickstart")
    root = parser.parse_args().quickstart
    controls_of = true_controls(root)
    embedder = imagefec.Embedder.load(root / "run")
    splits = {}
    for split in ("train", "test"):
        data = datasets.load_triplets(root / "data", "fec", split, embedder.image_size)
        controls = np.array([controls_of[face_id] for face_id in data.face_ids]) * SALIENCE
        splits[split] = data, controls, embedder.embed(data.faces)
    data, controls, vectors = splits["test"]
    reader = MLPRegressor(hidden_layer_sizes=(128, 128), max_iter=60, random_state=0)
    reader.fit(splits["train"][2], splits["train"][1])
    read = reader.predict(vectors)

    print(f"{'':34}" + "".join(f"{kind.csv_name:>22}" for kind in TripletType) + f"{'all':>8}")
    show("true controls", data, controls)
    random = np.random.default_rng(0)
    for error in ERRORS:
        noise = random.normal(0, error, controls.shape) * controls.std(axis=0)
        show(f"with an error of {error} deviations", data, controls + noise)
    show("the run", data, vectors)
    show("controls read from the run", data, read)

    spread = ((controls - controls.mean(axis=0)) ** 2).sum(axis=0)
    explained = 1 - ((read - controls) ** 2).sum(axis=0) / spread
    print(f"\n{'control':20}{'share of variance':>20}{'share read':>14}")
    for i in np.argsort(-spread):
        print(f"{CONTROLS[i]:20}{spread[i] / spread.sum():20.2f}{explained[i]:14.2f}")


def true_controls(root: pathlib.Path) -> dict[str, np.ndarray]:
    """Face id -> the controls that the face was rendered with, float [controls]."""
    rows = list(csv.DictReader((root / "drawn" / "controls.csv").open()))
    of_photo = {(row["image"], int(row["position"])): row for row in rows}
    of_box, n_seen = {}, dict[str, int]()
    for row in csv.DictReader((root / "fec" / "expressions.csv").open()):  # photo by photo
        name = image_name(row["url"])
        position = n_seen[name] = n_seen.get(name, -1) + 1
        controls = [float(of_photo[name, position][control]) for control in CONTROLS]
        of_box[box_key(row)] = np.array(controls)
    faces = csv.DictReader((root / "fec" / "faces" / "faces.csv").open())
    return {row["face_id"]: of_box[box_key(row)] for row in faces if box_key(row) in of_box}


def image_name(url: str) -> str:
    """The part of a URL below the server's root."""
    return url.split("/", 3)[3]


def box_key(row: dict[str, str]) -> tuple:
    """A face's photo and box; the files write boxes with different numbers of digits."""
    return (image_name(row["url"]), *(round(float(row[side]), 4) for side in ("left", "top")))


def show(name: str, data: datasets.Triplets, vectors: np.ndarray) -> None:
    """Prints the TPA by type of faces at these places."""
    first, second, odd = (vectors[data.triplets[:, i]] for i in range(3))
    alike = np.linalg.norm(first - second, axis=1)
    nearest = np.minimum(np.linalg.norm(first - odd, axis=1), np.linalg.norm(second - odd, axis=1))
    correct = alike < nearest
    shares = [correct[data.types == kind].mean() for kind in TripletType]
    print(f"{name:34}" + "".join(f"{share:22.3f}" for share in shares) + f"{correct.mean():8.3f}")


if __name__ == "__main__":
    main()
