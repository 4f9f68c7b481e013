"""Finds the images of paths and folders, and counts what is left out; nothing is decoded."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from imagefec.errors import UserError
from imagefec.faces import photo_files
from imagefec.paths import readable, user_path

# Files of a folder with one of these are images, whatever they hold: if they cannot be read, that
# is reported. Other files are images if their first bytes say so.
_UNREADABLE = (".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jpf", ".jpx", ".jxl")
SUFFIXES = frozenset((*photo_files.SUFFIXES, *_UNREADABLE, ".qoi", ".tga"))
# What macOS, editors and this project write beside images: "._a.jpg", ".ipynb_checkpoints".
HIDDEN = (".", "__MACOSX")
_HEAD_BYTES = 32
_N_NAMES = 5
_MOST_CHARACTERS = 1000  # of a name in a line

HIDDEN_REASON = "hidden"
NO_IMAGE = "no image"
SAME_FILE = "same file as an earlier one"
SAME_FOLDER = "same folder as an earlier one"
BROKEN_LINK = "broken link"
NO_FILE = "neither file nor folder"
CLOSED_FOLDER = "folder that cannot be opened"


@dataclass
class LeftOut:
    """What was left out: a count for each reason, and the first names.

    Attributes:
      counts: reason -> number of files or folders.
      names: reason -> the first names, each possibly followed by an explanation.
    """

    counts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str | os.PathLike[str]) -> None:
        """Counts one file or folder."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if len(names := self.names.setdefault(reason, [])) < _N_NAMES:
            names.append(os.fspath(name))

    def lines(self) -> list[str]:
        """A line for each reason: "hidden: 12, the first: ._a.jpg, ._b.jpg"."""
        shown = {reason: ", ".join(map(_shown, names)) for reason, names in self.names.items()}
        return [
            f"{reason}: {n}, {'the first: ' if n > 1 else ''}{shown[reason]}"
            for reason, n in self.counts.items()
        ]

    def as_json(self) -> dict[str, dict[str, object]]:
        """Reason -> {"count", "first" (names)}."""
        return {
            reason: {"count": n, "first": self.names[reason]} for reason, n in self.counts.items()
        }


def _shown(name: str) -> str:
    name = readable(name)
    return name if len(name) <= _MOST_CHARACTERS else f"{name[:_MOST_CHARACTERS]}…"


@dataclass
class ImageFiles:
    """The images found.

    Attributes:
      paths: in the given order, each folder sorted, no file twice.
      named: those that were given by name; the others are from folders.
      left_out: files and folders that are not among them.
    """

    paths: list[Path]
    named: set[Path]
    left_out: LeftOut


def find_images(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], every_name: bool = False
) -> ImageFiles:
    """Finds the images of paths and folders.

    Of a folder, all images below it, through links too: files with one of SUFFIXES, and others that
    begin like an image (`photo_files.kind_of`). Hidden files and folders are left
    out. A file that has two names is found under the first.

    Args:
      paths: image files and folders of them.
      every_name: a file that has several names is found under each of them.

    Raises:
      ValueError: paths is something else.
      UserError: a path does not exist or is a FIFO or a device, a folder has no image, or no path
        was given.
    """
    found = ImageFiles([], set(), LeftOut())
    seen: set[tuple[int, int]] | None = None if every_name else set()
    for path in _each_path(paths):
        path = user_path(path)
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116  # unlike Path.exists, says why not
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{path}: no such file or folder. Give image files or folders of them."
            ) from None
        except OSError as error:
            raise UserError(
                f"{path}: cannot be opened ({error.strerror}). Give image files or folders of them "
                "that you may read."
            ) from None
        if stat.S_ISDIR(mode):
            inside = _images_below(path, found.left_out)
            if not inside:
                raise UserError(_without_images(path, found.left_out))
            _add(inside, found, seen)
        elif stat.S_ISREG(mode):
            found.named.add(path)
            _add([path], found, seen)
        else:
            raise UserError(
                f"{path}: is a FIFO, a socket or a device, not a file. Give image files or folders "
                "of them."
            )
    if not found.paths:
        raise UserError("No image was given. Give image files or folders of them.")
    return found


def _each_path(paths: object) -> Iterator[str | os.PathLike[str]]:
    if isinstance(paths, str | os.PathLike):
        yield paths
        return
    if not isinstance(paths, Iterable) or isinstance(paths, bytes):
        raise ValueError(f"paths must be a path or an iterable of paths, found {paths!r}")
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise ValueError(f"a path must be a text or os.PathLike, found {path!r}")
        yield path


def _add(paths: Iterable[Path], found: ImageFiles, seen: set[tuple[int, int]] | None) -> None:
    if seen is None:
        found.paths.extend(paths)
        return
    for path in paths:
        identity = _identity(path)
        if identity in seen:
            found.left_out.add(SAME_FILE, path)
        else:
            seen.add(identity)
            found.paths.append(path)


def _images_below(folder: Path, left_out: LeftOut) -> list[Path]:
    images = []
    seen: set[tuple[int, int]] = set()  # of folders, because links may lead in a circle

    def unopened(error: OSError) -> None:
        left_out.add(CLOSED_FOLDER, f"{os.fsdecode(error.filename)} ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=unopened, followlinks=True):
        identity = _identity(Path(place))
        if identity in seen:
            left_out.add(SAME_FOLDER, place)
            folders.clear()
            continue
        seen.add(identity)
        for name in sorted(each for each in (*folders, *names) if each.startswith(HIDDEN)):
            left_out.add(HIDDEN_REASON, Path(place, name))
        folders[:] = sorted(each for each in folders if not each.startswith(HIDDEN))
        for name in sorted(each for each in names if not each.startswith(HIDDEN)):
            reason = _why_no_image(Path(place, name))
            if reason is None:
                images.append(Path(place, name))
            else:
                left_out.add(reason, Path(place, name))
    return sorted(images)


def _why_no_image(path: Path) -> str | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return NO_FILE
    except OSError:
        return BROKEN_LINK
    if path.suffix.lower() in SUFFIXES:
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return NO_IMAGE
    return None if photo_files.kind_of(head) else NO_IMAGE


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    # Some file systems number no files: a hash of the path stands in for the number.
    return found.st_dev, found.st_ino or hash(path.resolve())


def _without_images(folder: Path, left_out: LeftOut) -> str:
    rest = f" Left out: {'; '.join(left_out.lines())}." if left_out.counts else ""
    return (
        f"{folder}: no file in this folder or below is an image.{rest} Give image files, or "
        "folders of them."
    )
