"""A run's network as a list of operations in NumPy: the one source of all exports."""

from imagefec.model.network.load import load_network
from imagefec.model.network.operations import Network

__all__ = ["Network", "load_network"]
