"""Embedder: loads a run and embeds faces and photos. No training."""

import functools
import hashlib
import os
import pickle
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from imagefec.devices import check_not_forked, find_devices
from imagefec.errors import UserError
from imagefec.faces import opencv
from imagefec.faces.crop_settings import read_crop_settings
from imagefec.model import run_schema
from imagefec.model.embedding.double_buffer import double_buffered
from imagefec.model.embedding.face_input import as_array, each_face
from imagefec.model.embedding.photo_faces import FoundFaces, PhotoFaces
from imagefec.model.embedding.run_identity import RunIdentity
from imagefec.model.forward import RunNetwork
from imagefec.model.run import FACES, Run

if TYPE_CHECKING:
    from imagefec.faces.detection_crop import CropDetection
    from imagefec.faces.detectors import Detection, Detector


class Embedder:
    """Embeds faces with the weights of one run.

    Several threads may use one embedder. Processes must be started with
    `multiprocessing.get_context("spawn")`: JAX does not work in a fork of a process that used it,
    and a fork's calls raise UserError. An embedder of `load` can be pickled, and so be an argument
    of a process: the pickle holds the run's path and a digest of the weights, and loads the run
    again, from the same place, with the same weights.

    Attributes:
      image_size: side in pixels at which the network sees faces.
      d_embedding: length of an embedding.
      info: the contents of run.json, with "checkpoint" (the file's name) and, if the checkpoint
        has it, "step".
      crop_settings: how the faces of the training were cropped.
    """

    def __init__(self, model: Any, image_size: int, info: dict[str, Any] | None = None) -> None:
        """Wraps a network; `Embedder.load` makes one from a run.

        Args:
          model: initialised ImageFEC in eval mode, or a RunNetwork.
          image_size: side in pixels at which the network sees faces.
          info: see the attribute.

        Raises:
          UserError: JAX has no device, or this process was forked from one that used JAX.
        """
        find_devices()
        self.image_size = image_size
        self.info = info or {}
        self.crop_settings = read_crop_settings(self.info.get(FACES) or {})
        self._weights, self._state = jax.device_put((model.weights, model.state))
        key = jax.random.PRNGKey(0)  # required by Trax, unused in eval mode
        self._apply = jax.jit(
            lambda weights, state, faces: model.pure_fn(faces, weights, state, key)[0]
        )
        face = jax.ShapeDtypeStruct((1, image_size, image_size, 3), np.uint8)
        self.d_embedding = jax.eval_shape(self._apply, self._weights, self._state, face).shape[-1]
        self._detectors: dict[tuple[str, float | None], tuple[Any, Any]] = {}
        self._run_dir: Path | None = None  # of `load`

    @classmethod
    def load(cls, run_dir: str | os.PathLike[str] | Run) -> "Embedder":
        """Loads a run: run.json and best.npz, or model.npz if there is no best.npz yet.

        Args:
          run_dir: run directory, or archive made by `imagefec export`.

        Raises:
          ValueError: run_dir is no path.
          UserError: the directory, its run.json or its checkpoint is missing, broken or
            inconsistent, the run saw faces in another channel order, or JAX has no device.
        """
        find_devices()  # before anything computes
        if not isinstance(run_dir, str | os.PathLike | Run):
            raise ValueError(f"run_dir must be a path or a Run, found {run_dir!r}")
        run = run_dir if isinstance(run_dir, Run) else Run.open(run_dir)
        embedder = cls._of_run(run)
        embedder._run_dir = run.path.absolute()
        return embedder

    @classmethod
    def _of_run(cls, run: Run) -> "Embedder":
        """Builds the network of a run and sets its weights."""
        network = RunNetwork(run)
        found = run_schema.check_step(run.checkpoint, network.meta)
        step = {} if found is None else {"step": found}
        info = {**run.info, **step, "checkpoint": run.checkpoint.name}
        return cls(network, run.image_size, info)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the run's path and a digest of the weights; see the class.

        Raises:
          PicklingError: the embedder was not made by `load`.
        """
        if self._run_dir is None:
            raise pickle.PicklingError(
                "only an Embedder of Embedder.load(run) can be pickled, because its pickle names "
                "the run; this one was made from a network in memory"
            )
        return _load_again, (type(self), self._run_dir, self.identity.digest, self.info.get("step"))

    def embed(self, faces: Any, batch_size: int = 256) -> np.ndarray:
        """Embeds faces in batches, so that any number fits in memory.

        Args:
          faces: uint8 [n, h, w, 3] RGB; or one path or PIL image; or any iterable of paths, PIL
            images and uint8 [h, w, 3] arrays, read lazily. Paths and PIL images are turned upright
            as their EXIF says. Each shows one face, cropped as in the dataset. A face that is not
            square is letterboxed, and each is resized to image_size, as in the dataset.
          batch_size: faces per batch; the last batch is padded, so that it needs no compilation
            of its own.

        Returns:
          float32 [n, d_embedding], unit length along the last axis. Equal calls give equal bits. So
          does a face in another place or among other faces, if as many faces are in a batch; in
          batches of other sizes the sums have another order, and values differ by some 1e-7.

        Raises:
          ValueError: an array has another shape or dtype, or batch_size < 1.
          UserError: a path is not a readable image, the network gives vectors that are not of
            unit length, or this process was forked from one that used JAX.
        """
        vectors = list(self.embed_batches(faces, batch_size))
        return np.concatenate(vectors) if vectors else np.zeros((0, self.d_embedding), np.float32)

    def embed_batches(self, faces: Any, batch_size: int = 256) -> Iterator[np.ndarray]:
        """As `embed`, but yields the vectors of each batch, so that memory is constant.

        A batch is prepared while the device computes the one before, so that an iterator is read
        one batch ahead.

        Yields:
          float32 [b, d_embedding], b = batch_size except in the last.

        Raises:
          ValueError: as `embed`; that of batch_size at once, that of a face after the vectors of
            the batches before it. Likewise UserError.
        """
        if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool):
            raise ValueError(f"batch_size must be a whole number, found {batch_size!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, found {batch_size}")
        check_not_forked()
        batches = self._batches(each_face(faces), batch_size)
        return double_buffered(batches, self._start, self._finish)

    def embed_photo(
        self, photo: Any, detector: str = "auto", min_score: float | None = None
    ) -> list[tuple[Any, float, np.ndarray]]:
        """Detects the faces of a photo, crops each as in the dataset, and embeds it.

        If the run records how the detector's boxes differ from the dataset's, they are mapped to
        those before they are cropped. If the run's faces are aligned, these are too, and a face
        whose eyes cannot be trusted is left out, as in the dataset.

        Args:
          photo: uint8 [h, w, 3] RGB, or a path or PIL image, turned upright as its EXIF says.
          detector: "auto", "haar", "lbp", … as in imagefec.faces.detectors.
          min_score: faces with a lower score are skipped; None for the detector's default.

        Returns:
          (box, score, vector) of each face, highest score first; empty if there is none. box is
          the detector's geometry.Box in pixels of the photo; vector is float32 [d_embedding] of
          unit length.

        Raises:
          ValueError: an array has another shape or dtype, or an argument another type.
          UserError: as `embed`; or the detector is not available or cannot align, or min_score is
            outside its scale.
        """
        kept = self._crops(as_array(photo), *self._detection(detector, min_score))
        vectors = self.embed([face for _, face in kept])
        return [
            (detection.box, detection.score, vector)
            for (detection, _), vector in zip(kept, vectors)
        ]

    def embed_photos(
        self,
        photos: Any,
        detector: str = "auto",
        min_score: float | None = None,
        batch_size: int = 256,
        on_unreadable: str = "raise",
    ) -> PhotoFaces:
        """As `embed_photo`, for many photos, whose faces are embedded in batches.

        Args:
          photos: one photo as for `embed_photo`, or an iterable of them, read lazily.
          detector: as for `embed_photo`.
          min_score: likewise.
          batch_size: faces per batch.
          on_unreadable: "raise" UserError for a photo that cannot be read, or "skip" it.

        Returns:
          A table of the faces, which also says which photos gave none and why.

        Raises:
          ValueError: as `embed_photo`, or on_unreadable is neither.
          UserError: as `embed_photo`.
        """
        made, crop = self._detection(detector, min_score)
        found = FoundFaces(on_unreadable)
        faces = found.faces(photos, lambda photo: self._crops(photo, made, crop))
        return found.table(self.embed(faces, batch_size))

    def _detection(
        self, detector: str, min_score: float | None
    ) -> tuple["Detector", "CropDetection"]:
        """The detector, made once, and what crops its detections."""
        from imagefec.faces import detectors  # not needed for faces already cropped

        detectors.check_arguments(detector, min_score)
        if (detector, min_score) not in self._detectors:
            made = detectors.make_detector(detector, min_score)
            # If two threads make one at the same time, both use the same.
            self._detectors.setdefault((detector, min_score), (made, self.cropper(made)))
        return self._detectors[detector, min_score]

    @staticmethod
    def _crops(
        photo: np.ndarray, detector: "Detector", crop: "CropDetection"
    ) -> list[tuple["Detection", np.ndarray]]:
        """The faces of a photo, without those that cannot be aligned."""
        crops = [(detection, crop(photo, detection).face) for detection in detector.detect(photo)]
        return [(detection, face) for detection, face in crops if face is not None]

    def cropper(self, detector: "Detector") -> "CropDetection":
        """As `faces.detection_crop.cropper`, for the faces of the run."""
        from imagefec.faces import detection_crop

        name = str(self._run_dir or "this run")
        return detection_crop.cropper(self.crop_settings, detector, name)

    def _fit(self, face: np.ndarray) -> np.ndarray:
        """The face at image_size, letterboxed and resized as in the dataset."""
        if face.shape[0] != face.shape[1]:
            from imagefec.faces import crop

            face, _ = crop.letterbox(face)
        return opencv.resize(face, self.image_size, self.image_size)

    def _batches(
        self, faces: Iterator[np.ndarray], batch_size: int
    ) -> Iterator[tuple[np.ndarray, int]]:
        """The faces in padded batches: (uint8 [b, size, size, 3], number of faces)."""
        is_first = True
        while batch := [self._fit(face) for face in islice(faces, batch_size)]:
            n = len(batch)
            padded = min(batch_size, _power_of_two(n)) if is_first else batch_size
            if n < padded:
                batch += [np.zeros_like(batch[0])] * (padded - n)
            yield np.stack(batch), n
            is_first = False

    def _start(self, batch: tuple[np.ndarray, int]) -> tuple[jax.Array, int]:
        faces, n = batch
        return self._apply(self._weights, self._state, faces), n

    def _finish(self, started: tuple[jax.Array, int]) -> np.ndarray:
        vectors = np.asarray(started[0])[: started[1]]
        lengths = np.linalg.norm(vectors, axis=-1)
        if not (np.abs(lengths - 1) <= _LENGTH_TOLERANCE).all():  # refuses NaN too
            first = int(np.flatnonzero(~(np.abs(lengths - 1) <= _LENGTH_TOLERANCE))[0])
            raise UserError(
                f"{self._run_dir or 'this network'}: a face's vector has length {lengths[first]}, "
                "not 1: the weights have diverged or are damaged. Give another run, or train again."
            )
        return vectors

    @functools.cached_property
    def identity(self) -> RunIdentity:
        """Which run the vectors are from; equal digests of two embedders give equal vectors."""
        digest = hashlib.sha256()
        for array in jax.tree.leaves((self._weights, self._state)):
            digest.update(np.ascontiguousarray(array).data)
        dataset = self.info.get("dataset")
        return RunIdentity(
            digest.hexdigest(),
            str(self._run_dir or ""),
            self.info.get("step"),
            dataset if isinstance(dataset, str) else None,
        )

    def __repr__(self) -> str:
        step = f", step {self.info['step']}" if "step" in self.info else ""
        run = self._run_dir or "a network in memory"
        return f"<Embedder of {run}{step}: {self.image_size} px faces to {self.d_embedding}-d>"


_LENGTH_TOLERANCE = 1e-3  # that of a network in half precision


def _load_again(cls: type[Embedder], run_dir: Path, digest: str, step: Any) -> Embedder:
    """Loads the run of a pickled embedder, and checks that it still has the same weights."""
    embedder = cls.load(run_dir)
    if embedder.identity.digest != digest:
        raise UserError(
            f"{run_dir}: its weights (step {embedder.info.get('step')}) are not those of the "
            f"pickled embedder (step {step}); the run was trained on or replaced. Load the run "
            "and pickle the embedder again."
        )
    return embedder


def _power_of_two(n: int) -> int:
    """The smallest power of two >= n: a single webcam face must not cost a full batch."""
    return 1 << (n - 1).bit_length()
