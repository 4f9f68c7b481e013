"""The worlds of `draw`: which aspects vary, and how far; heads/ and effects/ have the aspects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from imagefec.errors import UserError

PLAIN, VARIED, HARD = WORLDS = ("plain", "varied", "hard")
# Each has a file in heads/ or effects/. The order numbers their random streams: append only.
ASPECTS = (
    "pose",
    "looks",
    "asymmetry",
    "partial",
    "occluders",
    "light",
    "blur",
    "camera",
    "resolution",
    "grey",
    "jpeg",
    "box",
)


@dataclasses.dataclass(frozen=True)
class World:
    """What varies in the photos.

    Attributes:
      name: "plain" (nothing varies), "varied" (ranges to train on), "hard" (ranges beyond those,
        and other people).
      aspects: those that vary, in the order of ASPECTS; none in the plain world.
    """

    name: str = PLAIN
    aspects: tuple[str, ...] = ()

    @property
    def hard(self) -> bool:
        """Whether the ranges are those of the hard world."""
        return self.name == HARD


def make_world(name: str | None = None, vary: str | Iterable[str] | None = None) -> World:
    """The world that was requested.

    Args:
      name: one of WORLDS. None: plain; with `vary`, varied.
      vary: aspects, or their names separated by commas; None for all of the world's.

    Raises:
      UserError: there is no such world or aspect, or the plain world is to vary.
      ValueError: an argument has a wrong type.
    """
    if name is None:
        name = PLAIN if vary is None else VARIED
    if not isinstance(name, str):
        raise ValueError(f"world must be a text or None, found {name!r}")
    if name not in WORLDS:
        raise UserError(f"--world is {name!r}; allowed are {', '.join(WORLDS)}.")
    if vary is None:
        return World(name, () if name == PLAIN else ASPECTS)
    if name == PLAIN:
        raise UserError(
            "--vary: nothing varies in --world=plain; use --world=varied or --world=hard."
        )
    return World(name, _aspects(vary))


def _aspects(vary: str | Iterable[str]) -> tuple[str, ...]:
    names = vary.split(",") if isinstance(vary, str) else vary
    if not isinstance(names, Iterable):
        raise ValueError(f"vary must be a text, texts or None, found {vary!r}")
    asked = [name.strip() if isinstance(name, str) else name for name in names]
    for name in asked:
        if name not in ASPECTS:
            raise UserError(
                f"--vary has {name!r}; allowed are {', '.join(ASPECTS)}, separated by commas."
            )
    if not asked:
        raise UserError(f"--vary names no aspect; allowed are {', '.join(ASPECTS)}.")
    return tuple(name for name in ASPECTS if name in asked)
