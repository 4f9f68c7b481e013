"""Embedder: a finished run, loaded, that turns faces and photographs into embeddings. It trains nothing."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import cv2
import jax
import numpy as np

from imagefec.compat import ShapeDtype, nested_map
from imagefec.errors import UserError
from imagefec.model import checkpoint
from imagefec.model.resnet import ImageFEC
from imagefec.model.run import Run


class Embedder:
    """Embeds faces with one run's weights.

    Attributes:
      image_size: side in pixels at which the network sees faces.
      d_embedding: length of an embedding.
      info: the contents of run.json, with "checkpoint" (the file's name) and, where it says so,
        "step".
    """

    def __init__(self, model: Any, image_size: int, info: dict[str, Any] | None = None):
        """Wraps an initialised ImageFEC in eval mode; use `Embedder.load` for a run."""
        self.image_size = image_size
        self.info = info or {}
        self._weights, self._state = jax.device_put((model.weights, model.state))
        key = jax.random.PRNGKey(0)  # Trax asks for one; in eval mode nothing draws from it
        self._apply = jax.jit(
            lambda weights, state, faces: model.pure_fn(faces, weights, state, key)[0]
        )
        face = jax.ShapeDtypeStruct((1, image_size, image_size, 3), np.uint8)
        self.d_embedding = jax.eval_shape(self._apply, self._weights, self._state, face).shape[-1]
        self._detectors: dict[str, Any] = {}

    @classmethod
    def load(cls, run_dir: str | os.PathLike | Run) -> "Embedder":
        """Loads a run: run.json and best.npz, or model.npz where there is no best yet.

        Raises:
          UserError: the directory, its run.json or its checkpoint is missing, broken or at odds, or
            the run saw faces in another channel order.
        """
        run = run_dir if isinstance(run_dir, Run) else Run.open(run_dir)
        info, path = run.info, run.checkpoint
        size = info["image_size"]
        try:
            model = ImageFEC(**{**info["model"], "mode": "eval"})
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{run.path / 'run.json'}: its model settings fit no model of this version: "
                f"{error}. Use the version of Image FEC that made the run."
            ) from None
        # Shapes alone: drawing random weights only to replace them would take most of the loading
        # time.
        weights, state = model.weights_and_state_signature(ShapeDtype((1, size, size, 3), np.uint8))
        model.weights, model.state = nested_map(
            lambda s: np.zeros(s.shape, s.dtype), (weights, state)
        )
        arrays, meta = checkpoint.load(path)
        checkpoint.set_named_weights(model, arrays, source=path)
        step = {"step": meta["step"]} if "step" in meta else {}
        return cls(model, size, {**info, **step, "checkpoint": path.name})

    def embed(self, faces: Any, batch_size: int = 256) -> np.ndarray:
        """Embeds faces, in batches, so that any number fits in memory.

        Args:
          faces: uint8 [n, h, w, 3] RGB; or one path or PIL image; or any iterable of paths, PIL
            images and uint8 [h, w, 3] arrays, taken as it comes. Each shows one face, as cropped as
            the dataset's. Square ones are resized to image_size as in training, others padded with
            noise first, as the dataset's.
          batch_size: faces at a time; the last batch is padded, so that nothing is compiled twice
            for it.

        Returns:
          float32 [n, d_embedding], unit length along the last axis.

        Raises:
          ValueError: an array has another shape or dtype, or batch_size < 1.
          UserError: a path holds no picture.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, found {batch_size}")
        several = _each_face(faces)
        vectors = []
        while batch := [self._fit(face) for face in islice(several, batch_size)]:
            full = batch_size if vectors else min(batch_size, _power_of_two(len(batch)))
            vectors.append(self._embed_batch(np.stack(batch), full))
        return np.concatenate(vectors) if vectors else np.zeros((0, self.d_embedding), np.float32)

    def embed_photo(
        self, photo: Any, detector: str = "auto", min_score: float | None = None
    ) -> list[tuple[Any, float, np.ndarray]]:
        """Finds the faces of a photograph, crops each as the dataset does, and embeds it.

        Args:
          photo: uint8 [h, w, 3] RGB, a path (turned as its EXIF asks) or a PIL image.
          detector: "auto", "haar", "lbp", … as in imagefec.faces.detectors.
          min_score: faces scored lower are left out; None for the detector's default.

        Returns:
          One (box, score, vector) a face, best score first, empty where there is none: box is the
          detector's own geometry.Box in pixels of the photo; vector float32 [d_embedding], unit
          length.

        Raises:
          ValueError: an array has another shape or dtype.
          UserError: a path holds no picture, or the detector is not available.
        """
        from imagefec.faces import crop, detectors  # not needed by those who bring faces

        photo = _picture(photo, upright=True)
        if (detector, min_score) not in self._detectors:
            self._detectors[detector, min_score] = detectors.make_detector(detector, min_score)
        found = self._detectors[detector, min_score].detect(photo)
        vectors = self.embed([crop.crop_detection(photo, detection).face for detection in found])
        return [
            (detection.box, detection.score, vector) for detection, vector in zip(found, vectors)
        ]

    def _fit(self, face: np.ndarray) -> np.ndarray:
        size = (self.image_size, self.image_size)
        if face.shape[0] != face.shape[1]:
            from imagefec.faces import crop

            face, _ = crop.letterbox(face)
        if face.shape[:2] == size:
            return face
        # As the pipeline does: INTER_AREA averages when it shrinks; when it enlarges it only
        # repeats pixels.
        how = cv2.INTER_AREA if self.image_size < face.shape[0] else cv2.INTER_CUBIC
        return cv2.resize(face, size, interpolation=how)

    def _embed_batch(self, faces: np.ndarray, full: int) -> np.ndarray:
        n = len(faces)
        if n < full:
            faces = np.concatenate([faces, np.zeros((full - n, *faces.shape[1:]), np.uint8)])
        return np.asarray(self._apply(self._weights, self._state, faces))[:n]


def _each_face(faces: Any) -> Iterator[np.ndarray]:
    """The faces one by one, each uint8 [h, w, 3]."""
    if isinstance(faces, np.ndarray):
        if faces.ndim != 4:
            raise ValueError(
                f"faces must be uint8 [n, h, w, 3], found {faces.dtype} {list(faces.shape)}"
            )
    elif isinstance(faces, (str, os.PathLike)) or not isinstance(faces, Iterable):
        faces = [faces]
    return (_picture(face) for face in faces)


def _picture(picture: Any, upright: bool = False) -> np.ndarray:
    """uint8 [h, w, 3] RGB of an array, a path or a PIL image."""
    if isinstance(picture, (str, os.PathLike)):
        from imagefec.faces.photos import NotAPhoto, read_photo

        try:
            return read_photo(picture, upright=upright)
        except NotAPhoto as error:
            raise UserError(f"{picture}: {error}. Give JPEG, PNG or other picture files.") from None
    if hasattr(picture, "convert"):  # a PIL image, told without importing PIL
        picture = np.asarray(picture.convert("RGB"))
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ValueError(
            f"a picture must be uint8 [h, w, 3] RGB, found {array.dtype} {list(array.shape)}"
        )
    return array


def _power_of_two(n: int) -> int:
    """The least power of two that is n or more: a lone face from a webcam must not cost a whole batch."""
    return 1 << (n - 1).bit_length()
