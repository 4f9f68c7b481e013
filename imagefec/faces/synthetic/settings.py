"""What is asked of `render_dataset`: the numbers, their limits, and settings.json in the folder."""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
from pathlib import Path
from typing import Any

from imagefec import files, json_files
from imagefec.errors import UserError
from imagefec.faces.synthetic.heads.expressions import WORDS
from imagefec.faces.synthetic.photo import ROLL
from imagefec.faces.synthetic.worlds import PLAIN, World
from imagefec.fec import is_photo_url

SETTINGS = "settings.json"
FORMAT = 1  # increase if the same settings would give other photos
MOST = 10_000_000  # faces, identities or triplets; FEC has 156,000 faces and 500,000 triplets
MOST_ROLL = 45.0  # degrees: the boxes are those of an almost upright head
_FEWEST_FACES = 3 * len(WORDS)  # one-class triplets need about three faces per word


@dataclasses.dataclass(frozen=True)
class DrawSettings:
    """The arguments of `render_dataset` that decide what its files contain.

    Attributes:
      faces: number of faces in all splits together.
      identities: number of identities in all splits together.
      triplets: number of csv rows in all splits together.
      test_fraction: share of the test split, in (0, 1).
      validation_fraction: share of the validation split; 0 for none.
      seed: of everything that is random.
      roll: standard deviation of the heads' roll, degrees.
      world: what varies in the photos.

    Raises:
      UserError: a number is out of range, or too small to fill every split.
      ValueError: an argument is not a number of its kind.
    """

    faces: int
    identities: int
    triplets: int
    test_fraction: float
    validation_fraction: float
    seed: int
    roll: float = ROLL
    world: World = dataclasses.field(default_factory=World)

    def __post_init__(self) -> None:
        for name in ("faces", "identities", "triplets", "seed"):
            _check_kind(name, getattr(self, name), numbers.Integral, "an integer")
        for name in ("test_fraction", "validation_fraction", "roll"):
            _check_kind(name, getattr(self, name), numbers.Real, "a number")
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("faces", "identities", "triplets", "seed"):
            object.__setattr__(self, name, int(getattr(self, name)))  # NumPy's are no JSON
        if self.seed < 0:
            raise UserError(f"--seed is {self.seed}; it must be 0 or more.")
        if not 0 <= self.roll <= MOST_ROLL:
            raise UserError(f"--roll is {self.roll:g}; allowed are 0 to {MOST_ROLL:g} degrees.")
        _check_fractions(self.test_fraction, self.validation_fraction)
        for name, total in self.totals.items():
            if abs(total) > MOST:
                raise UserError(f"--{name} is {total}; allowed are up to {MOST}.")
        _check_sizes(self.totals, self.shares)

    @property
    def totals(self) -> dict[str, int]:
        """Numbers of faces, identities and triplets in all splits together."""
        return {"faces": self.faces, "identities": self.identities, "triplets": self.triplets}

    @property
    def shares(self) -> dict[str, float]:
        """The share of each split that is rendered."""
        test, validation = self.test_fraction, self.validation_fraction
        return {
            "train": 1 - test - validation,
            "test": test,
            **({"validation": validation} if validation else {}),
        }

    def numbers_of(self, split: str) -> dict[str, int]:
        """Numbers of faces, identities and triplets of a split."""
        return {name: _n_of(split, total, self.shares) for name, total in self.totals.items()}

    def claim(self, out: Path) -> None:
        """As `check`, then writes settings.json into the folder unless it is there.

        Raises:
          UserError: as `check`.
          OSError: the file cannot be written.
        """
        if not self.check(out):
            files.write_text(out / SETTINGS, json.dumps(self._as_json(), indent=2) + "\n")

    def check(self, out: Path) -> bool:
        """Whether the folder has a settings.json, which must agree.

        Raises:
          UserError: the folder has photos of other settings, or of unknown ones.
        """
        mine = self._as_json()
        try:
            found = json_files.read_json(out / SETTINGS)
            if not isinstance(found, dict):
                raise ValueError("not a JSON object")
            # Folders of earlier versions record no roll, those of the plain world no world.
            found = {"roll": ROLL, "world": PLAIN, "vary": []} | found
            mine = {"world": PLAIN, "vary": []} | mine
        except (FileNotFoundError, ValueError) as error:
            if _has_photos(out):
                what = "no" if isinstance(error, FileNotFoundError) else "a damaged"
                raise UserError(
                    f"{out}: it has photos but {what} {SETTINGS}, so how they were drawn is "
                    "unknown, and two sets of photos must not be mixed. Give another OUT, or "
                    "delete this folder."
                ) from None
            return False
        if differing := json_files.differing(found, mine, mine):
            earlier, now = differing
            raise UserError(
                f"{out}: drawn with {earlier}, now {now} is requested; two sets of photos must not "
                "be mixed. Give another OUT, use the same settings to resume, or delete this "
                "folder."
            )
        return True

    def _as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"format": FORMAT, **dataclasses.asdict(self)}
        del found["world"]
        if self.world.name != PLAIN:
            found |= {"world": self.world.name, "vary": list(self.world.aspects)}
        return found


