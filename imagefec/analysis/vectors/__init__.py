"""Vectors from any source, a run or a file, on the faces of a dataset."""
