"""Links synthetic photos into identity folders in VGGFace2's layout, for identity pre-training."""

import csv
import os
import pathlib
from collections import Counter

PEOPLE = "people"


def link_people(out: pathlib.Path, splits: tuple[str, ...] = ("train", "test")) -> pathlib.Path:
    """Hard-links each photo of a single face as `out/people/<split>/<identity>/<photo>.jpg`.

    Args:
      out: folder that `render_dataset` wrote, with images/ and identities.csv.
      splits: splits to link. Pre-training must not see the identities of a validation split.

    Returns:
      out/people.

    Raises:
      OSError: the folder cannot be written, or its file system has no hard links.
    """
    with (out / "identities.csv").open(newline="") as file:
        heads = list(csv.DictReader(file))
    n_heads = Counter(head["image"] for head in heads)
    for head in heads:
        if head["split"] in splits and n_heads[head["image"]] == 1:
            folder = out / PEOPLE / head["split"] / head["identity"]
            folder.mkdir(parents=True, exist_ok=True)
            link = folder / pathlib.PurePosixPath(head["image"]).name
            if not link.exists():
                os.link(out / head["image"], link)
    return out / PEOPLE
