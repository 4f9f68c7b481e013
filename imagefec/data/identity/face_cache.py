"""Crops the faces of an identity dataset once, into a resumable cache folder, and reads them.

Each identity has two files: NAME.pngs, PNG files one after the other, and NAME.json, the manifest
with the outcome of each photo. The manifest is written last, so an identity that has one is
complete. Identities are independent, so threads can divide them, and so can workers of a cluster
that have access to the same folder. detection.py crops a single photo.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from imagefec import files, json_files
from imagefec.cpu import cpu_count
from imagefec.data.exclusion import Exclusion
from imagefec.data.identity.detection import (
    FORMAT,
    DetectionSettings,
    IdentityFace,
    crop_identity_photos,
    identity_face,
)
from imagefec.data.identity.folders import Identity, list_photos
from imagefec.data.identity.loose_boxes import LooseBoxes
from imagefec.errors import UserError
from imagefec.faces import opencv
from imagefec.faces.detectors import Detector
from imagefec.faces.photo_files import is_complete_png

# (crop one identity, identities) -> an iterator that yields once per finished identity.
ForEach = Callable[[Callable[[Identity], None], Sequence[Identity]], Iterator[None]]


class FaceReader:
    """Reads faces by identity and number; only its folder is pickled when it is sent to workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest_of = functools.lru_cache(maxsize=256)(
            functools.partial(_read_manifest, folder)
        )

    def __call__(self, identity: Identity, number: int) -> IdentityFace:
        """Reads an identity's face by its number, from 0.

        Raises:
          UserError: it is missing, damaged, or was cropped again meanwhile.
        """
        name, offset, length, box, _, _ = self._manifest_of(identity)["faces"][number]
        png = _read_png(_stem(self._folder, identity).with_suffix(".pngs"), offset, length)
        return identity_face(identity, name, tuple(box), png)

    def __reduce__(self) -> tuple:
        return FaceReader, (self._folder,)


