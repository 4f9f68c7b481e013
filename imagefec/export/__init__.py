"""Writes a run as one file for other programs; each file is checked against the run."""
