"""Synthetic faces: parametric faces with known expressions, written in FEC's own format.

expressions.py and people.py define what a face shows, head.py (with features.py and brush.py)
renders it, photo.py makes a photo of it, raters.py judges triplets, dataset.py writes the files.
"""

from imagefec.faces.synthetic.dataset import render_dataset

__all__ = ["render_dataset"]
