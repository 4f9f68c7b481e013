"""How a dataset's faces were cropped, as settings.json, the dataset and the run record it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from imagefec.faces.alignment import ALIGN
from imagefec.faces.box_mapping import FEWEST_PAIRS, BoxMapping

DETECTOR, VERSION, ALIGNMENT, MAPPING = "detector", "detector_version", "align", "box_mapping"
_LIMITS = {"dx": (-10, 10), "dy": (-10, 10), "scale": (0.01, 100)}


@dataclass(frozen=True)
class CropSettings:
    """What decides which part of a photo becomes a face.

    Attributes:
      detector: name of the detector that was required to find a face in each box; "" if not known.
      detector_version: its version.
      align: one of alignment.ALIGN.
      box_mapping: from the detector's boxes in complete photos to the dataset's; None if it was not
        measured.
    """

    detector: str = ""
    detector_version: str = ""
    align: str = "none"
    box_mapping: BoxMapping | None = None

    def mapping_for(self, detector: str, version: str) -> BoxMapping | None:
        """The mapping of a detector's boxes; None if it is another one or was not measured."""
        return self.box_mapping if self.is_of(detector, version) else None

    def is_of(self, detector: str, version: str) -> bool:
        """Whether the faces were cropped with this detector."""
        return (self.detector, self.detector_version) == (detector, version)

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values, which `read` takes."""
        mapping = {MAPPING: asdict(self.box_mapping)} if self.box_mapping else {}
        return {
            DETECTOR: self.detector,
            VERSION: self.detector_version,
            ALIGNMENT: self.align,
            **mapping,
        }


def read_crop_settings(found: Mapping[str, Any]) -> CropSettings:
    """Reads settings that anyone may have written; other keys are ignored.

    Args:
      found: JSON; earlier versions wrote neither "align" nor "box_mapping".

    Raises:
      ValueError: a value is not allowed; the text names it.
    """
    texts = {key: found.get(key, "") for key in (DETECTOR, VERSION)}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise ValueError(f"{key} must be text")
    align = found.get(ALIGNMENT, "none")
    if align not in ALIGN:
        raise ValueError(f"{ALIGNMENT} must be {' or '.join(ALIGN)}")
    return CropSettings(texts[DETECTOR], texts[VERSION], align, _mapping(found.get(MAPPING)))


def _mapping(found: Any) -> BoxMapping | None:
    if found is None:
        return None
    if not isinstance(found, dict) or not _is_number(found.get("n")) or found["n"] < 0:
        raise ValueError(f"{MAPPING} must be an object with a number n")
    if found["n"] < FEWEST_PAIRS:
        return None
    for name, (lowest, highest) in _LIMITS.items():
        if not _is_number(found.get(name)) or not lowest <= found[name] <= highest:
            raise ValueError(f"{MAPPING}: {name} must be a number from {lowest:g} to {highest:g}")
    dx, dy, scale = (float(found[name]) for name in _LIMITS)
    return BoxMapping(dx, dy, scale, int(found["n"]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
