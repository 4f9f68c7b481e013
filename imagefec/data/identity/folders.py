"""The folders of an identity dataset: splits, people and their photos, and what is left out; no picture is opened."""

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

SPLITS = ("train", "test")
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

SAME_NAME = "another folder has this name (but for case)"
SAME_FOLDER = "a link to another folder that is used"
NOT_UTF8 = "name is not UTF-8 text"
NO_ACCESS = "folder cannot be read"
NO_PICTURES = "no pictures in the folder"

HOW_TO_FILL = """\
The manual directory of `vggface2` (DIR below) holds a folder of pictures for each person, split as the authors split them:

  DIR/train/<identity>/*.jpg    8,631 people of VGGFace2
  DIR/test/<identity>/*.jpg     500 others

VGGFace2's archives unpack so; they may lie deeper as well (DIR/VGGFace2/data/train/...). With one of the two folders only its
split is built. A directory that holds the identity folders themselves (DIR/<identity>/*.jpg) becomes one split, train.
VGGFace2's authors offer no download any more, so nothing is fetched. Then:

  tfds build tfds_builders/vggface2 --manual_dir=DIR --data_dir=DATA"""

_DEEPEST = 3  # levels below the manual directory at which split folders are looked for
_MOST_LOOKED_INTO = 50  # folders of a level without pictures: more is no archive's nesting


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """One identity folder. `label` is its place among the split's people by name; `url` its path in the manual directory."""

    split: str
    name: str
    label: int
    folder: Path
    url: str


@dataclasses.dataclass(frozen=True, slots=True)
class Photo:
    """One picture file of a person; `size` and `mtime_ns` tell another file of the same name apart."""

    name: str
    face_id: str
    url: str
    path: Path
    size: int
    mtime_ns: int


@dataclasses.dataclass
class People:
    """The people of a split, by name, and how many identity folders were left out for which reason."""

    people: list[Person]
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    stray_files: int = 0
    also_in_train: int = 0  # of test: people who are in train as well, by name


@dataclasses.dataclass
class Photos:
    """The photos of a person, by name, and what else lay in the folder."""

    photos: list[Photo]
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)
    stray_files: int = 0  # other files, and folders


def find_splits(manual_dir: str | os.PathLike) -> dict[str, Path]:
    """Finds the folders of identity folders in a manual directory.

    Args:
      manual_dir: holds train/ and test/, or one of them, itself or up to three levels deeper; or
        the identity folders.

    Returns:
      By split, train first, the folder whose subfolders are people.

    Raises:
      UserError: there are no pictures in identity folders, or a split is there twice; the text says
        what was found.
    """
    root = Path(manual_dir)
    if not root.is_dir():
        raise UserError(f"{root} is not a directory.\n{HOW_TO_FILL}")
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for split, folder in _find(root, _DEEPEST, set()):
        found[split].append(folder)
    for split, folders in found.items():
        if len(folders) > 1:
            raise UserError(
                f"{folders[0]} and {folders[1]} are both there, and either may be the split {split}; keep one of "
                "them in the manual directory."
            )
    splits = {split: folders[0] for split, folders in found.items() if folders}
    if not splits:
        raise UserError(
            f"{root}: found {_inventory(root)}, but no folder of identity folders with pictures "
            f"({', '.join(sorted(PICTURES))}) in them.\n{HOW_TO_FILL}"
        )
    return splits


def list_splits(manual_dir: str | os.PathLike, exclusion: Exclusion) -> dict[str, People]:
    """Lists the people of each split; whom two folders might both show is kept under the first only.

    Two folders of one person would make "another person" of that same person; so links to a folder
    that is used already, and names that differ only in upper and lower case or in how accents are
    coded, are left out and counted. A name may be in both splits, though not in VGGFace2:
    `People.also_in_train` counts those.

    Returns:
      By split, train first; a split without any people left is absent.

    Raises:
      UserError: as `find_splits`; also if nobody is left.
    """
    root, used = Path(manual_dir), set()
    found = {
        split: _list_people(split, folder, root, exclusion, used)
        for split, folder in find_splits(root).items()
    }
    splits = {split: people for split, people in found.items() if people.people}
    if not splits:
        reasons = {split: dict(people.left_out) for split, people in found.items()}
        raise UserError(
            f"{root}: no person is left of its identity folders: {reasons}.\n{HOW_TO_FILL}"
        )
    if len(splits) == 2:
        splits["test"].also_in_train = len(
            {p.name for p in splits["train"].people} & {p.name for p in splits["test"].people}
        )
    return splits


def list_photos(person: Person, exclusion: Exclusion) -> Photos:
    """Lists a person's pictures, those left out counted; folders inside, and so loops of links, are not entered."""
    found = Photos([])
    try:
        entries = _entries(person.folder)
    except OSError:
        return found
    for entry in sorted(entries, key=lambda entry: entry.name):
        if (
            entry.name.startswith(".")
            or Path(entry.name).suffix.lower() not in PICTURES
            or _is_dir(entry)
        ):
            found.stray_files += 1
        elif not _is_text(entry.name):
            found.dropped[NOT_UTF8] += 1
        else:
            url = f"{person.url}/{entry.name}"
            id_ = face_id(person.split, person.name, entry.name)
            if exclusion.excludes(id_, *names_of(url)):
                found.dropped[EXCLUDED] += 1
            else:
                found.photos.append(
                    Photo(entry.name, id_, url, Path(entry.path), *_state_of(entry))
                )
    return found


