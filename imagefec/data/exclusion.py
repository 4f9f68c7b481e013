"""Exclusion lists: URLs, faces and identities that must not be used, to protect people."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from imagefec.errors import UserError

EXCLUDED = "excluded"  # the reason in every report
IN_MANUAL_DIR = "exclude.txt"  # where the dataset builders look for a list


class Exclusion:
    """A set of names: URLs, face ids, identities, or paths relative to a dataset's folder.

    An empty set is falsy. Names are compared after Unicode normalization, because systems encode
    accents differently, and without percent-encoding; a URL's host has no letter case. A list thus
    excludes rather too much than too little.

    Args:
      names: what to exclude.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(map(_normalized, names))
        self._keys = frozenset(map(_key, self._names))

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
            text = Path(path).read_bytes().decode("utf-8-sig")
            if "\0" in text:  # UTF-16; its names would match nothing
                raise ValueError
        except ValueError:
            raise UserError(
                f"{path}: not UTF-8 text. Write one URL, face id or identity per line."
            ) from None
        except OSError as error:
            raise UserError(
                f"{path}: the exclusion list cannot be read ({error.strerror}); nothing was done. "
                "Give a text file with one URL, face id or identity per line."
            ) from None
        # Not splitlines, which also splits at characters that a URL may have, such as U+2028.
        names = (line.strip() for line in re.split(r"[\r\n]+", text))
        return cls(name for name in names if name and not name.startswith("#"))

    @classmethod
    def of_manual_dir(cls, manual_dir: str | os.PathLike[str]) -> Exclusion:
        """Reads exclude.txt of a dataset's manual directory; empty if there is no such file."""
        path = Path(manual_dir) / IN_MANUAL_DIR
        return cls.load(path if os.path.lexists(path) else None)  # a broken link is an error

    def excludes(self, *names: str) -> bool:
        """Whether the list contains any of the names of one photo, face or identity."""
        return bool(self._keys) and not self._keys.isdisjoint(map(_key, names))

    def names_not_in(self, names: Iterable[str]) -> list[str]:
        """Listed names that are not among `names`, sorted: misspelt, or names of other data."""
        known = frozenset(map(_key, names))
        return sorted(name for name in self._names if _key(name) not in known)

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


def _key(name: str) -> str:
    """What is equal for two names of the same thing."""
    start = _WEB.match(name)
    if start:
        name = start[0].lower() + name[start.end() :]
    return _normalized(unquote(name, errors="surrogateescape"))


_WEB = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
