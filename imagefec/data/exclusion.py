"""Lists of what must not be used, for the protection of the pictured: read here, honoured in crop, builders and galleries."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from imagefec.errors import UserError

EXCLUDED = "excluded"  # the reason that every report counts them under
IN_MANUAL_DIR = "exclude.txt"  # where the dataset builders look for a list


class Exclusion:
    """A set of names: URLs, face ids, identities, or paths relative to a dataset's folder. Empty ones are falsy.

    How accents are coded makes no difference: a list typed on one system must hit a name of
      another.
    """

    def __init__(self, names: Iterable[str] = ()):
        self._names = frozenset(map(_plain, names))

    @classmethod
    def load(cls, path: str | os.PathLike | None) -> Exclusion:
        """Reads a list: UTF-8 text, one name a line; empty lines and lines that begin with # are skipped.

        Args:
          path: of the list; None for an empty one.

        Raises:
          UserError: the file is missing or is no UTF-8 text. A list that cannot be read must stop
            the work: what it names would be used.
        """
        if path is None:
            return cls()
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UserError(
                f"{path}: not UTF-8 text; write one URL, face id or identity a line."
            ) from None
        except OSError as error:
            raise UserError(
                f"{path}: the list of what to exclude cannot be read ({error.strerror}); nothing was done. "
                "Give a text file with one URL, face id or identity a line."
            ) from None
        names = (line.strip() for line in lines)
        return cls(name for name in names if name and not name.startswith("#"))

    @classmethod
    def of_manual_dir(cls, manual_dir: str | os.PathLike) -> Exclusion:
        """The list exclude.txt of a dataset's manual directory; an empty one where there is no such file."""
        path = Path(manual_dir) / IN_MANUAL_DIR
        return cls.load(path if path.exists() else None)

    def excludes(self, *names: str) -> bool:
        """Whether any of the names that one thing goes by is on the list."""
        return bool(self._names) and not self._names.isdisjoint(map(_plain, names))

    def without(self, names: Iterable[str]) -> list[str]:
        """Those on the list that are none of these names, sorted: slips of the pen, or of other data."""
        return sorted(self._names.difference(map(_plain, names)))

    @property
    def digest(self) -> str:
        """sha256 of the sorted names, hexadecimal; "" for an empty list."""
        if not self._names:
            return ""
        return hashlib.sha256("\n".join(sorted(self._names)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._names)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)