def face_id(split: str, identity: str, file_name: str) -> str:
    """20 hex digits of split, person and file: a picture gives one face, and the id stays where an archive is unpacked."""
    return hashlib.sha256(f"{split}/{identity}/{file_name}".encode()).hexdigest()[:20]


def names_of(url: str) -> tuple[str, ...]:
    """What a photo may be excluded by, beside its face id, given its path in the manual directory: its names and its person's.

    What is no path of an identity folder, as FEC's addresses, has no other name.
    """
    *above, person, name = ("", *url.split("/"))
    if not person or "://" in url:
        return (url,)
    split = above[-1] if above[-1:] == ["test"] else "train"
    person_url = url.removesuffix(f"/{name}")
    return (
        url,
        f"{person}/{name}",
        f"{split}/{person}/{name}",
        person,
        person_url,
        f"{split}/{person}",
    )


def _find(folder: Path, levels: int, seen: set[tuple[int, int]]) -> Iterator[tuple[str, Path]]:
    try:
        state = folder.stat()
        inside = sorted(
            entry.name for entry in _entries(folder) if _is_dir(entry) and _is_text(entry.name)
        )
    except OSError:
        return
    if (state.st_dev, state.st_ino) in seen:  # a link back
        return
    seen.add((state.st_dev, state.st_ino))
    splits = [
        (split, folder / split)
        for split in SPLITS
        if split in inside and _holds_people(folder / split)
    ]
    if splits:
        yield from splits
    elif _holds_people(folder):
        yield "train", folder
    elif levels:
        for name in inside[:_MOST_LOOKED_INTO]:
            yield from _find(folder / name, levels - 1, seen)


def _holds_people(folder: Path) -> bool:
    # Pictures right in train/ are of nobody: no person is called so.
    try:
        people = [
            Path(entry.path)
            for entry in _entries(folder)
            if entry.name not in SPLITS and _is_dir(entry)
        ]
    except OSError:
        return False
    return any(map(_holds_pictures, people))


def _holds_pictures(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(
                Path(entry.name).suffix.lower() in PICTURES
                and not entry.name.startswith(".")
                and not _is_dir(entry)
                for entry in entries
            )
    except OSError:
        return False


def _list_people(
    split: str, folder: Path, root: Path, exclusion: Exclusion, used: set[tuple[int, int]]
) -> People:
    found, names, kept = People([]), set(), []
    for entry in sorted(
        _entries(folder), key=lambda entry: (entry.is_symlink(), entry.name)
    ):  # links after what they point to
        if entry.name.startswith(".") or not _is_dir(entry):
            found.stray_files += 1
            continue
        reason = _why_left_out(entry, split, _url(entry.path, root), names, used, exclusion)
        if reason:
            found.left_out[reason] += 1
        else:
            kept.append(entry.name)
    found.people = [
        Person(split, name, label, folder / name, _url(folder / name, root))
        for label, name in enumerate(sorted(kept))
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
    """Why an identity folder is left out, None if it stays; `names` and `used` are of those that stayed before."""
    if not _is_text(entry.name):
        return NOT_UTF8
    if exclusion.excludes(entry.name, url, f"{split}/{entry.name}"):
        return EXCLUDED
    state = entry.stat()
    if (state.st_dev, state.st_ino) in used:
        return SAME_FOLDER
    # Compared without case and in one coding of accents: a Mac's disk takes all these names for
    # one.
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", entry.name).casefold())
    if plain in names:
        return SAME_NAME
    if not os.access(entry.path, os.R_OK | os.X_OK):
        return NO_ACCESS
    if not _holds_pictures(Path(entry.path)):
        return NO_PICTURES
    used.add((state.st_dev, state.st_ino))
    names.add(plain)
    return None


def _entries(folder: str | os.PathLike) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return list(entries)


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_text(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)  # what Python makes of other bytes


def _state_of(entry: os.DirEntry) -> tuple[int, int]:
    try:
        state = entry.stat()
    except OSError:  # a broken link
        return -1, 0
    return (state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else (-1, 0)


def _url(path: str | os.PathLike, manual_dir: Path) -> str:
    return Path(path).relative_to(manual_dir).as_posix()


def _inventory(root: Path) -> str:
    entries = sorted(_entries(root), key=lambda entry: entry.name)
    folders = [ascii(entry.name)[1:-1] for entry in entries if _is_dir(entry)]
    some = f" ({', '.join(folders[:5])}{', ...' if len(folders) > 5 else ''})" if folders else ""
    return f"{len(folders)} folders{some} and {len(entries) - len(folders)} files"
