"""Synthetic people as folders in VGGFace2's layout, for identity pre-training; photos are links."""

import csv
import os
import pathlib
from collections import Counter

PEOPLE = "people"


def link_people(out: pathlib.Path, splits: tuple[str, ...] = ("train", "test")) -> pathlib.Path:
    """Links each photo of a single person as `out/people/<split>/<identity>/<photo>.jpg`.

    Args:
      out: what `render_dataset` wrote: images/ and identities.csv.
      splits: VGGFace2 has these two. Pre-training must not see the people of a third.

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
