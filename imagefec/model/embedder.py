"""Embedder: loads a run and embeds faces and photos. No training."""

import hashlib
import os
import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from imagefec.compat import ShapeDtype, nested_map, tl
from imagefec.devices import check_not_forked, find_devices
from imagefec.errors import UserError
from imagefec.faces import opencv
from imagefec.faces.crop_settings import read_crop_settings
from imagefec.model import checkpoint, run_schema
from imagefec.model.resnet import ImageFEC
from imagefec.model.run import FACES, Run

if TYPE_CHECKING:
    from imagefec.faces.detection_crop import CropDetection
    from imagefec.faces.detectors import Detector


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
          model: initialised ImageFEC in eval mode.
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
        info, path, size = run.info, run.checkpoint, run.image_size
        try:
            model = ImageFEC(**{**run.model_settings, "mode": "eval"})
            signature = ShapeDtype((1, size, size, 3), np.uint8)
            # Shapes only: sampling weights just to replace them would take most of the loading.
            weights, state = model.weights_and_state_signature(signature)
        except (TypeError, ValueError, ArithmeticError, tl.base.LayerError) as error:
            raise UserError(
                f"{run.info_path}: its model settings fit no model of this version: "
                f"{error}. Use the version of Image FEC that made the run."
            ) from None
        arrays, meta = run.load_checkpoint(checkpoint.expected_weights(model, weights, state))
        model.weights, model.state = nested_map(
            lambda s: np.zeros(s.shape, s.dtype), (weights, state)
        )
        checkpoint.set_named_weights(model, arrays, source=path)
        step = {} if (found := run_schema.check_step(path, meta)) is None else {"step": found}
        return cls(model, size, {**info, **step, "checkpoint": path.name})

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
        return _load_again, (type(self), self._run_dir, self._digest(), self.info.get("step"))

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
          float32 [n, d_embedding], unit length along the last axis.

        Raises:
          ValueError: an array has another shape or dtype, or batch_size < 1.
          UserError: a path is not a readable image, the network gives vectors that are not of
            unit length, or this process was forked from one that used JAX.
        """
        if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool):
            raise ValueError(f"batch_size must be a whole number, found {batch_size!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, found {batch_size}")
        check_not_forked()
        iterator = _each_face(faces)
        vectors: list[np.ndarray] = []
        while batch := [self._fit(face) for face in islice(iterator, batch_size)]:
            padded = batch_size if vectors else min(batch_size, _power_of_two(len(batch)))
            vectors.append(self._embed_batch(np.stack(batch), padded))
        return np.concatenate(vectors) if vectors else np.zeros((0, self.d_embedding), np.float32)

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
        from imagefec.faces import detectors  # not needed for faces already cropped

        detectors.check_arguments(detector, min_score)
        photo = _as_array(photo)
        if (detector, min_score) not in self._detectors:
            made = detectors.make_detector(detector, min_score)
            # If two threads make one at the same time, both use the same.
            self._detectors.setdefault((detector, min_score), (made, self.cropper(made)))
        made, crop = self._detectors[detector, min_score]
        crops = [(detection, crop(photo, detection).face) for detection in made.detect(photo)]
        kept = [(detection, face) for detection, face in crops if face is not None]
        vectors = self.embed([face for _, face in kept])
        return [
            (detection.box, detection.score, vector)
            for (detection, _), vector in zip(kept, vectors)
        ]

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

    def _embed_batch(self, faces: np.ndarray, padded: int) -> np.ndarray:
        n = len(faces)
        if n < padded:
            faces = np.concatenate([faces, np.zeros((padded - n, *faces.shape[1:]), np.uint8)])
        vectors = np.asarray(self._apply(self._weights, self._state, faces))[:n]
        lengths = np.linalg.norm(vectors, axis=-1)
        if not (np.abs(lengths - 1) <= _LENGTH_TOLERANCE).all():  # refuses NaN too
            first = int(np.flatnonzero(~(np.abs(lengths - 1) <= _LENGTH_TOLERANCE))[0])
            raise UserError(
                f"{self._run_dir or 'this network'}: a face's vector has length {lengths[first]}, "
                "not 1: the weights have diverged or are damaged. Give another run, or train again."
            )
        return vectors

    def _digest(self) -> str:
        """A digest of all weights, which another embedder has if it gives the same vectors."""
        digest = hashlib.sha256()
        for array in jax.tree.leaves((self._weights, self._state)):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


_LENGTH_TOLERANCE = 1e-3  # that of a network in half precision


def _load_again(cls: type[Embedder], run_dir: Path, digest: str, step: Any) -> Embedder:
    """Loads the run of a pickled embedder, and checks that it still has the same weights."""
    embedder = cls.load(run_dir)
    if embedder._digest() != digest:
        raise UserError(
            f"{run_dir}: its weights (step {embedder.info.get('step')}) are not those of the "
            f"pickled embedder (step {step}); the run was trained on or replaced. Load the run "
            "and pickle the embedder again."
        )
    return embedder


def _each_face(faces: Any) -> Iterator[np.ndarray]:
    """Yields the faces, each uint8 [h, w, 3]."""
    if isinstance(faces, np.ndarray):
        if faces.ndim != 4:
            raise ValueError(
                f"faces must be uint8 [n, h, w, 3], found {faces.dtype} {list(faces.shape)}"
            )
    elif isinstance(faces, (str, bytes, os.PathLike)) or not isinstance(faces, Iterable):
        faces = [faces]
    return (_as_array(face) for face in faces)


def _as_array(image: Any) -> np.ndarray:
    """An array, a path, a file's bytes or a PIL image as upright uint8 [h, w, 3] RGB."""
    from imagefec.faces.photos import NotAPhoto, read_photo

    try:
        return read_photo(image, upright=True)
    except NotAPhoto as error:
        name = image if isinstance(image, (str, os.PathLike)) else f"a {type(image).__name__}"
        raise UserError(f"{name}: {error}. Give JPEG, PNG or other image files.") from None


def _power_of_two(n: int) -> int:
    """The smallest power of two >= n: a single webcam face must not cost a full batch."""
    return 1 << (n - 1).bit_length()
