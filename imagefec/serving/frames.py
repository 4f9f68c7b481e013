"""From the bytes of a picture to its faces' embeddings; nothing is kept, written or logged."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imagefec.faces import crop, opencv, photo_files, photos
from imagefec.faces.detectors.protocol import Detection, Detector
from imagefec.maths.geometry import Box
from imagefec.serving.bodies import RefusedError
from imagefec.serving.engine import Engine

MAX_BYTES = 2**20  # of a picture
MAX_PIXELS = 2**23  # 4096 x 2048; a webcam's have less than 1 million
KINDS = ("JPEG", "PNG")


class FrameError(RefusedError):
    """A picture that is refused; the text says why."""


@dataclass(frozen=True)
class FoundFace:
    """A face of a picture.

    Attributes:
      box: of the detector, pixels of the picture.
      score: in the detector's scale.
      embedding: float32 [d], unit length.
    """

    box: Box
    score: float
    embedding: np.ndarray


class FrameReader:
    """Finds and embeds the faces of pictures, cropped as the dataset's are; for one thread."""

    def __init__(
        self,
        engine: Engine,
        detector: Detector,
        crop_detection: Callable[[np.ndarray, Detection], crop.FaceCrop] = crop.crop_detection,
    ) -> None:
        """Combines the parts.

        Args:
          engine: embeds.
          detector: finds faces.
          crop_detection: crops a detection of a photo; those without a face are left out.
        """
        self.engine = engine
        self.detector = detector
        self._crop = crop_detection

    def warm_up(self) -> None:
        """Detects and embeds once: the first calls of detector and engine take longer."""
        blank = np.full((480, 640, 3), 127, np.uint8)
        self.detector.detect(blank)
        self._embed(blank, [Detection(Box(200.0, 400.0, 100.0, 300.0), 1.0)])

    def faces(self, data: bytes) -> list[FoundFace]:
        """Embeds all faces of a picture, highest score first.

        Args:
          data: of a JPEG or PNG file.

        Raises:
          FrameError: it is none, incomplete or too large.
        """
        photo = decode(data)
        with opencv.single_thread():
            return self._embed(photo, self.detector.detect(photo))

    def nearest_face(self, data: bytes) -> FoundFace | None:
        """Embeds the largest face of a picture: of the person at the camera, not one behind.

        Args:
          data: of a JPEG or PNG file.

        Raises:
          FrameError: as `faces`.
        """
        photo = decode(data)
        with opencv.single_thread():
            found = self.detector.detect(photo)
            largest = max(found, key=lambda each: each.box.width * each.box.height, default=None)
            return next(iter(self._embed(photo, [largest])), None) if largest else None

    def _embed(self, photo: np.ndarray, found: list[Detection]) -> list[FoundFace]:
        size = self.engine.image_size
        crops = [(each, self._crop(photo, each).face) for each in found]
        kept = [(each, opencv.resize(f, size, size)) for each, f in crops if f is not None]
        if not kept:
            return []
        vectors = self.engine.embed(np.stack([face for _, face in kept]))
        return [FoundFace(each.box, each.score, vector) for (each, _), vector in zip(kept, vectors)]


def decode(data: bytes) -> np.ndarray:
    """Decodes a picture, turned upright; its size is read from the header first.

    Returns:
      uint8 [height, width, 3] RGB.

    Raises:
      FrameError: it is no JPEG or PNG, is incomplete, or has more than MAX_BYTES or MAX_PIXELS.
    """
    if len(data) > MAX_BYTES:
        raise FrameError(f"the picture has {len(data):,} bytes, over {MAX_BYTES:,}", 413)
    kind = photo_files.kind_of(data[:32])
    if kind not in KINDS:
        found = f"is {kind}" if kind else "is no picture" if data else "is empty"
        raise FrameError(f"the message {found}; send one JPEG or PNG")
    try:
        layout = photo_files.read_layout(data)
        if layout.width * layout.height > MAX_PIXELS:
            raise FrameError(
                f"the picture has {layout.width} x {layout.height} pixels, over {MAX_PIXELS:,}; "
                "send a smaller one",
                413,
            )
        return photos.read_photo(data, upright=True)
    except photo_files.TooManyPixels as error:
        raise FrameError(f"the picture has {error}; send a smaller one", 413) from None
    except photos.NotAPhoto as error:
        raise FrameError(f"the picture cannot be read: {error}") from None
