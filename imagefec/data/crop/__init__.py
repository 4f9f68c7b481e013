"""Crops 128 px faces from cached photos; the entry point is `stage.crop_faces`."""
