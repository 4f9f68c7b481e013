"""The folders of an identity dataset: splits, identities and photos; opens no photo."""

# Over 350 lines: splits, identities and photos are found by one walk with one set of rules.
from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from imagefec.data.exclusion import EXCLUDED, Exclusion
from imagefec.errors import UserError
from imagefec.faces import photo_files

# The folders that hold the identities of each split.
SPLIT_FOLDERS = {"train": ("train",), "test": ("test",), "validation": ("validation", "val")}
SUFFIXES = frozenset(photo_files.SUFFIXES)

SAME_NAME = "another folder has this name (but for case)"
SAME_FOLDER = "a link to another folder that is used"
NOT_UTF8 = "name is not UTF-8 text"
NO_ACCESS = "folder cannot be read"
NO_PHOTOS = "no pictures in the folder"

HOW_TO_FILL = """\
The manual directory of `vggface2` (DIR below) holds a folder of photos for each identity, in the
authors' splits:

  DIR/train/<identity>/*.jpg    8,631 identities of VGGFace2
  DIR/test/<identity>/*.jpg     500 others
  DIR/val/<identity>/*.jpg      optional: your own split, validation; or DIR/validation/...

VGGFace2's archives unpack to this layout; it may also be deeper (DIR/VGGFace2/data/train/...). Only
the splits whose folders exist are built. If DIR holds the identity folders
themselves (DIR/<identity>/*.jpg), they become one split, train. VGGFace2's authors no longer offer
a download, so nothing is fetched. Then:

  tfds build tfds_builders/vggface2 --manual_dir=DIR --data_dir=DATA"""

_MAX_DEPTH = 3  # levels below the manual directory that are searched for split folders
_MAX_SEARCHED = 50  # folders searched per level; unpacked archives have fewer


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """One identity folder.

    Attributes:
      split: "train", "test" or "validation".
      name: of the folder.
      label: its index among the split's identities by name, from 0.
      folder: its path.
      url: its path relative to the manual directory.
    """

    split: str
    name: str
    label: int
    folder: Path
    url: str


@dataclasses.dataclass(frozen=True, slots=True)
class Photo:
    """One photo file of an identity; `size` and `mtime_ns` change if the file is replaced.

    Attributes:
      name: of the file.
      face_id: 20 hex digits, from `face_id`.
      url: its path relative to the manual directory.
      path: of the file.
      size: bytes; -1 if it is not a regular file.
      mtime_ns: time of the last modification, ns; 0 if it is not a regular file.
    """

    name: str
    face_id: str
    url: str
    path: Path
    size: int
    mtime_ns: int


@dataclasses.dataclass
class SplitIdentities:
    """The identities of a split, and counts of what else its folder holds.

    Attributes:
      identities: sorted by name.
      left_out: number of folders left out, by reason.
      stray_files: number of other files.
      also_in_train: number of identities that are also in train, by name; 0 for train itself.
    """

    identities: list[Identity]
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    stray_files: int = 0
    also_in_train: int = 0


@dataclasses.dataclass
class ListedPhotos:
    """The photos of an identity, and counts of what else its folder holds.

    Attributes:
      photos: sorted by name.
      dropped: number of photos left out, by reason.
      stray_files: number of other files and of folders.
    """

    photos: list[Photo]
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)
    stray_files: int = 0


def find_splits(manual_dir: str | os.PathLike[str]) -> dict[str, Path]:
    """Finds the folders of identity folders in a manual directory.

    Args:
      manual_dir: holds train/, test/ and val/ (or validation/), or some of them, itself or up to
        three levels deeper; or the identity folders.

    Returns:
      By split, train first: the folder whose subfolders are identities.

    Raises:
      UserError: no identity folder has photos, or a split exists twice; the text says what was
        found.
    """
    root = Path(manual_dir)
    if not root.is_dir():
        raise UserError(f"{root} is not a directory.\n{HOW_TO_FILL}")
    found: dict[str, list[Path]] = {split: [] for split in SPLIT_FOLDERS}
    for split, folder in _find(root, _MAX_DEPTH, set()):
        found[split].append(folder)
    for split, folders in found.items():
        if len(folders) > 1:
            raise UserError(
                f"{folders[0]} and {folders[1]} both exist, and either may be the split {split}; "
                "keep one of them in the manual directory."
            )
    splits = {split: folders[0] for split, folders in found.items() if folders}
    if not splits:
        raise UserError(
            f"{root}: found {_inventory(root)}, but no folder of identity folders with photos "
            f"({', '.join(sorted(SUFFIXES))}) in them.\n{HOW_TO_FILL}"
        )
    return splits


