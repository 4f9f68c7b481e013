"""What every exported file says about itself: network, faces, training data, accuracy, check."""

import dataclasses
from typing import Any

import numpy as np

import imagefec
from imagefec.faces.crop import FACE_PX
from imagefec.model import checkpoint_file, run_schema
from imagefec.model.network.architecture import SCALINGS, Architecture
from imagefec.model.network.load import architecture_of
from imagefec.model.run import Run

# Of an archive's meta.json: what is not part of the record.
_OF_THE_FILE = ("format", "version", "sha256", "check")


def record_of_run(run: Run) -> dict[str, Any]:
    """Describes a run, so that a program can use an exported file without the run.

    Args:
      run: a run or an archive; an archive's record is passed on.

    Returns:
      JSON: "imagefec" (version), "run" (as run.json), "settings" (as settings.json), "step",
      "architecture" (every setting of ImageFEC), "preprocessing", "crop" (the detector of the
      training's faces and its mapping, as run.json has them; None if it does not),
      "training_data", "tpa" (None if the checkpoint does not say), and "weights_sha256".

    Raises:
      UserError: the run has no readable checkpoint, or its settings fit no network.
    """
    if run.archive_meta is not None:
        return {name: value for name, value in run.archive_meta.items() if name not in _OF_THE_FILE}
    meta = checkpoint_file.load_meta(run.checkpoint)
    architecture = architecture_of(run)
    return {
        "imagefec": imagefec.__version__,
        "run": run.info,
        "settings": run.settings,
        "step": run_schema.check_step(run.checkpoint, meta),
        "architecture": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(architecture).items()
        },
        "preprocessing": _preprocessing(run, architecture),
        "crop": run.info.get("faces"),
        "training_data": {
            "dataset": run.info.get("dataset"),
            "train_split": run.train_split,
            "eval_split": run.info.get("eval_split"),
            "recipe": run.info.get("recipe"),
        },
        "tpa": _tpa(run, meta),
        "weights_sha256": run.checkpoint_digest,
    }


def _preprocessing(run: Run, architecture: Architecture) -> dict[str, Any]:
    """How a photo becomes the network's input; the last step is inside the exported network."""
    subtracted, divisor = (
        np.broadcast_to(np.asarray(value, np.float64), 3).tolist()
        for value in SCALINGS[architecture.scaling]
    )
    return {
        "input": "uint8 [n, image_size, image_size, 3], RGB",
        "image_size": run.image_size,
        "crop": f"as the dataset: the grown box of a face, letterboxed to {FACE_PX} px, and "
        "resized to image_size (averaged by area if smaller)",
        "inside_the_network": {"subtracted": subtracted, "divided_by": divisor},
    }


def _tpa(run: Run, meta: dict[str, Any]) -> dict[str, Any] | None:
    """The TPA that training measured at the checkpoint's step."""
    if "history" not in meta:
        return None
    step, history = run_schema.check_state(run.checkpoint, meta)
    measures = history.get("eval", {})

    def at_step(name: str) -> float | None:
        found = [value for at, value in measures.get(f"metrics/{name}", []) if at == step]
        return float(found[-1]) if found and np.isfinite(found[-1]) else None

    tpa = at_step("tpa")
    if tpa is None:
        return None
    return {
        "tpa": tpa,
        "standard_error": at_step("tpa_se"),
        "dataset": run.info.get("dataset"),
        "split": run.info.get("eval_split"),
    }
