"""Which face detectors can be used here, and how to get the others."""

import os
from typing import Any

from imagefec.doctor.packages import REINSTALL, one_line
from imagefec.errors import UserError

DETECTORS = ("yunet", "blazeface", "faced", "haar", "lbp")


def usable_detectors(
    opencv: dict[str, Any], model_dir: str | os.PathLike | None, problems: list[str]
) -> dict[str, Any]:
    """Each detector (available, file, problem), and the one that "auto" selects."""
    if opencv["version"] is None:
        lacking = {"available": False, "file": None, "problem": "OpenCV cannot be imported."}
        return {
            "detectors": dict.fromkeys(DETECTORS, lacking),
            "auto": None,
        }
    try:
        from imagefec.faces import detectors
        from imagefec.faces.detectors import blazeface, faced, yunet
    except Exception as error:
        problems.append(f"the detectors cannot be imported ({one_line(error)}). Run {REINSTALL}.")
        lacking = {"available": False, "file": None, "problem": problems[-1]}
        return {"detectors": dict.fromkeys(DETECTORS, lacking), "auto": None}

    files = {
        "yunet": yunet.find_file(model_dir),
        "blazeface": blazeface.package_folder(),
        "haar": detectors.haar_file(),
        "faced": None,
        "lbp": None,
    }
    if graphs := faced.find_files(model_dir):
        files["faced"] = graphs[0].parent
    found = {}
    for name in detectors.AUTO_ORDER:
        problem = _why_not(name, model_dir)
        found[name] = {
            "available": problem is None,
            "file": str(files[name]) if files[name] else None,
            "problem": problem,
        }
        # A file that is absent is the user's choice, except those that Image FEC's packages bring.
        if problem is not None and (files[name] or name in ("blazeface", "lbp")):
            problems.append(problem)
    return {"detectors": found, "auto": detectors.auto_choice(model_dir)}


def _why_not(name: str, model_dir: str | os.PathLike | None) -> str | None:
    """Why a detector cannot be made; None if it can."""
    from imagefec.faces import detectors
    from imagefec.faces.detectors import faced

    if name == "faced":  # making one imports TensorFlow
        if faced.find_files(model_dir) is not None:
            return None
        return f"detector faced: {faced.missing_files(model_dir)}. {faced.how_to_get(model_dir)}"
    try:
        detectors.make_detector(name, None, model_dir)
    except UserError as error:
        return str(error)
    except Exception as error:  # a broken package may raise anything
        return (
            f"detector {name}: a package is broken ({one_line(error)}). Reinstall it with pip "
            "install --force-reinstall."
        )
    return None
