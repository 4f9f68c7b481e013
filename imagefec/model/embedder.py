"""Embedder: loads a run and embeds faces and photos. No training."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import jax
import numpy as np

from imagefec.compat import ShapeDtype, nested_map, tl
from imagefec.errors import UserError
from imagefec.faces import opencv
from imagefec.model import checkpoint, run_schema
from imagefec.model.resnet import ImageFEC
from imagefec.model.run import INFO, Run


class Embedder:
    """Embeds faces with the weights of one run.

    Attributes:
      image_size: side in pixels at which the network sees faces.
      d_embedding: length of an embedding.
      info: the contents of run.json, with "checkpoint" (the file's name) and, if the checkpoint
        has it, "step".
    """

    def __init__(self, model: Any, image_size: int, info: dict[str, Any] | None = None) -> None:
        """Wraps a network; `Embedder.load` makes one from a run.

        Args:
          model: initialised ImageFEC in eval mode.
          image_size: side in pixels at which the network sees faces.
          info: see the attribute.
        """
        self.image_size = image_size
        self.info = info or {}
        self._weights, self._state = jax.device_put((model.weights, model.state))
        key = jax.random.PRNGKey(0)  # required by Trax, unused in eval mode
        self._apply = jax.jit(
            lambda weights, state, faces: model.pure_fn(faces, weights, state, key)[0]
        )
        face = jax.ShapeDtypeStruct((1, image_size, image_size, 3), np.uint8)
        self.d_embedding = jax.eval_shape(self._apply, self._weights, self._state, face).shape[-1]
        self._detectors: dict[tuple[str, float | None], Any] = {}

    @classmethod
    def load(cls, run_dir: str | os.PathLike[str] | Run) -> "Embedder":
        """Loads a run: run.json and best.npz, or model.npz if there is no best.npz yet.

        Raises:
          UserError: the directory, its run.json or its checkpoint is missing, broken or
            inconsistent, or the run saw faces in another channel order.
        """
        run = run_dir if isinstance(run_dir, Run) else Run.open(run_dir)
        info, path, size = run.info, run.checkpoint, run.image_size
        try:
            model = ImageFEC(**{**run.model_settings, "mode": "eval"})
            signature = ShapeDtype((1, size, size, 3), np.uint8)
            # Shapes only: sampling weights just to replace them would take most of the loading.
            weights, state = model.weights_and_state_signature(signature)
        except (TypeError, ValueError, ArithmeticError, tl.base.LayerError) as error:
            raise UserError(
                f"{run.path / INFO}: its model settings fit no model of this version: "
                f"{error}. Use the version of Image FEC that made the run."
            ) from None
        arrays, meta = checkpoint.load(path, checkpoint.expected_weights(model, weights, state))
        model.weights, model.state = nested_map(
            lambda s: np.zeros(s.shape, s.dtype), (weights, state)
        )
        checkpoint.set_named_weights(model, arrays, source=path)
        step = {} if (found := run_schema.check_step(path, meta)) is None else {"step": found}
        return cls(model, size, {**info, **step, "checkpoint": path.name})

    def embed(self, faces: Any, batch_size: int = 256) -> np.ndarray:
        """Embeds faces in batches, so that any number fits in memory.

        Args:
          faces: uint8 [n, h, w, 3] RGB; or one path or PIL image; or any iterable of paths, PIL
            images and uint8 [h, w, 3] arrays, read lazily. Each shows one face, cropped as in the
            dataset. A face that is not square is letterboxed, and each is resized to image_size,
            as in the dataset.
          batch_size: faces per batch; the last batch is padded, so that it needs no compilation
            of its own.

        Returns:
          float32 [n, d_embedding], unit length along the last axis.

        Raises:
          ValueError: an array has another shape or dtype, or batch_size < 1.
          UserError: a path is not a readable image.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, found {batch_size}")
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

        Args:
          photo: uint8 [h, w, 3] RGB, a path (rotated as its EXIF says) or a PIL image.
          detector: "auto", "haar", "lbp", … as in imagefec.faces.detectors.
          min_score: faces with a lower score are skipped; None for the detector's default.

        Returns:
          (box, score, vector) of each face, highest score first; empty if there is none. box is
          the detector's geometry.Box in pixels of the photo; vector is float32 [d_embedding] of
          unit length.

        Raises:
          ValueError: an array has another shape or dtype.
          UserError: a path is not a readable image, or the detector is not available.
        """
        from imagefec.faces import crop, detectors  # not needed for faces already cropped

        photo = _as_array(photo, upright=True)
        if (detector, min_score) not in self._detectors:
            self._detectors[detector, min_score] = detectors.make_detector(detector, min_score)
        found = self._detectors[detector, min_score].detect(photo)
        vectors = self.embed([crop.crop_detection(photo, detection).face for detection in found])
        return [
            (detection.box, detection.score, vector) for detection, vector in zip(found, vectors)
        ]

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
        return np.asarray(self._apply(self._weights, self._state, faces))[:n]


def _each_face(faces: Any) -> Iterator[np.ndarray]:
    """Yields the faces, each uint8 [h, w, 3]."""
    if isinstance(faces, np.ndarray):
        if faces.ndim != 4:
            raise ValueError(
                f"faces must be uint8 [n, h, w, 3], found {faces.dtype} {list(faces.shape)}"
            )
    elif isinstance(faces, (str, os.PathLike)) or not isinstance(faces, Iterable):
        faces = [faces]
    return (_as_array(face) for face in faces)


def _as_array(image: Any, upright: bool = False) -> np.ndarray:
    """An array, a path or a PIL image as uint8 [h, w, 3] RGB."""
    if isinstance(image, (str, os.PathLike)):
        from imagefec.faces.photos import NotAPhoto, read_photo

        try:
            return read_photo(image, upright=upright)
        except NotAPhoto as error:
            raise UserError(f"{image}: {error}. Give JPEG, PNG or other image files.") from None
    if hasattr(image, "convert"):  # a PIL image, recognised without importing PIL
        image = np.asarray(image.convert("RGB"))
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ValueError(
            f"an image must be uint8 [h, w, 3] RGB, found {array.dtype} {list(array.shape)}"
        )
    return array


def _power_of_two(n: int) -> int:
    """The smallest power of two >= n: a single webcam face must not cost a full batch."""
    return 1 << (n - 1).bit_length()
