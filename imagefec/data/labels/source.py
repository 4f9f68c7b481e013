"""What is known of labelled photos after reading SOURCE; no photo has been opened."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections import Counter
from pathlib import Path

from imagefec.faces.image_files import LeftOut
from imagefec.maths.geometry import Box

LABEL, COUNTS, RATINGS = "label", "counts", "ratings"
KINDS = (LABEL, COUNTS, RATINGS)
# Names of splits in published datasets; FER2013 and FER+ have the last three.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "publictest"), "validation"),
    **dict.fromkeys(("test", "testing", "privatetest"), "test"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class LabelledFace:
    """One face of SOURCE.

    Attributes:
      name: of the photo or the line of the table, for messages.
      path: of the photo; None if `url` is one of the web.
      url: http or https; "" for a file.
      label: as written; "" for counts and ratings.
      values: the numbers of counts or ratings, empty for labels.
      person: "" if not known.
      split: one of fec.SPLITS; "" if not given.
      box: None if not given; in fractions of the photo, or in pixels if `Source.box_in_pixels`.
    """

    name: str
    path: Path | None
    url: str = ""
    label: str = ""
    values: tuple[float, ...] = ()
    person: str = ""
    split: str = ""
    box: Box | None = None


@dataclasses.dataclass
class Source:
    """All faces of SOURCE, and how they were read.

    Attributes:
      kind: one of KINDS.
      faces: in the order of SOURCE.
      read_as: what was read as what, for the report: {"label": "emotion", …}.
      value_names: the columns of `LabelledFace.values`.
      box_in_pixels: whether the boxes are in pixels.
      left_out: rows and files that are no faces, by reason.
      merged: spellings of a label that count as one, by the spelling that is used.
    """

    kind: str
    faces: list[LabelledFace]
    read_as: dict[str, str]
    value_names: tuple[str, ...] = ()
    box_in_pixels: bool = False
    left_out: LeftOut = dataclasses.field(default_factory=LeftOut)
    merged: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def plain(name: str) -> str:
    """A name without what differs between two spellings of it: letter case, accents' form, space.

    NFC is applied twice because a change of case may take a text out of this form.
    """
    folded = unicodedata.normalize("NFC", name).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def with_one_spelling(source: Source) -> Source:
    """The source with one spelling for each label and person: the most frequent one."""
    used: dict[str, dict[str, str]] = {}
    for field in ("label", "person"):
        spellings: dict[str, Counter[str]] = {}
        for face in source.faces:
            text = unicodedata.normalize("NFC", " ".join(getattr(face, field).split()))
            spellings.setdefault(plain(text), Counter())[text] += 1
        used[field] = {
            key: min(found, key=lambda text: (-found[text], text))
            for key, found in spellings.items()
        }
        if field == "label":
            source.merged = {
                used[field][key]: sorted(found)
                for key, found in sorted(spellings.items())
                if len(found) > 1
            }
    source.faces = [
        dataclasses.replace(
            face,
            label=used["label"][plain(face.label)],
            person=used["person"][plain(face.person)],
        )
        for face in source.faces
    ]
    return source
