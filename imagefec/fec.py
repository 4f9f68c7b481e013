"""FEC's vocabulary: types of triplets, splits and file names. data/fec_csv.py reads the files."""

import enum
import re
from collections.abc import Iterable

SPLITS = ("train", "test", "validation")  # FEC has the first two; the third may be one's own
EXPRESSIONS_CSV = "expressions.csv"  # optional, beside the csv files; FEC has none
EXPRESSIONS_HEADER = ("url", "left", "right", "top", "bottom", "expression")
PERSONS_CSV = "persons.csv"  # likewise, who is shown
PERSONS_HEADER = (*EXPRESSIONS_HEADER[:-1], "person")
SIMULATED = "simulated"  # begins the names of annotators who are no people
PEOPLE, MIXED = "people", "mixed"


class TripletType(enum.IntEnum):
    """How many different emotion labels a triplet's three faces have, by FEC's own labels.

    The value is the code in datasets and batches.

    Source: Vemulapalli & Agarwala 2019, arXiv:1811.11283, section 3.
    """

    ONE_CLASS = 0
    TWO_CLASS = 1
    THREE_CLASS = 2

    @property
    def csv_name(self) -> str:
        """The name in column 16 of FEC's csv files: "ONE_CLASS_TRIPLET"."""
        return f"{self.name}_TRIPLET"

    @property
    def key(self) -> str:
        """The name in JSON and TFDS features: "one_class"."""
        return self.name.lower()

    @property
    def display_name(self) -> str:
        """The name in tables and plots: "one-class"."""
        return self.key.replace("_", "-")


_URL = re.compile(r"(?:https?://[^/?#\s]|file://(?:localhost)?/.)", re.IGNORECASE)
_DRAWN_RATER = re.compile("rater[0-3][0-9]")  # `imagefec draw` names its 40 raters so
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FACE_ID = re.compile(r"[0-9a-f]{20}")
TYPE_OF_CSV_NAME = {kind.csv_name: kind for kind in TripletType}
TYPE_KEYS = tuple(kind.key for kind in TripletType)


def csv_file_name(split: str) -> str:
    """Google's name of a split's csv file: "faceexp-comparison-data-train-public.csv"."""
    return f"faceexp-comparison-data-{split}-public.csv"


def is_photo_url(text: str) -> bool:
    """Whether a text is a URL that a csv file may name: one of http, https or a local file."""
    return bool(_URL.match(text)) and not _CONTROL.search(text)


def is_face_id(text: str) -> bool:
    """Whether a text is a face id, 20 hexadecimal digits: parts of paths are made of these."""
    return bool(_FACE_ID.fullmatch(text))


def rater_source(names: Iterable[str]) -> str | None:
    """Who the annotators of a split are, by their names.

    Args:
      names: of all of them.

    Returns:
      SIMULATED, PEOPLE, MIXED, or None if there are no annotators. `imagefec draw`'s names count
      as simulated if there are no others: people may be called so in a csv file of one's own.
    """
    distinct = set(names)
    simulated = {name for name in distinct if name.startswith(SIMULATED)}
    if not distinct:
        return None
    if simulated == distinct or all(map(_DRAWN_RATER.fullmatch, distinct)):
        return SIMULATED
    return MIXED if simulated else PEOPLE