def checked_url_root(url_root: str | None, out: Path) -> str:
    """The prefix of the URLs in the csv files, without a slash at its end.

    Args:
      url_root: as requested; None for the file:// URL of `out`.
      out: the folder of the photos.

    Raises:
      UserError: `imagefec fetch` could not fetch from it.
      ValueError: it is not a text.
    """
    if url_root is None:
        return out.resolve().as_uri().rstrip("/")
    if not isinstance(url_root, str):
        raise ValueError(f"url_root must be a text or None, found {url_root!r}")
    if not is_photo_url(f"{url_root.rstrip('/')}/images/train/0.jpg"):
        raise UserError(
            f"--url_root is {url_root!r}; allowed are http://HOST…, https://HOST… and file:///…, "
            "which `imagefec fetch` reads. Omit it for the file:// URL of OUT."
        )
    return url_root.rstrip("/")


def _check_kind(name: str, value: object, kind: type, what: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} must be {what}, found {value!r}")


def _check_fractions(test: float, validation: float) -> None:
    if not 0 < test < 1:
        raise UserError(f"--test_fraction is {test}; it must be between 0 and 1, exclusive.")
    if not 0 <= validation < 1 - test:
        raise UserError(
            f"--validation_fraction is {validation}; with --test_fraction={test} it must be 0 or "
            f"more and less than {1 - test:g}, so that some faces are left for training."
        )


def _check_sizes(totals: dict[str, int], shares: dict[str, float]) -> None:
    fractions = " ".join(
        f"--{split}_fraction={share}" for split, share in shares.items() if split != "train"
    )
    smallest = min(shares.values())
    if totals["faces"] * smallest < _FEWEST_FACES:
        raise UserError(
            f"--faces={totals['faces']} with {fractions} leaves a split fewer than "
            f"{_FEWEST_FACES} faces; use {_at_least(_FEWEST_FACES, smallest)}."
        )
    for flag in ("identities", "triplets"):
        if _n_of("train", totals[flag], shares) < 1:
            raise UserError(
                f"--{flag}={totals[flag]} with {fractions} leaves a split without any; use "
                f"{_at_least(1, smallest)}."
            )


def _at_least(fewest: int, share: float) -> str:
    needed = fewest / max(share, 1e-100)
    return f"at least {math.ceil(needed)}" if needed <= MOST else "larger fractions"


def _n_of(split: str, total: int, shares: dict[str, float]) -> int:
    """Number of the total that is in a split; train gets the remainder."""
    if split == "train":
        return total - sum(_n_of(other, total, shares) for other in shares if other != "train")
    return max(1, round(total * shares[split]))


def _has_photos(out: Path) -> bool:
    return any(path.is_file() for path in (out / "images").glob("*/*.jpg"))
