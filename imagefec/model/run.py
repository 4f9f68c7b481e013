"""What every reader of a run directory asks of it: run.json, checked, and the checkpoint that stands for the run."""

import json
from pathlib import Path
from typing import Any

from imagefec.errors import UserError

RUN_FORMAT = 1
CHANNEL_ORDER = "rgb"  # of the faces that every run sees; also of runs made before run.json said so
CHECKPOINTS = ("best.npz", "model.npz")  # in this order: the best by TPA, else the latest
_GET_ANOTHER = "Copy it again from where the run came, or train anew."


def read_run_info(run_dir: Path) -> dict[str, Any]:
    """The contents of a run's run.json.

    Raises:
      UserError: there is no such run, or its run.json is broken, of another format or of another
        channel order.
    """
    if not run_dir.is_dir():
        raise UserError(
            f"{run_dir}: there is no such run directory. Give a training run's --output_dir."
        )
    path = run_dir / "run.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        found, size, model = info.get("format"), info.get("image_size"), info.get("model")
    except FileNotFoundError:
        raise UserError(
            f"{run_dir}: no run.json there, so it is no run directory. Give a training run's "
            "--output_dir."
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path}: broken ({error}). {_GET_ANOTHER}") from None
    if found != RUN_FORMAT:
        raise UserError(
            f"{path}: format {found!r}; this version reads format {RUN_FORMAT}. Use the version "
            "of Image FEC that made the run."
        )
    if not isinstance(size, int) or size < 1 or not isinstance(model, dict):
        raise UserError(
            f"{path}: image_size (a number of pixels) or model (its settings) is missing or "
            f"broken: found {size!r} and {model!r}. {_GET_ANOTHER}"
        )
    check_channel_order(path, info)
    return info


def check_channel_order(path: Path, info: dict[str, Any]) -> None:
    """Refuses a run whose run.json, at `path`, names another order of channels than the faces here have.

    Its weights would fit without a word, and take red for blue.

    Raises:
      UserError: info["channel_order"] is there and is not CHANNEL_ORDER.
    """
    found = info.get("channel_order", CHANNEL_ORDER)
    if found != CHANNEL_ORDER:
        raise UserError(
            f"{path}: channel_order {found!r}; faces are {CHANNEL_ORDER!r} here, and the run's weights would "
            f"take one colour for another. Give a run trained on {CHANNEL_ORDER.upper()} faces, or train anew."
        )


def find_checkpoint(run_dir: Path) -> Path:
    """The file that stands for the run: best.npz, or model.npz where there is no best yet.

    Raises:
      UserError: there is neither.
    """
    for name in CHECKPOINTS:
        if (run_dir / name).is_file():
            return run_dir / name
    raise UserError(
        f"{run_dir}: no checkpoint there ({' or '.join(CHECKPOINTS)}). Let the run train until its first "
        "evaluation, or give another run."
    )
