"""Synthetic faces: parametric faces with known expressions, written in FEC's own format.

heads/ renders a head, photo.py makes a photo of it with effects/, variations.py applies what varies
in a world (worlds.py), raters.py judges triplets, dataset.py writes the files.
"""

from imagefec.faces.synthetic.dataset import render_dataset

__all__ = ["render_dataset"]
