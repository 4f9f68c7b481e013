"""The nearest embeddings of an embedding: an index, its file, and a scikit-learn estimator."""

from imagefec.analysis.neighbours.checks import MAX_DISTANCE, check_k, check_max_distance
from imagefec.analysis.neighbours.index import Neighbour, NeighbourIndex
from imagefec.analysis.neighbours.other_photos import neighbours_from_other_photos

__all__ = [
    "MAX_DISTANCE",
    "Neighbour",
    "NeighbourIndex",
    "check_k",
    "check_max_distance",
    "neighbours_from_other_photos",
]
