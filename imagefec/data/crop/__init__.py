"""From cached photos to 128 px faces; `stage.crop_faces` does it."""