def list_splits(
    manual_dir: str | os.PathLike[str], exclusion: Exclusion
) -> dict[str, SplitIdentities]:
    """Lists the identities of each split; uses one folder if several may show the same person.

    Two folders of one person would make that person the odd one out of their own triplets.
    Therefore links to a folder that is already used, and names that differ only in case or in the
    encoding of accents, are left out and counted. A name may be in several splits, though not in
    VGGFace2: `SplitIdentities.also_in_train` counts such names.

    Args:
      manual_dir: as for `find_splits`.
      exclusion: identities that must not be used.

    Returns:
      By split, train first; a split without any identity left is absent.

    Raises:
      UserError: as `find_splits`; also if no identity is left.
    """
    root = Path(manual_dir)
    used: set[tuple[int, int]] = set()
    found = {
        split: _list_identities(split, folder, root, exclusion, used)
        for split, folder in find_splits(root).items()
    }
    splits = {split: listed for split, listed in found.items() if listed.identities}
    if not splits:
        reasons = {split: dict(listed.left_out) for split, listed in found.items()}
        raise UserError(f"{root}: no identity folder is left: {reasons}.\n{HOW_TO_FILL}")
    names = {split: {identity.name for identity in splits[split].identities} for split in splits}
    for split in splits:
        if split != "train":
            splits[split].also_in_train = len(names[split] & names.get("train", set()))
    return splits


def list_photos(identity: Identity, exclusion: Exclusion) -> ListedPhotos:
    """Lists an identity's photos and counts those left out; does not enter subfolders.

    Args:
      identity: whose folder is listed.
      exclusion: photos that must not be used.

    Returns:
      ListedPhotos; empty if the folder cannot be read.
    """
    found = ListedPhotos([])
    try:
        entries = _entries(identity.folder)
    except OSError:
        return found
    for entry in sorted(entries, key=lambda entry: entry.name):
        suffix = Path(entry.name).suffix.lower()
        if entry.name.startswith(".") or suffix not in SUFFIXES or _is_dir(entry):
            found.stray_files += 1
            continue
        if not _is_text(entry.name):
            found.dropped[NOT_UTF8] += 1
            continue
        url = f"{identity.url}/{entry.name}"
        id_ = face_id(identity.split, identity.name, entry.name)
        if exclusion.excludes(id_, *names_of(url)):
            found.dropped[EXCLUDED] += 1
            continue
        found.photos.append(Photo(entry.name, id_, url, Path(entry.path), *_state_of(entry)))
    return found


def face_id(split: str, identity: str, file_name: str) -> str:
    """20 hex digits from split, identity and file name, independent of the folder above them."""
    return hashlib.sha256(f"{split}/{identity}/{file_name}".encode()).hexdigest()[:20]


def names_of(url: str) -> tuple[str, ...]:
    """The names by which a photo may be excluded, beside its face id: its own and its identity's.

    Args:
      url: the photo's path in the manual directory. A web URL, such as FEC's, is the only name of
        its photo.
    """
    *above, identity, name = ("", *url.split("/"))
    if not identity or "://" in url:
        return (url,)
    split = next((split for split, of in SPLIT_FOLDERS.items() if above[-1] in of), "train")
    return (
        url,
        f"{identity}/{name}",
        f"{split}/{identity}/{name}",
        identity,
        url.removesuffix(f"/{name}"),
        f"{split}/{identity}",
    )


