"""Faces: photos, detectors, crops and synthetic faces."""
