"""Crops what a detector finds in photos as the faces of a training were cropped."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from absl import logging

from imagefec.faces import alignment, crop
from imagefec.faces.crop_settings import CropSettings
from imagefec.faces.detectors import Detection, Detector
from imagefec.maths import geometry

CropDetection = Callable[[np.ndarray, Detection], crop.FaceCrop]


def cropper(settings: CropSettings, detector: Detector, model: str) -> CropDetection:
    """Makes the function that crops the faces which a detector finds.

    A warning is logged if another detector cropped the faces of the training, because the boxes of
    two detectors differ.

    Args:
      settings: how the faces of the training were cropped.
      detector: the one whose detections are cropped.
      model: name of what was trained, for the messages.

    Returns:
      A function (photo, detection) -> FaceCrop, whose face is None if it cannot be aligned.

    Raises:
      UserError: the faces of the training are aligned, and the detector finds no eyes.
    """
    alignment.check_detector(settings.align, detector.name)
    if settings.detector and not settings.is_of(detector.name, detector.version):
        logging.warning(
            "%s: its faces were cropped with detector %s (%s). Faces that detector %s (%s) finds "
            "are cropped a little differently, so their embeddings are less exact.",
            model,
            settings.detector,
            settings.detector_version,
            detector.name,
            detector.version,
        )
    if settings.align == "eyes":
        return functools.partial(_align, detector=detector)
    mapping = settings.mapping_for(detector.name, detector.version)
    return functools.partial(crop.crop_detection, mapping=mapping)


def _align(photo: np.ndarray, detection: Detection, detector: Detector) -> crop.FaceCrop:
    """Searches the eyes in the grown box, as crop does: in a photo they are found less exactly."""
    height, width = photo.shape[:2]
    box = geometry.to_fractions(detection.box, width, height)
    return crop.crop_face(photo, box, detector, align="eyes")