def _find(folder: Path, levels: int, seen: set[tuple[int, int]]) -> Iterator[tuple[str, Path]]:
    try:
        state = folder.stat()
        inside = sorted(
            entry.name for entry in _entries(folder) if _is_dir(entry) and _is_text(entry.name)
        )
    except OSError:
        return
    if (state.st_dev, state.st_ino) in seen:  # a loop of links
        return
    seen.add((state.st_dev, state.st_ino))
    splits = [
        (split, folder / name)
        for split, names in SPLIT_FOLDERS.items()
        for name in names
        if name in inside and _holds_identities(folder / name)
    ]
    # Beside identity folders, a folder val is no sign that they are not a split themselves.
    if any(split != "validation" for split, _ in splits) or (
        splits and not _holds_identities(folder)
    ):
        yield from splits
    elif _holds_identities(folder):
        yield "train", folder
    elif levels:
        for name in inside[:_MAX_SEARCHED]:
            yield from _find(folder / name, levels - 1, seen)


def _holds_identities(folder: Path) -> bool:
    # A folder train or test is a split, not an identity.
    try:
        identities = [
            Path(entry.path)
            for entry in _entries(folder)
            if entry.name not in ("train", "test") and _is_dir(entry)
        ]
    except OSError:
        return False
    return any(map(_holds_photos, identities))


def _holds_photos(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(
                Path(entry.name).suffix.lower() in SUFFIXES
                and not entry.name.startswith(".")
                and not _is_dir(entry)
                for entry in entries
            )
    except OSError:
        return False


def _list_identities(
    split: str, folder: Path, root: Path, exclusion: Exclusion, used: set[tuple[int, int]]
) -> SplitIdentities:
    found = SplitIdentities([])
    names: set[str] = set()
    used_names = []
    # Links come after the folders that they point to.
    for entry in sorted(_entries(folder), key=lambda entry: (entry.is_symlink(), entry.name)):
        if entry.name.startswith(".") or not _is_dir(entry):
            found.stray_files += 1
            continue
        reason = _why_left_out(entry, split, _url(entry.path, root), names, used, exclusion)
        if reason:
            found.left_out[reason] += 1
        else:
            used_names.append(entry.name)
    found.identities = [
        Identity(split, name, label, folder / name, _url(folder / name, root))
        for label, name in enumerate(sorted(used_names))
    ]
    return found


def _why_left_out(
    entry: os.DirEntry,
    split: str,
    url: str,
    names: set[str],
    used: set[tuple[int, int]],
    exclusion: Exclusion,
) -> str | None:
    """Why a folder is left out; None if it is used, which adds it to `names` and `used`."""
    if not _is_text(entry.name):
        return NOT_UTF8
    if exclusion.excludes(entry.name, url, f"{split}/{entry.name}"):
        return EXCLUDED
    state = entry.stat()
    if (state.st_dev, state.st_ino) in used:
        return SAME_FOLDER
    # Names are compared as macOS's file system compares them: case-folded, with composed accents.
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", entry.name).casefold())
    if plain in names:
        return SAME_NAME
    if not os.access(entry.path, os.R_OK | os.X_OK):
        return NO_ACCESS
    if not _holds_photos(Path(entry.path)):
        return NO_PHOTOS
    used.add((state.st_dev, state.st_ino))
    names.add(plain)
    return None


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return list(entries)


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_text(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)  # how Python decodes other bytes


def _state_of(entry: os.DirEntry) -> tuple[int, int]:
    try:
        state = entry.stat()
    except OSError:  # a broken link
        return -1, 0
    return (state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else (-1, 0)


def _url(path: str | os.PathLike[str], manual_dir: Path) -> str:
    return Path(path).relative_to(manual_dir).as_posix()


def _inventory(root: Path) -> str:
    entries = sorted(_entries(root), key=lambda entry: entry.name)
    folders = [ascii(entry.name)[1:-1] for entry in entries if _is_dir(entry)]
    some = f" ({', '.join(folders[:5])}{', ...' if len(folders) > 5 else ''})" if folders else ""
    return f"{len(folders)} folders{some} and {len(entries) - len(folders)} files"
