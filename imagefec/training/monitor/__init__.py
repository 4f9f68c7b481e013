"""Watching a run: divergence, evaluation, progress, signals, augmented views."""
