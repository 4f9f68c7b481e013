"""Face detectors, one per file, with the interface in protocol.py; crop.py crops what they find.

`blazeface`, `haar`, `lbp` and `none` require only pip packages. `yunet` and `faced` require model
files that the user downloads: nothing is fetched here, and `imagefec doctor` says where to get
them.
"""

from imagefec.faces.detectors.haar import HaarDetector, haar_file
from imagefec.faces.detectors.no_detector import NoDetector
from imagefec.faces.detectors.protocol import SMALLEST, Detection, Detector
from imagefec.faces.detectors.registry import (
    AUTO_ORDER,
    auto_choice,
    check_arguments,
    make_detector,
)

__all__ = [
    "AUTO_ORDER",
    "SMALLEST",
    "Detection",
    "Detector",
    "HaarDetector",
    "NoDetector",
    "auto_choice",
    "check_arguments",
    "haar_file",
    "make_detector",
]
