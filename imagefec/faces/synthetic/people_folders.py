"""A drawn world's people as folders in VGGFace2's layout, for identity pre-training; the pictures are links, not copies."""

import csv
import os
import pathlib
from collections import Counter

PEOPLE = "people"


def link_people(out: pathlib.Path, splits: tuple[str, ...] = ("train", "test")) -> pathlib.Path:
    """Links each photograph of one person alone as `out/people/<split>/<person>/<photograph>.jpg`.

    Args:
      out: what `render_world` wrote: images/ and identities.csv.
      splits: VGGFace2 has these two; who is in a third stays unseen by pre-training, too.

    Returns:
      out/people.

    Raises:
      OSError: the folder cannot be written, or its disk knows no hard links.
    """
    with open(out / "identities.csv", newline="") as file:
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
