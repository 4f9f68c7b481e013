"""Runs the service until it is stopped."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import imagefec
from imagefec.errors import UserError
from imagefec.faces import detectors
from imagefec.faces.crop_settings import CropSettings, read_crop_settings
from imagefec.faces.detection_crop import CropDetection, cropper
from imagefec.serving import listening
from imagefec.serving.frames import MAX_BYTES, FrameReader
from imagefec.serving.running import run_app

DEFAULT_PORT = 8765


def serve(
    model: Path,
    port: int = DEFAULT_PORT,
    host: str = listening.LOOPBACK,
    allow_origin: Sequence[str] = (),
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    out: TextIO | None = None,
) -> str:
    """Serves the page and the embeddings of a model until ctrl-C or SIGTERM.

    Args:
      model: run directory, archive of `imagefec export`, or an .onnx file.
      port: to listen on; 0 for any that is free.
      host: address to listen on.
      allow_origin: exact origins of proxies in front of the service.
      tls_cert: certificate file, PEM, for a host that other machines reach.
      tls_key: its key.
      out: gets the page's URL when the service is ready; None for stdout.

    Returns:
      "stopped", if it ended by itself.

    Raises:
      UserError: an argument is wrong, or the model cannot be loaded.
      KeyboardInterrupt: it was stopped.
    """
    opened = listening.listen(host, port, tls_cert, tls_key, allow_origin)
    with opened.socket:
        from imagefec.serving.app import make_app
        from imagefec.serving.models import open_engine

        engine = open_engine(model)
        reader = FrameReader(engine, *detector_and_crop(engine.record, engine.name))
        reader.warm_up()
        _log.info("model %s, detector %s", engine.name, reader.detector.name)
        run_app(
            make_app(reader, opened.allowed, imagefec.__version__),
            opened,
            "serve",
            lambda: print(opened.url, file=out, flush=True),
            MAX_BYTES,
        )
    return "stopped"


_log = logging.getLogger(__name__)


def detector_and_crop(
    record: Mapping[str, Any], model: str
) -> tuple[detectors.Detector, CropDetection]:
    """The detector of the run's faces, or auto's if it is not available; how its faces are cropped.

    Args:
      record: of the engine.
      model: its name, for messages.

    Raises:
      UserError: the run's faces are aligned and the detector finds no eyes, or the record is
        damaged.
    """
    settings = crop_settings(record, model)
    detector = _detector(settings.detector)
    return detector, cropper(settings, detector, model)


def crop_settings(record: Mapping[str, Any], model: str) -> CropSettings:
    """How the faces of a run were cropped.

    Args:
      record: of the engine.
      model: its name, for messages.

    Raises:
      UserError: the record is damaged.
    """
    try:
        return read_crop_settings(record.get("crop") or {})
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"{model}: its record of how faces are cropped is damaged ({error}). Export the run "
            "again."
        ) from None


def _detector(name: str) -> detectors.Detector:
    if name not in ("", "none"):  # "none" takes each photo for a face
        with contextlib.suppress(UserError):  # files that this machine lacks
            return detectors.make_detector(name)
    return detectors.make_detector("auto")
