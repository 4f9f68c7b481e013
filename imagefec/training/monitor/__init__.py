"""Monitoring of a run: divergence, evaluation, progress, signals, augmented views."""
