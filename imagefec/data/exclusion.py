"""Exclusion lists: URLs, faces and identities that must not be used, to protect people."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from imagefec.errors import UserError

EXCLUDED = "excluded"  # the reason in every report
IN_MANUAL_DIR = "exclude.txt"  # where the dataset builders look for a list


class Exclusion:
    """A set of names: URLs, face ids, identities, or paths relative to a dataset's folder.

    An empty set is falsy. Names are compared after Unicode normalization, because systems encode
    accents differently.

    Args:
      names: what to exclude.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(map(_normalized, names))

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None) -> Exclusion:
        """Reads a list: UTF-8 text, one name per line; empty lines and lines with # are skipped.

        Args:
          path: of the list; None for an empty one.

        Raises:
          UserError: the file is missing or is not UTF-8 text. Continuing without the list would
            use what it excludes.
        """
        if path is None:
            return cls()
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UserError(
                f"{path}: not UTF-8 text. Write one URL, face id or identity per line."
            ) from None
        except OSError as error:
            raise UserError(
                f"{path}: the exclusion list cannot be read ({error.strerror}); nothing was done. "
                "Give a text file with one URL, face id or identity per line."
            ) from None
        names = (line.strip() for line in lines)
        return cls(name for name in names if name and not name.startswith("#"))

    @classmethod
    def of_manual_dir(cls, manual_dir: str | os.PathLike[str]) -> Exclusion:
        """Reads exclude.txt of a dataset's manual directory; empty if there is no such file."""
        path = Path(manual_dir) / IN_MANUAL_DIR
        return cls.load(path if path.exists() else None)

    def excludes(self, *names: str) -> bool:
        """Whether the list contains any of the names of one photo, face or identity."""
        return bool(self._names) and not self._names.isdisjoint(map(_normalized, names))

    def names_not_in(self, names: Iterable[str]) -> list[str]:
        """Listed names that are not among `names`, sorted: misspelt, or names of other data."""
        return sorted(self._names.difference(map(_normalized, names)))

    @property
    def digest(self) -> str:
        """SHA-256 of the sorted names in hexadecimal; "" for an empty list."""
        if not self._names:
            return ""
        return hashlib.sha256("\n".join(sorted(self._names)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._names)


def _normalized(name: str) -> str:
    return unicodedata.normalize("NFC", name)