class CachedFaces:
    """The faces of a split in a cache folder, as a sequence: by identity, then by photo name.

    Attributes:
      identities: of the split, including those without a face; `labels` are their labels.
      labels: int32 [n], the identity label of each face.
      photos: number of photos.
      upscaled: number of faces that were smaller than 128 px.
      stray_files: number of other files in the identity folders.
      dropped: number of photos dropped, by reason.
      read: the FaceReader of the places that `place` returns.
    """

    def __init__(self, identities: Sequence[Identity], folder: Path) -> None:
        self.identities = identities
        self._folder = folder
        self.read = FaceReader(folder)
        self.photos = self.upscaled = self.stray_files = 0
        self.dropped: Counter[str] = Counter()
        counts = []
        for identity in identities:
            manifest = _checked(folder, identity)
            counts.append(len(manifest["faces"]))
            self.photos += manifest["photos"]
            self.stray_files += manifest["stray_files"]
            self.upscaled += sum(upscaled for *_, upscaled in manifest["faces"])
            self.dropped.update(manifest["dropped"])
        labels = np.array([identity.label for identity in identities], np.int32)
        self.labels = np.repeat(labels, counts)
        self._starts = [0, *itertools.accumulate(counts)]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> IdentityFace:
        return self.read(*self.place(index))

    def place(self, index: int) -> tuple[Identity, int]:
        """The identity of a face, and the face's number within the identity, from 0."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        at = bisect.bisect_right(self._starts, index) - 1
        return self.identities[at], index - self._starts[at]

    @property
    def n_per_identity(self) -> np.ndarray:
        """Int [identities], number of faces of each identity."""
        return np.diff(self._starts)

    def __reduce__(self) -> tuple:
        return CachedFaces, (self.identities, self._folder)


def cache_folder(
    base: str | os.PathLike[str], manual_dir: str | os.PathLike[str], settings: DetectionSettings
) -> Path:
    """The folder under `base` for the faces of one manual directory and settings."""
    key = json.dumps([FORMAT, dataclasses.astuple(settings), os.path.realpath(manual_dir)])
    return Path(base) / hashlib.sha256(key.encode()).hexdigest()[:12]


def crop_split(
    identities: Sequence[Identity],
    exclusion: Exclusion,
    settings: DetectionSettings,
    cache: str | os.PathLike[str],
    boxes: LooseBoxes | None = None,
    for_each: ForEach | None = None,
    progress: Any = None,
) -> CachedFaces:
    """Crops the faces of a split's identities; identities that an earlier call finished are reused.

    Args:
      identities: of one split, from `list_splits`.
      exclusion: its photos are not opened, and faces cropped from them before are deleted.
      settings: how faces are detected.
      cache: folder for the faces, about 20 kB each, from `cache_folder`. It may be deleted when no
        more datasets will be built.
      boxes: loose boxes of the split, required if settings.boxes is "loose_bb"; else None.
      for_each: runs the crop on every identity; None for threads, one per CPU core. The faces do
        not depend on it.
      progress: updated by 1 per identity.

    Returns:
      The faces, by identity and photo name.

    Raises:
      UserError: the folder cannot be written (or the disk is full), or another build is using it.
      ValueError: there are no identities.
    """
    if not identities:
        raise ValueError("crop_split requires at least one identity")
    folder = Path(cache) / identities[0].split
    crop = functools.partial(_crop_identity, exclusion, settings, folder, boxes)
    # The last two folders are made here; above them, a link may lead to another disk.
    files.refuse_links(folder.parents[1], (folder.parent.name, f"{folder.parent.name}/*"))
    with _folder_errors(folder), files.folder_lock(folder, "build", "--data_dir", "lock"):
        _remove_others(folder, identities)
        for _ in (for_each or for_each_in_threads)(crop, identities):
            if progress is not None:
                progress.update(1)
        return CachedFaces(identities, folder)


def for_each_in_threads(
    crop: Callable[[Identity], None], identities: Sequence[Identity], workers: int | None = None
) -> Iterator[None]:
    """Crops identities in threads; yields once per finished identity.

    OpenCV releases the GIL. Processes would each have to import all that `tfds build` has imported.

    Args:
      crop: crops one identity.
      identities: to crop.
      workers: number of threads; None for one per CPU core.
    """
    workers = workers or cpu_count()
    stop = threading.Event()
    prepare = functools.partial(setattr, _of_thread, "stop", stop)
    with opencv.single_thread(), ThreadPoolExecutor(workers, initializer=prepare) as pool:
        running: deque[Future[None]] = deque()
        try:
            for identity in identities:
                running.append(pool.submit(crop, identity))
                while len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:
            stop.set()  # an identity may have hundreds of photos: ctrl-C does not wait for them
            raise
        finally:
            pool.shutdown(cancel_futures=True)


class _StoppedError(Exception):
    """Another thread failed, or the user stopped the build."""


def _crop_identity(
    exclusion: Exclusion,
    settings: DetectionSettings,
    folder: Path,
    boxes: LooseBoxes | None,
    identity: Identity,
) -> None:
    listed = list_photos(identity, exclusion)
    photos = listed.photos
    found = None if boxes is None else [boxes.find(identity.name, photo.name) for photo in photos]
    states = [(photo.name, photo.size, photo.mtime_ns) for photo in photos]
    made_from = hashlib.sha256(
        repr((states, found, sorted(listed.dropped.items()), listed.stray_files)).encode()
    ).hexdigest()
    stem = _stem(folder, identity)
    manifest_path = stem.with_suffix(".json")
    if _is_made_from(manifest_path, made_from):
        return
    manifest_path.unlink(missing_ok=True)
    dropped, faces, offset = Counter(listed.dropped), [], 0
    # A cluster may give an identity to two workers at once; each writes its own temporary file.
    with files.atomic_open(stem.with_suffix(".pngs")) as file:
        for photo, outcome in zip(photos, crop_identity_photos(photos, _detector(settings), found)):
            if (stop := getattr(_of_thread, "stop", None)) and stop.is_set():
                raise _StoppedError
            if outcome.png is None:
                dropped[outcome.reason] += 1
                continue
            length = file.write(outcome.png)
            faces.append([photo.name, offset, length, outcome.box, outcome.score, outcome.upscaled])
            offset += length
    manifest = {
        "made_from": made_from,
        "photos": len(photos) + listed.dropped.total(),
        "stray_files": listed.stray_files,
        "dropped": dropped,
        "faces": faces,
    }
    files.write_text(manifest_path, json.dumps(manifest))


# Of each thread: its detector, which may not be shared, and the event that stops it.
_of_thread = threading.local()


def _detector(settings: DetectionSettings) -> Detector:
    if getattr(_of_thread, "settings", None) != settings:
        _of_thread.settings, _of_thread.detector = settings, settings.make_detector()
    return _of_thread.detector


def _stem(folder: Path, identity: Identity) -> Path:
    # A hash: names may be too long for files, or collide on a file system that ignores case.
    return folder / hashlib.sha256(identity.name.encode()).hexdigest()[:20]


def _is_made_from(manifest_path: Path, made_from: str) -> bool:
    try:
        return json_files.read_json(manifest_path)["made_from"] == made_from
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # missing or damaged
        return False


def _read_manifest(folder: Path, identity: Identity) -> dict[str, Any]:
    path = _stem(folder, identity).with_suffix(".json")
    try:
        return json_files.read_json(path)
    except (OSError, ValueError):
        raise _changed(path) from None


def _checked(folder: Path, identity: Identity) -> dict[str, Any]:
    """Reads a manifest and checks that it has the form that `_crop_identity` writes."""
    manifest = _read_manifest(folder, identity)
    try:
        counts = [manifest["photos"], manifest["stray_files"], *manifest["dropped"].values()]
        faces = manifest["faces"]
        for name, offset, length, box, score, upscaled in faces:
            left, right, top, bottom = map(float, box)
            del left, right, top, bottom
            if not isinstance(name, str) or not isinstance(upscaled, bool):
                raise ValueError
            counts += [offset, length]
            float(score)
        if not all(isinstance(count, int) and 0 <= count < 1 << 62 for count in counts):
            raise ValueError
    except (KeyError, TypeError, AttributeError, ValueError):
        raise _changed(_stem(folder, identity).with_suffix(".json")) from None
    return manifest


def _read_png(path: Path, offset: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            png = file.read(length)
    except OSError:
        raise _changed(path) from None
    if len(png) != length or not is_complete_png(png):
        raise _changed(path)
    return png


def _changed(path: Path) -> UserError:
    return UserError(
        f"{path}: missing, damaged, or changed by another build meanwhile; delete {path.parent} "
        "and build again."
    )


def _remove_others(folder: Path, identities: Sequence[Identity]) -> None:
    """Deletes faces of identities that are no longer used."""
    stems = {_stem(folder, identity).name for identity in identities}
    for path in folder.iterdir():
        if path.suffix in (".json", ".pngs") and path.stem not in stems:
            path.unlink(missing_ok=True)


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write the cropped faces ({error.filename or 'disk'}: "
            f"{error.strerror or error}). Make room, about 20 kB per face, or give another "
            "--data_dir. Finished identities are not lost: the same command resumes."
        ) from error
