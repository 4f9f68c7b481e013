"""Faces and triplets of built datasets, read into memory-mapped stores and cached there."""
