"""What a run directory says of its training: settings, seed, augmentation, curves. Weights are the embedder's business."""

import ast
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagefec.errors import UserError
from imagefec.model.run import find_checkpoint, read_run_info

SEED, START = "training.seed", "training.init_checkpoint"
RANGES = (
    "crop",
    "flip",
    "brightness",
    "contrast",
)  # of Augment, and of imagefec.maths.augment.augment_faces


@dataclass(frozen=True)
class RunFiles:
    """A run as its files tell it.

    Attributes:
      path: the run directory, as given.
      info: contents of run.json.
      settings: name -> value as text, of config.gin; empty where there is none.
      history: contents of history.json; empty where the run has not ended.
    """

    path: Path
    info: dict[str, Any]
    settings: dict[str, str]
    history: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def seed(self) -> int:
        """Of the training; 0 where the run says none."""
        value = self.info.get("seed", self.setting(SEED, 0))
        return value if isinstance(value, int) else 0

    @property
    def uda_weight(self) -> float:
        uda = self.info.get("uda")
        weight = (
            uda.get("weight", 0.0)
            if isinstance(uda, dict)
            else self.setting("uda_consistency.weight", 0.0)
        )
        return float(weight) if isinstance(weight, (int, float)) else 0.0

    @property
    def train_split(self) -> str:
        return str(self.setting("training.train_split", "train"))

    @property
    def augment_ranges(self) -> dict[str, float]:
        """Arguments of augment_faces that the run was trained with; what config.gin leaves out keeps its default."""
        found = {name: self.setting(f"Augment.{name}", None) for name in RANGES}
        return {
            name: float(value) for name, value in found.items() if isinstance(value, (int, float))
        }

    @property
    def images_per_second(self) -> float | None:
        """Median over the stretches between evaluations, the first left out for its compiling."""
        speeds = [value for step, value in self.measures("steps_per_second") if step > 1]
        images = self.info.get("images_per_step") or 3 * (self.info.get("batch_triplets") or 0)
        return sorted(speeds)[len(speeds) // 2] * images if speeds and images else None

    def setting(self, name: str, default: Any) -> Any:
        """The value of a binding as Python has it; `default` where there is none or it is no plain value."""
        try:
            return ast.literal_eval(self.settings[name])
        except (KeyError, ValueError, SyntaxError):
            return default

    def measures(self, name: str) -> list[tuple[int, float]]:
        """(step, value) of a measure of the evaluations during training, such as "tpa"; empty where it was not kept."""
        found = self.history.get("eval", {}).get(f"metrics/{name}", [])
        return [(int(step), float(value)) for step, value in found]


def read_run_files(run_dir: str | os.PathLike) -> RunFiles:
    """Reads run.json, and config.gin and history.json where they are.

    Raises:
      UserError: there is no such run, it holds no checkpoint, a file of it is broken, or it saw
        faces in another channel order.
    """
    run_dir = Path(run_dir)
    info = read_run_info(run_dir)
    find_checkpoint(run_dir)
    config, history = run_dir / "config.gin", run_dir / "history.json"
    try:
        settings = parse_settings(config.read_text(encoding="utf-8")) if config.is_file() else {}
        curves = json.loads(history.read_text(encoding="utf-8")) if history.is_file() else {}
    except (OSError, ValueError) as error:
        raise UserError(
            f"{run_dir}: config.gin or history.json cannot be read ({error}). Copy the run again from where "
            "it came, or leave it out."
        ) from None
    return RunFiles(run_dir, info, settings, curves if isinstance(curves, dict) else {})


def parse_settings(text: str) -> dict[str, str]:
    """The bindings of an operative config: name -> value as written, lines that gin broke joined again."""
    settings: dict[str, str] = {}
    name = None
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            name = None
        elif (
            line[0].isspace() and name
        ):  # gin breaks long values after a backslash or a comma and indents the rest
            settings[name] = (
                f"{settings[name]} {line.strip().removesuffix(chr(92)).strip()}".strip()
            )
        elif " = " in f"{line} ":
            name, value = f"{line} ".split(" = ", 1)
            settings[name.strip()] = value.strip().removesuffix("\\").strip()
    return settings
