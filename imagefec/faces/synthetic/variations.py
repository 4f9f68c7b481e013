"""Applies a world's aspects; each has its own random numbers, so one does not change another's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imagefec.faces.synthetic.effects.blur import blur, sample_blur
from imagefec.faces.synthetic.effects.box import jittered, sample_jitter
from imagefec.faces.synthetic.effects.camera import expose, sample_camera
from imagefec.faces.synthetic.effects.grey import sample_grey, without_colour
from imagefec.faces.synthetic.effects.jpeg import sample_quality
from imagefec.faces.synthetic.effects.light import sample_light, shine
from imagefec.faces.synthetic.effects.resolution import coarsen, sample_resolution
from imagefec.faces.synthetic.heads.asymmetry import sample_asymmetry, sides_of
from imagefec.faces.synthetic.heads.brush import CENTRE, UNIT_PX
from imagefec.faces.synthetic.heads.head import HeadVariation
from imagefec.faces.synthetic.heads.looks import vary_looks
from imagefec.faces.synthetic.heads.occluders import Occluder, sample_occluders
from imagefec.faces.synthetic.heads.partial import sample_partial, weaken
from imagefec.faces.synthetic.heads.people import SyntheticPerson
from imagefec.faces.synthetic.heads.pose import UPRIGHT, sample_pose
from imagefec.faces.synthetic.worlds import ASPECTS, World
from imagefec.maths.geometry import Box

# Aspects of a photo beyond the varied world's ranges, on average: all at once hide the expression.
_HARD_AT_ONCE = 3
_FACE_PX = 133  # mean height of a face in a photo, before its resolution is lowered


class Variations:
    """A world's aspects with their random numbers, for some people or some photos.

    Args:
      world: which aspects vary, and how far.
      seed: of the random numbers.
    """

    def __init__(self, world: World, seed: Sequence[int]) -> None:
        self._hard_chance = min(1, _HARD_AT_ONCE / max(1, len(world.aspects))) * world.hard
        self._rngs = {
            # From 1, since NumPy's seeds [a] and [a, 0] are the same.
            aspect: np.random.default_rng([*seed, 1 + ASPECTS.index(aspect)])
            for aspect in world.aspects
        }

    def _is_hard(self, rng: np.random.Generator) -> bool:
        return bool(rng.random() < self._hard_chance)

    def person(self, person: SyntheticPerson) -> SyntheticPerson:
        """A person with other looks."""
        if rng := self._rngs.get("looks"):
            return vary_looks(rng, person, self._is_hard(rng))
        return person

    def expression(self, expression: np.ndarray) -> np.ndarray:
        """The part of an expression that a face shows, float32 [controls]."""
        if rng := self._rngs.get("partial"):
            return weaken(expression, *sample_partial(rng, self._is_hard(rng)))
        return expression

    def head(self, person: SyntheticPerson, expression: np.ndarray) -> HeadVariation:
        """What varies in how one head is rendered."""
        pose, sides = UPRIGHT, None
        occluders: tuple[Occluder, ...] = ()
        if rng := self._rngs.get("pose"):
            pose = sample_pose(rng, self._is_hard(rng))
        if rng := self._rngs.get("asymmetry"):
            sides = sides_of(expression, sample_asymmetry(rng, self._is_hard(rng)))
        if rng := self._rngs.get("occluders"):
            occluders = sample_occluders(rng, person, self._is_hard(rng))
        return HeadVariation(pose, sides, occluders)

    def shine(self, head: np.ndarray) -> None:
        """Lights a rendered head, uint8 RGB [h, w, 3], in place."""
        if rng := self._rngs.get("light"):
            shine(head, sample_light(rng, self._is_hard(rng)), CENTRE, UNIT_PX)

    def box(self, box: Box) -> Box:
        """The box that the csv file has for a face, in fractions."""
        if rng := self._rngs.get("box"):
            return jittered(box, *sample_jitter(rng, self._is_hard(rng)))
        return box

    def photo(self, photo: np.ndarray) -> np.ndarray:
        """Takes the photo, uint8 RGB [h, w, 3]: lens, camera, resolution, colour."""
        if rng := self._rngs.get("blur"):
            photo = blur(photo, *sample_blur(rng, self._is_hard(rng)))
        if rng := self._rngs.get("camera"):
            photo = expose(rng, photo, sample_camera(rng, self._is_hard(rng)))
        if rng := self._rngs.get("resolution"):
            face_px, method = sample_resolution(rng, self._is_hard(rng))
            photo = coarsen(photo, face_px / _FACE_PX, method)
        if (rng := self._rngs.get("grey")) and (tones := sample_grey(rng, self._is_hard(rng))):
            photo = without_colour(photo, *tones)
        return photo

    def jpeg_quality(self, quality: int) -> int:
        """The JPEG quality of a photo that has this one in the plain world."""
        if rng := self._rngs.get("jpeg"):
            return sample_quality(rng, self._is_hard(rng))
        return quality


NOTHING = Variations(World(), ())
