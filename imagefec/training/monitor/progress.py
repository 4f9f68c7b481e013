"""Progress of a run: a bar on a terminal, and a line on stderr after each evaluation."""

import sys
import time
from typing import Any

from imagefec.progress import is_quiet

_BAR = "step {n_fmt}/{total_fmt} |{bar}| {desc}{remaining} to go"


class Reporter:
    """Reports each finished step (`step`), each evaluation (`evaluated`), and sentences (`say`).

    Args:
      steps: length of the run.
      images_per_step: images in a batch.
      silent: report nothing; for all processes but the chief.
    """

    def __init__(self, steps: int, images_per_step: int, silent: bool = False) -> None:
        self._steps, self._images_per_step = steps, images_per_step
        self._silent = silent or is_quiet()
        self._start = 0
        self._bar: Any = None
        self._tpa = ""

    def begin(self, step: int) -> None:
        """Starts the bar at the step from which the run resumes."""
        self._start = step
        if not self._silent and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._steps, initial=step, dynamic_ncols=True, smoothing=0.05, bar_format=_BAR
            )

    def step(self, step: int, statistics: dict[str, float]) -> None:
        """Moves the bar to a finished step."""
        if self._bar is None:
            return
        rate = self._bar.format_dict["rate"]
        speed = f"  {rate * self._images_per_step:.0f} images/s" if rate else ""
        self._bar.set_description_str(
            f"loss {statistics['loss']:.4f}{self._tpa}{speed}  ", refresh=False
        )
        self._bar.update(step - self._bar.n)

    def evaluated(self, step: int, measures: dict[str, float]) -> None:
        """Writes a line for an evaluation.

        Args:
          step: the step that was evaluated.
          measures: "train_loss", "tpa", "tpa_se", "embedding_spread" and "steps_per_second"; with
            UDA also "train_uda", with identity removal also "train_identity".
        """
        speed = measures["steps_per_second"]
        self._tpa = f"  TPA {measures['tpa']:.3f}"
        terms = "".join(
            f" ({term} {measures[name]:.4f})"
            for name, term in (("train_uda", "UDA"), ("train_identity", "persons"))
            if name in measures
        )
        line = (
            f"step {step}/{self._steps}  loss {measures['train_loss']:.4f}{terms}  "
            f"TPA {measures['tpa']:.3f} ± {measures['tpa_se']:.3f}  "
            f"spread {measures['embedding_spread']:.2f}"
        )
        if step > self._start + 1:  # compilation dominates the first step's time
            rate = f"{speed * self._images_per_step:.0f} images/s"
            line += f"  {rate}  {_clock((self._steps - step) / speed)} to go"
        self.say(line)

    def say(self, text: str) -> None:
        """Writes a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif not self._silent:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S" if seconds >= 3600 else "%M:%S", time.gmtime(seconds))
