"""The drawn-face world: parametric faces with known expressions, written as FEC writes real ones.

One drawn face goes expressions -> people -> face -> photo; raters judge triplets of them; world
writes it all.
"""

from imagefec.faces.synthetic.world import render_world

__all__ = ["render_world"]
