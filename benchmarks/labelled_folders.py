"""Sorts synthetic photos into folders by label and person, as somebody's own photos might lie.

    imagefec draw drawn --faces=3000 --identities=100 --triplets=9000 --seed=4
    python benchmarks/labelled_folders.py drawn portraits

Copies DRAWN/images/… to PORTRAITS/LABEL/PERSON/. Photos of several faces are left out.
"""

import argparse
import collections
import csv
import pathlib
import shutil


def main() -> None:
    """Copies the photos."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("drawn", type=pathlib.Path, help="DRAWN, an output directory of draw")
    parser.add_argument("portraits", type=pathlib.Path, help="PORTRAITS")
    args = parser.parse_args()
    faces = rows(args.drawn / "controls.csv")
    person = {
        (row["image"], row["position"]): row["identity"]
        for row in rows(args.drawn / "identities.csv")
    }
    faces_in = collections.Counter(row["image"] for row in faces)
    for row in faces:
        if faces_in[row["image"]] == 1:
            folder = args.portraits / row["word"] / person[row["image"], row["position"]]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(args.drawn / row["image"], folder)


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a csv file with a header."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
