"""Synthetic faces: parametric faces with known expressions, written in FEC's own format.

heads/ renders a head, photo.py makes a photo of it with effects/, variations.py applies what varies
in a world (worlds.py), split_plans.py says who is in which photo, raters.py judges
triplets, dataset.py writes the files.
"""

from imagefec.faces.synthetic.dataset import plan_dataset, render_dataset

__all__ = ["plan_dataset", "render_dataset"]
